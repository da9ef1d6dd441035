//! Queries whose answers people read.

use millrace_model::{Code, Fault, Result};
use sqlx::postgres::{PgRow, PgValueFormat};
use sqlx::{AssertSqlSafe, Column as _, Executor, Row, SqlSafeStr, Statement, ValueRef};

use super::config::Config;
use super::connect::connect;
use super::fault::fault;
use crate::table::QueryResult;

/// Runs one statement that reads. The simple query protocol leaves it to the server to write each value as text.
pub(super) async fn query(config: &Config, sql: &str) -> Result<QueryResult> {
    let mut connection = connect(config, "query").await?;
    let doing = "the query";
    let failed = |error| fault(doing, error);
    sqlx::raw_sql("SET default_transaction_read_only = on").execute(&mut connection).await.map_err(failed)?;
    let statement = connection.prepare(AssertSqlSafe(sql).into_sql_str()).await.map_err(failed)?;
    let columns = statement.columns().iter().map(|column| column.name().to_owned()).collect();
    let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(&mut connection).await.map_err(failed)?;
    let rows = rows.iter().map(texts).collect::<Result<_, sqlx::Error>>().map_err(failed)?;
    Ok(QueryResult { columns, rows })
}

fn texts(row: &PgRow) -> Result<Vec<Option<String>>, sqlx::Error> {
    (0..row.len()).map(|column| text(row, column)).collect()
}

fn text(row: &PgRow, column: usize) -> Result<Option<String>, sqlx::Error> {
    let value = row.try_get_raw(column)?;
    if value.is_null() {
        return Ok(None);
    }
    if value.format() != PgValueFormat::Text {
        let fault = Fault::fatal(Code::Internal, "a simple query was answered in binary");
        return Err(sqlx::Error::Decode(fault.into()));
    }
    value.as_str().map(|text| Some(text.to_owned())).map_err(sqlx::Error::Decode)
}
