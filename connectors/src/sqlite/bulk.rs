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

use super::fault::{of_rusqlite, refusal};
use super::order::Place;
use crate::table::{Value, Values};

/// Rows of batches, whose columns hold what `fields` say.
pub(super) struct Rows<'a> {
    pub(super) fields: &'a [FieldRef],
    pub(super) batches: &'a [Batch],
    /// All of them, in the order in which they are written.
    pub(super) places: &'a [Place],
}

/// What is done for each row, and whether the table does more with one than keep it.
pub(super) struct Bulk<'a> {
    /// Run one after the other, up to the one that changes something.
    pub(super) statements: &'a [Arc<str>],
    /// Whether what a refused row has left behind must be undone. Of a plain table a statement that fails leaves nothing
    /// (<https://www.sqlite.org/lang_conflict.html>), and a savepoint would make SQLite copy every page that is changed behind it.
    pub(super) guarded: bool,
}

/// A row that was refused, by its place, and SQLite's words.
pub(super) type RefusedRow = (usize, String);

impl Bulk<'_> {
    /// Writes each row in turn, or leaves out those that are refused, and returns them. Blocks.
    pub(super) async fn run(&self, connection: &mut SqliteConnection, rows: Rows<'_>) -> Result<Vec<RefusedRow>, Error> {
        let mut locked = connection.lock_handle().await?;
        let lent = lend(&mut locked).map_err(of_rusqlite)?;
        let statements = self.statements.iter().map(|sql| lent.prepare(sql)).collect::<Result<Vec<_>, _>>().map_err(of_rusqlite)?;
        let guard = if self.guarded { Some(Guard::of(&lent).map_err(of_rusqlite)?) } else { None };
        write(&mut Writing { connection: &lent, statements, guard }, &rows)
    }
}

fn lend(locked: &mut LockedSqliteHandle<'_>) -> rusqlite::Result<Connection> {
    // SAFETY: the handle is that of an open connection, which nobody else uses while it is locked, and what is made of it is gone before that ends.
    // rusqlite does not close what it was lent.
    unsafe { Connection::from_handle(locked.as_raw_handle().as_ptr()) }
}

/// Each row between two of these.
struct Guard<'c> {
    set: Statement<'c>,
    undo: Statement<'c>,
    release: Statement<'c>,
}

impl<'c> Guard<'c> {
    fn of(connection: &'c Connection) -> rusqlite::Result<Self> {
        let [set, undo, release] = ["SAVEPOINT row", "ROLLBACK TO row", "RELEASE row"].map(|sql| connection.prepare(sql));
        Ok(Self { set: set?, undo: undo?, release: release? })
    }
}

struct Writing<'c> {
    connection: &'c Connection,
    statements: Vec<Statement<'c>>,
    guard: Option<Guard<'c>>,
}

impl Writing<'_> {
    /// Writes a row, or says why it is refused.
    fn row(&mut self, columns: &mut [Values<'_>], row: usize) -> Result<Option<String>, Error> {
        if let Some(guard) = &mut self.guard {
            guard.set.raw_execute().map_err(of_rusqlite)?;
        }
        let refused = match execute(&mut self.statements, columns, row) {
            Ok(()) => None,
            // What ends the transaction ends what was written before.
            Err(error) if self.connection.is_autocommit() => return Err(error),
            Err(error) => Some(refusal(&error).ok_or(error)?),
        };
        if let Some(guard) = &mut self.guard {
            if refused.is_some() {
                guard.undo.raw_execute().map_err(of_rusqlite)?;
            }
            guard.release.raw_execute().map_err(of_rusqlite)?;
        }
        Ok(refused)
    }
}

fn execute(statements: &mut [Statement<'_>], columns: &mut [Values<'_>], row: usize) -> Result<(), Error> {
    for statement in statements {
        for (number, values) in (1..).zip(&mut *columns) {
            bind(statement, number, values.of(row).map_err(Error::Encode)?).map_err(of_rusqlite)?;
        }
        if statement.raw_execute().map_err(of_rusqlite)? > 0 {
            break;
        }
    }
    Ok(())
}

fn write(writing: &mut Writing<'_>, rows: &Rows<'_>) -> Result<Vec<RefusedRow>, Error> {
    let mut refused = Vec::new();
    // Of the batches alone that have one of the rows.
    let mut read: Vec<Option<Vec<Values<'_>>>> = rows.batches.iter().map(|_| None).collect();
    for (place, &Place { batch, row }) in rows.places.iter().enumerate() {
        let columns = match &mut read[batch] {
            Some(columns) => columns,
            none => none.insert(columns(rows.fields, rows.batches[batch].columns())?),
        };
        refused.extend(writing.row(columns, row)?.map(|reason| (place, reason)));
    }
    Ok(refused)
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
