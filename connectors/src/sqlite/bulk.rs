//! Rows through a prepared statement, one after the other.
//!
//! sqlx has each statement run by a thread of its own, with arguments that it keeps copies of. So its connection is lent to rusqlite for as long as
//! rows are written; both are of the same SQLite.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::FieldRef;
use millrace_model::Batch;
use rusqlite::types::Null;
use rusqlite::{Connection, Statement};
use sqlx::Error;
use sqlx::sqlite::{LockedSqliteHandle, SqliteConnection};

use super::fault::of_rusqlite;
use super::order::Place;
use crate::table::{Value, Values};

/// Rows of batches, whose columns hold what `fields` say.
pub(super) struct Rows<'a> {
    pub(super) fields: &'a [FieldRef],
    pub(super) batches: &'a [Batch],
    /// Which of all of them, in their order.
    pub(super) places: &'a [Place],
}

/// Runs the statements for each row in turn, up to the one that changes something. Blocks.
pub(super) async fn run(connection: &mut SqliteConnection, statements: &[Arc<str>], rows: Rows<'_>) -> Result<(), Error> {
    let mut locked = connection.lock_handle().await?;
    let lent = lend(&mut locked).map_err(of_rusqlite)?;
    let statements = statements.iter().map(|sql| lent.prepare(sql)).collect::<Result<Vec<_>, _>>();
    write(&mut statements.map_err(of_rusqlite)?, &rows)
}

fn lend(locked: &mut LockedSqliteHandle<'_>) -> rusqlite::Result<Connection> {
    // SAFETY: the handle is that of an open connection, which nobody else uses while it is locked, and what is made of it is gone before that ends.
    // rusqlite does not close what it was lent.
    unsafe { Connection::from_handle(locked.as_raw_handle().as_ptr()) }
}

fn write(statements: &mut [Statement<'_>], rows: &Rows<'_>) -> Result<(), Error> {
    // Of the batches alone that have one of the rows.
    let mut read: Vec<Option<Vec<Values<'_>>>> = rows.batches.iter().map(|_| None).collect();
    for &Place { batch, row } in rows.places {
        let columns = match &mut read[batch] {
            Some(columns) => columns,
            none => none.insert(columns(rows.fields, rows.batches[batch].columns())?),
        };
        for statement in &mut *statements {
            for (number, values) in (1..).zip(&mut *columns) {
                bind(statement, number, values.of(row).map_err(Error::Encode)?).map_err(of_rusqlite)?;
            }
            if statement.raw_execute().map_err(of_rusqlite)? > 0 {
                break;
            }
        }
    }
    Ok(())
}

fn columns<'a>(fields: &'a [FieldRef], batch: &'a RecordBatch) -> Result<Vec<Values<'a>>, Error> {
    let columns = fields.iter().zip(batch.columns()).map(|(field, array)| Values::in_iso_8601(field, array));
    columns.collect::<Result<_, _>>().map_err(|error| Error::Encode(error.into()))
}

fn bind(statement: &mut Statement<'_>, number: usize, value: Value<'_>) -> rusqlite::Result<()> {
    match value {
        Value::Null => statement.raw_bind_parameter(number, Null),
        Value::Boolean(value) => statement.raw_bind_parameter(number, value),
        Value::Int(value) => statement.raw_bind_parameter(number, value),
        Value::Long(value) => statement.raw_bind_parameter(number, value),
        Value::Float(value) => statement.raw_bind_parameter(number, f64::from(value)),
        Value::Double(value) => statement.raw_bind_parameter(number, value),
        Value::Text(Cow::Borrowed(text)) => statement.raw_bind_parameter(number, text),
        Value::Text(Cow::Owned(text)) => statement.raw_bind_parameter(number, text),
        Value::Bytes(bytes) => statement.raw_bind_parameter(number, bytes),
    }
}
