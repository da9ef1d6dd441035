//! The rows of a round, kept until the server has taken them.

use std::ops::Range;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::Schema as ArrowSchema;
use millrace_model::{Batch, Code, Fault, Origin, Result};

use crate::table::Part;

/// What a part of a round does to the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// Its rows come.
    Rows,
    /// The rows of its keys go.
    Deletions,
    /// All rows go.
    Clear,
}

/// A part of a round. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Staged {
    pub(crate) batch: Batch,
    pub(crate) change: Change,
}

impl Staged {
    /// The deletion of all rows, which the record of that origin asks for: a part of one row without columns.
    pub(crate) fn clear(origin: Origin) -> Result<Self> {
        let rows = RecordBatchOptions::new().with_row_count(Some(origin.len()));
        let columns = RecordBatch::try_new_with_options(ArrowSchema::empty().into(), Vec::new(), &rows)
            .map_err(|error| Fault::fatal(Code::Internal, "making a row without columns").because(error))?;
        Ok(Self { batch: Batch::new(columns, origin), change: Change::Clear })
    }
}

impl Part for Staged {
    fn batch(&self) -> &Batch {
        &self.batch
    }
}

/// Rows that follow one another without a [`Change::Clear`] between them, or the number of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Segment {
    Rows(Range<usize>),
    Clear(usize),
}

/// A round, cut where all rows are deleted.
pub(crate) fn segments(staged: &[Staged]) -> Vec<Segment> {
    let (mut segments, mut from, mut row) = (Vec::new(), 0, 0);
    for part in staged {
        if part.change == Change::Clear {
            segments.extend([Segment::Rows(from..row), Segment::Clear(row)]);
            from = row + part.batch.len();
        }
        row += part.batch.len();
    }
    segments.push(Segment::Rows(from..row));
    segments.retain(|segment| !matches!(segment, Segment::Rows(rows) if rows.is_empty()));
    segments
}

#[cfg(test)]
mod tests {
    use super::*;
    use millrace_model::{Record, RecordsBuilder};
    use std::sync::Arc;

    fn part(rows: u32, change: Change) -> Staged {
        let mut records = RecordsBuilder::new("t".into(), rows as usize);
        for offset in 0..i64::from(rows) {
            records.push(&Record { topic: "t", partition: 0, offset, timestamp: 0, key: None, value: None, headers: &[] });
        }
        Staged { change, ..Staged::clear(Origin::all(Arc::new(records.finish()))).expect("a part") }
    }

    #[test]
    fn a_round_is_cut_where_all_rows_are_deleted() {
        let (rows, clear) = (|rows| part(rows, Change::Rows), || part(1, Change::Clear));
        assert_eq!(segments(&[rows(2), part(3, Change::Deletions)]), [Segment::Rows(0..5)]);
        let expected = [Segment::Rows(0..2), Segment::Clear(2), Segment::Clear(3), Segment::Rows(4..5)];
        assert_eq!(segments(&[rows(2), clear(), clear(), rows(1)]), expected);
        assert_eq!(segments(&[]), []);
    }
}
