//! Queries whose answers people read.

use millrace_model::{Code, Fault, Result};
use sqlx::postgres::{PgRow, PgValueFormat};
use sqlx::{AssertSqlSafe, Column as _, Executor, Row, SqlSafeStr, Statement, ValueRef};

use super::config::Config;
use super::connect::{Access, connect};
use super::fault::query_fault;
use crate::table::{QueryResult, quoted};

/// Runs one statement that reads, in the connection's schema. The simple query protocol leaves it to the server to write each value as text.
pub(super) async fn query(config: &Config, sql: &str) -> Result<QueryResult> {
    let mut connection = connect(config, "query", Access::Read).await?;
    let settings = format!("SET default_transaction_read_only = on; SET search_path = {}, public", quoted(&config.schema));
    sqlx::raw_sql(AssertSqlSafe(settings)).execute(&mut connection).await.map_err(query_fault)?;
    let statement = connection.prepare(AssertSqlSafe(sql).into_sql_str()).await.map_err(query_fault)?;
    let columns = statement.columns().iter().map(|column| column.name().to_owned()).collect();
    let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(&mut connection).await.map_err(query_fault)?;
    let rows = rows.iter().map(texts).collect::<Result<_, sqlx::Error>>().map_err(query_fault)?;
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
