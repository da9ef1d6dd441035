//! Queries as sources, read row by row as the statement is stepped.

use std::borrow::Cow;

use async_trait::async_trait;
use futures::TryStreamExt;
use millrace_model::Result;
use millrace_runtime::formats::{Cell, CellType};
use sqlx::sqlite::{SqliteRow, SqliteStatement};
use sqlx::{AssertSqlSafe, Column as _, Executor, Row as _, SqlSafeStr, Statement, TypeInfo, ValueRef};

use super::config::Config;
use super::connect::connect_read_only;
use super::fault::fault;
use crate::query::database::{Database, Dialect, QueryColumn, refused};
use crate::query::rows::{Outlet, Row};
use crate::table::quoted;

#[async_trait]
impl Database for Config {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    async fn columns(&self, sql: &str) -> Result<Vec<QueryColumn>> {
        let mut connection = connect_read_only(self).await?;
        let statement =
            connection.prepare(AssertSqlSafe(sql).into_sql_str()).await.map_err(|error| refused(fault("preparing the query", error)))?;
        Ok(query_columns(&statement))
    }

    async fn read(&self, statement: &str, columns: &[QueryColumn], outlet: &mut Outlet) -> Result<()> {
        let mut connection = connect_read_only(self).await?;
        let mut rows = sqlx::query(AssertSqlSafe(statement)).persistent(false).fetch(&mut connection);
        while let Some(row) = rows.try_next().await.map_err(|error| refused(fault("running the query", error)))? {
            let row = cells(&row, columns).map_err(|error| fault("reading the query's rows", error))?;
            if outlet.push(row).await.is_err() {
                break;
            }
        }
        Ok(())
    }
}

/// Any column may hold values of any type. What it is declared as says what numbers in it mean.
fn query_columns(statement: &SqliteStatement) -> Vec<QueryColumn> {
    let column = |column: &sqlx::sqlite::SqliteColumn| {
        let cells = match column.type_info().name() {
            "BOOLEAN" => CellType::Bit,
            "REAL" => CellType::Float,
            _ => CellType::Any,
        };
        QueryColumn { name: column.name().to_owned(), expression: quoted(column.name()), cells }
    };
    statement.columns().iter().map(column).collect()
}

fn cells(row: &SqliteRow, columns: &[QueryColumn]) -> Result<Row, sqlx::Error> {
    columns.iter().enumerate().map(|(number, column)| cell(row, number, &column.cells)).collect()
}

fn cell(row: &SqliteRow, number: usize, of: &CellType) -> Result<Cell<'static>, sqlx::Error> {
    let value = row.try_get_raw(number)?;
    if value.is_null() {
        return Ok(Cell::Null);
    }
    Ok(match (value.type_info().name(), of) {
        ("INTEGER", CellType::Bit) => Cell::Bit(row.try_get_unchecked(number)?),
        ("INTEGER", _) => Cell::Integer(row.try_get_unchecked(number)?),
        ("REAL", CellType::Float) => Cell::Float(row.try_get_unchecked(number)?),
        // A decimal has no storage class of its own: the shortest digits are those that were written.
        ("REAL", _) => Cell::Number(Cow::Owned(row.try_get_unchecked::<f64, _>(number)?.to_string())),
        ("BLOB", _) => Cell::Bytes(Cow::Owned(row.try_get_unchecked(number)?)),
        _ => text(row.try_get_unchecked(number)?),
    })
}

/// SQLite does not look whether text is UTF-8.
fn text(bytes: Vec<u8>) -> Cell<'static> {
    String::from_utf8(bytes)
        .map_or_else(|error| Cell::Invalid(Cow::Owned(format!("text that is not UTF-8: {error}"))), |text| Cell::Text(Cow::Owned(text)))
}
