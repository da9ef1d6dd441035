//! Queries whose answers people read.

use std::fmt::Write as _;

use millrace_model::Result;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Column as _, Executor, Row, SqlSafeStr, Statement, TypeInfo, ValueRef};

use super::config::Config;
use super::connect::connect_read_only;
use super::fault::query_fault;
use crate::table::QueryResult;

/// Runs one statement on a connection that can't write.
pub(super) async fn query(config: &Config, sql: &str) -> Result<QueryResult> {
    let mut connection = connect_read_only(config).await?;
    let statement = connection.prepare(AssertSqlSafe(sql).into_sql_str()).await.map_err(query_fault)?;
    let columns = statement.columns().iter().map(|column| column.name().to_owned()).collect();
    let rows = statement.query().fetch_all(&mut connection).await.map_err(query_fault)?;
    let rows = rows.iter().map(texts).collect::<Result<_, sqlx::Error>>().map_err(query_fault)?;
    Ok(QueryResult { columns, rows })
}

fn texts(row: &SqliteRow) -> Result<Vec<Option<String>>, sqlx::Error> {
    (0..row.len()).map(|column| text(row, column)).collect()
}

/// A value in the form of its own storage class, whatever its column declares.
fn text(row: &SqliteRow, column: usize) -> Result<Option<String>, sqlx::Error> {
    let value = row.try_get_raw(column)?;
    if value.is_null() {
        return Ok(None);
    }
    Ok(Some(match value.type_info().name() {
        "INTEGER" => row.try_get_unchecked::<i64, _>(column)?.to_string(),
        "REAL" => format!("{:?}", row.try_get_unchecked::<f64, _>(column)?),
        "BLOB" => hexadecimal(row.try_get_unchecked(column)?),
        _ => row.try_get_unchecked(column)?,
    }))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold("\\x".to_owned(), |mut text, byte| {
        // Writing to a String never fails.
        write!(text, "{byte:02x}").unwrap_or_default();
        text
    })
}
