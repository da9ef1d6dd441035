//! Queries as sources, read from a result that neither side buffers.

use std::borrow::Cow;

use async_trait::async_trait;
use futures::TryStreamExt;
use jiff::SignedDuration;
use jiff::civil::{Date, DateTime};
use millrace_model::{Code, Fault, Result};
use millrace_runtime::formats::{Cell, CellType};
use sqlx::mysql::{MySqlConnection, MySqlRow, MySqlTypeInfo};
use sqlx::{AssertSqlSafe, Column as _, Executor, MySql, Row as _, SqlSafeStr, Statement, Type, TypeInfo};

use super::config::Config;
use super::connect::connect;
use super::fault::fault;
use crate::query::database::{Database, Dialect, QueryColumn, refused};
use crate::query::rows::{Outlet, Row};

#[async_trait]
impl Database for Config {
    fn dialect(&self) -> Dialect {
        Dialect::Mysql
    }

    async fn columns(&self, sql: &str) -> Result<Vec<QueryColumn>> {
        let mut connection = session(self).await?;
        let statement =
            connection.prepare(AssertSqlSafe(sql).into_sql_str()).await.map_err(|error| refused(fault("preparing the query", error)))?;
        Ok(statement.columns().iter().map(|column| query_column(column.name(), column.type_info())).collect())
    }

    /// By the text protocol, in which the server writes every type.
    async fn read(&self, statement: &str, columns: &[QueryColumn], outlet: &mut Outlet) -> Result<()> {
        let mut connection = session(self).await?;
        let mut rows = sqlx::raw_sql(AssertSqlSafe(statement)).fetch(&mut connection);
        let mut next = async || rows.try_next().await.map_err(|error| refused(fault("running the query", error)));
        while let Some(row) = self.link().step(next()).await? {
            if outlet.push(cells(&row, columns)?).await.is_err() {
                break;
            }
        }
        Ok(())
    }
}

/// A session that can't write.
async fn session(config: &Config) -> Result<MySqlConnection> {
    let mut connection = connect(config).await?;
    let read_only = sqlx::raw_sql("SET SESSION TRANSACTION READ ONLY").execute(&mut connection).await;
    read_only.map_err(|error| fault("preparing a session", error))?;
    Ok(connection)
}

fn query_column(name: &str, of: &MySqlTypeInfo) -> QueryColumn {
    let column = Dialect::Mysql.quoted(name);
    let (expression, cells) = match of.name() {
        // As text a single float has fewer digits than it holds.
        "FLOAT" => (format!("({column} + 0e0)"), CellType::Float),
        // Bits are bytes until one reckons with them.
        "BIT" => (format!("({column} + 0)"), CellType::Bit),
        name => (column, cell_type(name, of)),
    };
    QueryColumn { name: name.to_owned(), expression, cells }
}

fn cell_type(name: &str, of: &MySqlTypeInfo) -> CellType {
    match name {
        "BOOLEAN" => CellType::Bit,
        "BIGINT UNSIGNED" | "DECIMAL" => CellType::Number,
        "DOUBLE" => CellType::Float,
        "TIMESTAMP" => CellType::Timestamp,
        "DATETIME" => CellType::LocalTimestamp,
        "DATE" => CellType::Date,
        "TIME" | "ENUM" | "SET" => CellType::Text,
        "JSON" => CellType::Json,
        "NULL" => CellType::Any,
        "YEAR" => CellType::Integer,
        _ if name.contains("INT") => CellType::Integer,
        // A binary collation looks like bytes by its name.
        _ if <str as Type<MySql>>::compatible(of) => CellType::Text,
        _ => CellType::Bytes,
    }
}

fn cells(row: &MySqlRow, columns: &[QueryColumn]) -> Result<Row> {
    let cell = |(number, column): (usize, &QueryColumn)| {
        let bytes: Option<&[u8]> = row.try_get_unchecked(number).map_err(|error| fault("reading the query's rows", error))?;
        bytes.map_or(Ok(Cell::Null), |bytes| cell(&column.cells, bytes).ok_or_else(|| unlike(column)))
    };
    columns.iter().enumerate().map(cell).collect()
}

/// A value as the server wrote it; nothing when it is no text.
fn cell(of: &CellType, bytes: &[u8]) -> Option<Cell<'static>> {
    if *of == CellType::Bytes {
        return Some(Cell::Bytes(Cow::Owned(bytes.to_vec())));
    }
    let text = std::str::from_utf8(bytes).ok()?;
    let owned = || Cow::Owned(text.to_owned());
    Some(match of {
        CellType::Integer => Cell::Integer(text.parse().ok()?),
        CellType::Bit => Cell::Bit(text.parse().ok()?),
        CellType::Number => Cell::Number(owned()),
        CellType::Float => Cell::Float(text.parse().ok()?),
        CellType::Json => Cell::Json(owned()),
        CellType::Timestamp => micros(text).map_or_else(|| Cell::Invalid(owned()), Cell::Timestamp),
        CellType::LocalTimestamp => micros(text).map_or_else(|| Cell::Invalid(owned()), Cell::LocalTimestamp),
        CellType::Date => days(text).map_or_else(|| Cell::Invalid(owned()), Cell::Date),
        _ => Cell::Text(owned()),
    })
}

/// Microseconds since 1970; none of `0000-00-00 00:00:00` and other dates that the server keeps but no calendar has.
fn micros(text: &str) -> Option<i64> {
    let time: DateTime = text.parse().ok()?;
    i64::try_from(since_1970(time).as_micros()).ok()
}

fn since_1970(time: DateTime) -> SignedDuration {
    time.duration_since(DateTime::constant(1970, 1, 1, 0, 0, 0, 0))
}

fn days(text: &str) -> Option<i32> {
    let date: Date = text.parse().ok()?;
    i32::try_from(since_1970(date.to_datetime(jiff::civil::Time::midnight())).as_hours() / 24).ok()
}

fn unlike(column: &QueryColumn) -> Fault {
    Fault::fatal(Code::Internal, format!("MySQL: the column {:?} of the query has a value of another form than its type's", column.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_counted_from_1970_and_impossible_ones_are_told() {
        assert_eq!(cell(&CellType::Timestamp, b"1970-01-01 00:00:01.000001"), Some(Cell::Timestamp(1_000_001)));
        assert_eq!(cell(&CellType::Date, b"1969-12-31"), Some(Cell::Date(-1)));
        assert_eq!(cell(&CellType::Date, b"0000-00-00"), Some(Cell::Invalid("0000-00-00".into())));
    }

    #[test]
    fn a_number_is_read_as_far_as_it_is_one() {
        assert_eq!(cell(&CellType::Integer, b"-5"), Some(Cell::Integer(-5)));
        assert_eq!(cell(&CellType::Number, b"18446744073709551615"), Some(Cell::Number("18446744073709551615".into())));
        assert_eq!(cell(&CellType::Integer, b"x"), None);
    }
}
