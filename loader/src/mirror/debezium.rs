//! Debezium's envelope: <https://debezium.io/documentation/reference/stable/connectors/postgresql.html#postgresql-events>.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray, StructArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use millrace_model::{Batch, Code, Rejection, Result, Schema};
use millrace_runtime::codec;

use super::{Change, Mirror, Op, Sorted, cleared, taken};

/// The schema of the rows that changes are about, or what makes the records no changes.
pub(crate) fn rows(envelope: &Schema) -> Result<Schema, String> {
    let field = |name| envelope.arrow().field_with_name(name).map_err(|_| missing(name));
    let is_record = |name| matches!(field(name).map(arrow::datatypes::Field::data_type), Ok(DataType::Struct(_)));
    if let Some(name) = ["before", "after"].into_iter().find(|name| !is_record(name)) {
        return Err(missing(name));
    }
    if field("before")?.data_type() != field("after")?.data_type() {
        return Err("`before` and `after` are not of one type".to_owned());
    }
    if !matches!(field("op")?.data_type(), DataType::Utf8 | DataType::Dictionary(..)) {
        return Err("`op` is no text".to_owned());
    }
    codec::record(envelope, "after").map_err(|fault| fault.message().to_owned())
}

fn missing(name: &str) -> String {
    format!("a change of Debezium has the records `before` and `after` and the text `op`, and these records have no such `{name}`")
}

pub(super) fn changes(mirror: &Mirror, batch: &Batch) -> Result<(Vec<Change>, Vec<Rejection>), ArrowError> {
    let part =
        |name: &str| batch.columns().column_by_name(name).ok_or_else(|| ArrowError::SchemaError(format!("a change has no column {name}")));
    let ops = cast(part("op")?, &DataType::Utf8)?;
    let (before, after) = (part("before")?.as_struct(), part("after")?.as_struct());
    let sorted = sort(batch, ops.as_string(), before, after);
    let origin = batch.origin();
    let mut changes = mirror.writes(taken(&mirror.rows, after.columns(), origin, sorted.writes)?)?;
    changes.push(mirror.deletes(&keys(mirror, before, batch, sorted.deletes)?)?);
    changes.push(cleared(origin, sorted.clears)?);
    Ok((changes, sorted.rejected))
}

/// Rows of `before`, of which only the keys need be there: the others are null where the source does not log them.
fn keys(mirror: &Mirror, before: &StructArray, batch: &Batch, rows: Vec<u32>) -> Result<Batch, ArrowError> {
    let fields: Vec<_> = mirror.rows.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
    let columns: Vec<ArrayRef> = before.columns().to_vec();
    taken(&Arc::new(arrow::datatypes::Schema::new(fields)), &columns, batch.origin(), rows)
}

fn sort(batch: &Batch, ops: &StringArray, before: &StructArray, after: &StructArray) -> Sorted {
    let mut sorted = Sorted::default();
    for row in 0..batch.len() {
        let op = if ops.is_valid(row) { ops.value(row) } else { "" };
        match Op::of(op.as_bytes()) {
            Some(Op::Write) if after.is_null(row) => reject(&mut sorted, batch, row, format!("op `{op}` has no `after`")),
            Some(Op::Delete) if before.is_null(row) => {
                reject(&mut sorted, batch, row, "op `d` has no `before`: give the source's table a replica identity".to_owned());
            }
            Some(op) => sorted.push(op, row as u32),
            None => reject(&mut sorted, batch, row, format!("op `{op}` is none of c, u, r, d and t")),
        }
    }
    sorted
}

fn reject(sorted: &mut Sorted, batch: &Batch, row: usize, reason: String) {
    sorted.rejected.push(Rejection::new(batch.origin().rows()[row], Code::ChangeInvalid, reason));
}
