//! What records do to a table, in the order of the records.

use arrow::array::BooleanArray;
use millrace_model::{Batch, Code, Fault, Result};

/// What a part does to the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Its rows come.
    Write,
    /// The rows of its keys go.
    Delete,
    /// All rows go, for each of its records once.
    Clear,
}

/// Rows, or keys of rows, that have one thing done to them.
#[derive(Debug, Clone)]
pub struct Part {
    /// What is done.
    pub action: Action,
    /// To what; without columns where all rows go.
    pub batch: Batch,
}

impl Part {
    pub(crate) fn new(action: Action, batch: Batch) -> Self {
        Self { action, batch }
    }

    /// The same without the rows of the records that `is_out` says true of.
    pub(crate) fn without(&self, is_out: impl Fn(u32) -> bool) -> Result<Self> {
        let stays: BooleanArray = self.batch.origin().rows().iter().map(|&record| Some(!is_out(record))).collect();
        let defect = |error| Fault::fatal(Code::Internal, "rows of a part can't be left out").because(error);
        Ok(Self { action: self.action, batch: self.batch.filter(&stays).map_err(defect)? })
    }

    /// The record of its row number `row`; after the last one there is none.
    fn record(&self, row: usize) -> Option<u32> {
        self.batch.origin().rows().get(row).copied()
    }

    /// How many of its rows, from `row` on, come before record `limit`.
    fn before(&self, row: usize, limit: Option<u32>) -> usize {
        let records = &self.batch.origin().rows()[row..];
        records.partition_point(|record| limit.is_none_or(|limit| *record < limit))
    }
}

/// Cuts parts, each ascending by record, into pieces in the order of the records.
pub(crate) fn interleaved(mut parts: Vec<Part>) -> Vec<Part> {
    parts.retain(|part| !part.batch.is_empty());
    if parts.len() < 2 {
        return parts;
    }
    let (mut rows, mut pieces) = (vec![0; parts.len()], Vec::new());
    while let Some((next, limit)) = next(&parts, &rows) {
        let (part, row) = (&parts[next], rows[next]);
        let count = part.before(row, limit);
        pieces.push(Part::new(part.action, part.batch.slice(row, count)));
        rows[next] += count;
    }
    pieces
}

/// The part whose turn it is, and the record at which it is another one's.
fn next(parts: &[Part], rows: &[usize]) -> Option<(usize, Option<u32>)> {
    let heads = || parts.iter().zip(rows).enumerate().filter_map(|(number, (part, &row))| Some((part.record(row)?, number)));
    let (_, first) = heads().min()?;
    Some((first, heads().filter(|&(_, number)| number != first).map(|(record, _)| record).min()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Int32Array, RecordBatch};
    use millrace_model::{Origin, Record, RecordsBuilder};
    use std::sync::Arc;

    fn part(action: Action, rows: &[u32]) -> Part {
        let mut records = RecordsBuilder::new("t".into(), 8);
        for offset in 0..8 {
            records.push(&Record { topic: "t", partition: 0, offset, timestamp: 0, key: None, value: None, headers: &[] });
        }
        let column: ArrayRef = Arc::new(Int32Array::from_iter_values(rows.iter().map(|&row| row as i32)));
        let columns = RecordBatch::try_from_iter([("n", column)]).expect("one column");
        Part::new(action, Batch::new(columns, Origin::of(Arc::new(records.finish()), rows.to_vec())))
    }

    fn order(parts: Vec<Part>) -> Vec<(Action, Vec<u32>)> {
        interleaved(parts).into_iter().map(|part| (part.action, part.batch.origin().rows().to_vec())).collect()
    }

    #[test]
    fn rows_and_deletions_are_staged_in_the_order_of_their_records() {
        let (write, delete) = (Action::Write, Action::Delete);
        let order = order(vec![part(write, &[0, 1, 4]), part(delete, &[2, 3, 5])]);
        assert_eq!(order, [(write, vec![0, 1]), (delete, vec![2, 3]), (write, vec![4]), (delete, vec![5])]);
    }

    #[test]
    fn more_than_two_parts_keep_the_order_too() {
        let (write, delete, clear) = (Action::Write, Action::Delete, Action::Clear);
        let order = order(vec![part(write, &[0, 6]), part(write, &[1, 2, 7]), part(clear, &[3, 5]), part(delete, &[4])]);
        let expected = [
            (write, vec![0]),
            (write, vec![1, 2]),
            (clear, vec![3]),
            (delete, vec![4]),
            (clear, vec![5]),
            (write, vec![6]),
            (write, vec![7]),
        ];
        assert_eq!(order, expected);
    }

    #[test]
    fn a_deletion_may_come_first_and_alone() {
        assert_eq!(order(vec![part(Action::Write, &[]), part(Action::Delete, &[0])]), [(Action::Delete, vec![0])]);
    }
}
