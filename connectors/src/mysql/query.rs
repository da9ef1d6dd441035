//! Queries whose answers people read.

use millrace_model::Result;
use sqlx::mysql::{MySqlConnection, MySqlRow};
use sqlx::{AssertSqlSafe, Column as _, Executor, Row, SqlSafeStr, Statement};

use super::config::Config;
use super::connect::connect;
use super::fault::query_fault;
use crate::table::QueryResult;

/// Runs one statement that reads. The text protocol leaves it to the server to write each value as text.
pub(super) async fn query(config: &Config, sql: &str) -> Result<QueryResult> {
    let mut connection = connect(config).await?;
    sqlx::raw_sql("SET SESSION TRANSACTION READ ONLY").execute(&mut connection).await.map_err(query_fault)?;
    let columns = names(&mut connection, sql).await?;
    let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(&mut connection).await.map_err(query_fault)?;
    let rows = rows.iter().map(texts).collect::<Result<_, sqlx::Error>>().map_err(query_fault)?;
    Ok(QueryResult { columns, rows })
}

async fn names(connection: &mut MySqlConnection, sql: &str) -> Result<Vec<String>> {
    let statement = connection.prepare(AssertSqlSafe(sql).into_sql_str()).await.map_err(query_fault)?;
    Ok(statement.columns().iter().map(|column| column.name().to_owned()).collect())
}

fn texts(row: &MySqlRow) -> Result<Vec<Option<String>>, sqlx::Error> {
    (0..row.len()).map(|column| row.try_get_unchecked::<Option<Vec<u8>>, _>(column).map(|bytes| bytes.map(shown))).collect()
}

fn shown(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| format!("{} bytes", error.as_bytes().len()))
}
