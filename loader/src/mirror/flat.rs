//! Changes whose value is the row: the op is in a header.

use arrow::error::ArrowError;
use millrace_model::{Batch, Code, Header, Records, Rejection};

use super::{Change, Mirror, Op, Sorted, cleared, taken};

/// Names of the header that says what was done: Millrace's, and what Debezium's `ExtractNewRecordState` writes with `add.headers: op`.
const OPS: [&str; 2] = ["millrace.op", "__op"];
/// The header that names columns which have nothing to say, with commas between them.
const UNCHANGED: &str = "millrace.unchanged";

pub(super) fn changes(mirror: &Mirror, batch: &Batch) -> Result<(Vec<Change>, Vec<Rejection>), ArrowError> {
    let origin = batch.origin();
    let sorted = sort(batch);
    let columns = batch.columns().columns();
    let mut changes = mirror.writes(taken(&mirror.rows, columns, origin, sorted.writes)?)?;
    changes.push(mirror.deletes(&taken(&mirror.rows, columns, origin, sorted.deletes)?)?);
    changes.push(cleared(origin, sorted.clears)?);
    Ok((changes, sorted.rejected))
}

fn sort(batch: &Batch) -> Sorted {
    let (records, mut sorted) = (batch.origin().records(), Sorted::default());
    if !records.has_headers() {
        sorted.writes = (0..batch.len() as u32).collect();
        return sorted;
    }
    for (row, &record) in (0..).zip(batch.origin().rows()) {
        if let Some(op) = op(records, record) {
            sorted.push(op, row);
        } else {
            let reason = format!("the header {} is none of c, u, r, d and t", OPS[0]);
            sorted.rejected.push(Rejection::new(record, Code::ChangeInvalid, reason));
        }
    }
    sorted
}

/// What a record's header says was done: without one it was written. None when that is nothing known.
pub(super) fn op(records: &Records, record: u32) -> Option<Op> {
    let headers = records.headers(record as usize);
    match OPS.iter().find_map(|name| last(headers, name)) {
        Some(header) => Op::of(header.value.as_deref().unwrap_or_default()),
        None => Some(Op::Write),
    }
}

/// The columns that a record's header says have nothing to say.
pub(super) fn unchanged(records: &Records, record: u32) -> Option<&str> {
    let header = last(records.headers(record as usize), UNCHANGED)?;
    header.value.as_deref().and_then(|value| std::str::from_utf8(value).ok())
}

fn last<'a>(headers: &'a [Header], name: &str) -> Option<&'a Header> {
    headers.iter().rfind(|header| header.key == name)
}
