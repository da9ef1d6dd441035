//! The mirror of a change stream: what each record does to the table.
//!
//! | op | Debezium (`envelope: debezium`) | a row (`envelope: flat`) |
//! |---|---|---|
//! | `c`, `u`, `r` | `after` is written | the record is written |
//! | `d` | the row of the keys in `before` is deleted | the row of the record's keys is deleted |
//! | `t` | all rows are deleted | all rows are deleted; the record may have no value |
//!
//! A record without a value deletes the row of its key. What Debezium could not read from the log (large values that did not change)
//! is left as it is: <https://debezium.io/documentation/reference/stable/connectors/postgresql.html#postgresql-toasted-values>.

mod debezium;
mod flat;
mod unavailable;

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{Schema as ArrowSchema, SchemaRef};
use arrow::error::ArrowError;
use millrace_model::{Batch, Code, Fault, Origin, Records, Rejection, Result, Schema};

pub(crate) use debezium::rows;

use crate::config::Envelope;

/// What a change does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op {
    Write,
    Delete,
    Clear,
}

impl Op {
    fn of(text: &[u8]) -> Option<Self> {
        match text {
            b"c" | b"u" | b"r" => Some(Self::Write),
            b"d" => Some(Self::Delete),
            b"t" => Some(Self::Clear),
            _ => None,
        }
    }
}

/// What records do to the table, in their own columns.
#[derive(Debug)]
pub(crate) enum Change {
    /// Rows come. Those that are there keep what they have in the columns `lacking`.
    Write { rows: Batch, lacking: Vec<Arc<str>> },
    /// The rows of these keys go.
    Delete(Batch),
    /// All rows go.
    Clear(Batch),
}

/// Reads changes.
#[derive(Debug)]
pub(crate) struct Mirror {
    envelope: Envelope,
    /// The columns of a row.
    rows: SchemaRef,
    /// The columns that tell rows apart, by their number in a row.
    keys: Vec<usize>,
}

/// The rows of a batch by what they do.
#[derive(Debug, Default)]
struct Sorted {
    writes: Vec<u32>,
    deletes: Vec<u32>,
    clears: Vec<u32>,
    rejected: Vec<Rejection>,
}

impl Sorted {
    fn push(&mut self, op: Op, row: u32) {
        match op {
            Op::Write => self.writes.push(row),
            Op::Delete => self.deletes.push(row),
            Op::Clear => self.clears.push(row),
        }
    }
}

impl Mirror {
    /// For rows of that schema, of which the columns `keys` tell them apart.
    pub(crate) fn new(envelope: Envelope, rows: &Schema, keys: &[String]) -> Self {
        let rows = Arc::clone(rows.arrow());
        let keys = keys.iter().filter_map(|key| rows.index_of(key).ok()).collect();
        Self { envelope, rows, keys }
    }

    /// What the records of a batch do, and those that can't be read as changes.
    pub(crate) fn changes(&self, batch: &Batch) -> Result<(Vec<Change>, Vec<Rejection>)> {
        match self.envelope {
            Envelope::Debezium => debezium::changes(self, batch),
            Envelope::Flat => flat::changes(self, batch),
        }
        .map_err(|error| Fault::fatal(Code::Internal, "changes can't be read by their columns").because(error))
    }

    /// Of records without a value those that delete a row, and those that delete all.
    pub(crate) fn tombstones(&self, records: &Records, tombstones: Vec<u32>) -> (Vec<u32>, Vec<u32>) {
        match self.envelope {
            Envelope::Debezium => (tombstones, Vec::new()),
            Envelope::Flat => tombstones.into_iter().partition(|&record| flat::op(records, record) != Some(Op::Clear)),
        }
    }

    /// Changes that write rows: those that have all of their columns, and the others by what they lack.
    fn writes(&self, rows: Batch) -> Result<Vec<Change>, ArrowError> {
        unavailable::split(rows, &self.keys)
    }

    fn deletes(&self, rows: &Batch) -> Result<Change, ArrowError> {
        Ok(Change::Delete(Batch::new(rows.columns().project(&self.keys)?, rows.origin().clone())))
    }
}

/// The given rows of columns that stand beside a batch's.
fn taken(schema: &SchemaRef, columns: &[ArrayRef], origin: &Origin, rows: Vec<u32>) -> Result<Batch, ArrowError> {
    if rows.len() == origin.len() {
        return Ok(Batch::new(RecordBatch::try_new(Arc::clone(schema), columns.to_vec())?, origin.clone()));
    }
    let rows = UInt32Array::from(rows);
    let columns = columns.iter().map(|column| take(column, &rows, None)).collect::<Result<Vec<_>, _>>()?;
    Ok(Batch::new(RecordBatch::try_new(Arc::clone(schema), columns)?, origin.take(&rows)?))
}

/// A row without columns for each origin.
pub(crate) fn bare(origin: Origin) -> Result<Batch, ArrowError> {
    let rows = RecordBatchOptions::new().with_row_count(Some(origin.len()));
    Ok(Batch::new(RecordBatch::try_new_with_options(ArrowSchema::empty().into(), Vec::new(), &rows)?, origin))
}

fn cleared(origin: &Origin, rows: Vec<u32>) -> Result<Change, ArrowError> {
    bare(origin.take(&rows.into())?).map(Change::Clear)
}

#[cfg(test)]
mod tests;
