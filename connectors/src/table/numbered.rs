//! The parts of a round, their rows numbered through all of them.

use std::ops::Range;

use millrace_model::{Batch, Code, Rejected, Rejection, Stage};

/// What is a batch, or has one.
pub(crate) trait Part {
    /// Its rows.
    fn batch(&self) -> &Batch;
}

impl Part for Batch {
    fn batch(&self) -> &Batch {
        self
    }
}

/// How many rows the parts have.
pub(crate) fn count(parts: &[impl Part]) -> usize {
    parts.iter().map(|part| part.batch().len()).sum()
}

/// The rows of a range, by their part.
pub(crate) fn within<P: Part>(parts: &[P], rows: Range<usize>) -> impl Iterator<Item = (&P, Range<usize>)> {
    let mut first = 0;
    parts.iter().filter_map(move |part| {
        let length = part.batch().len();
        let (from, to) = (rows.start.saturating_sub(first), rows.end.saturating_sub(first).min(length));
        first += length;
        (from < to).then_some((part, from..to))
    })
}

/// What the server refused, by its numbers.
pub(crate) fn rejected(parts: &[impl Part], refused: Vec<(usize, String)>) -> Vec<Rejected> {
    let reject = |(row, reason): (usize, String)| {
        let (part, rows) = within(parts, row..row + 1).next()?;
        let origin = part.batch().origin();
        let rejection = Rejection::new(origin.rows()[rows.start], Code::RowRefused, reason);
        Some(Rejected::new(origin.records(), Stage::Write, rejection))
    };
    refused.into_iter().filter_map(reject).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{RecordBatch, RecordBatchOptions};
    use arrow::datatypes::Schema;
    use millrace_model::{Origin, Record, RecordsBuilder};
    use std::sync::Arc;

    fn part(offsets: Range<i64>) -> Batch {
        let mut records = RecordsBuilder::new("t".into(), 0);
        let rows = (offsets.end - offsets.start) as usize;
        for offset in offsets {
            records.push(&Record { topic: "t", partition: 0, offset, timestamp: 0, key: None, value: None, headers: &[] });
        }
        let count = RecordBatchOptions::new().with_row_count(Some(rows));
        let columns = RecordBatch::try_new_with_options(Schema::empty().into(), Vec::new(), &count).expect("no columns");
        Batch::new(columns, Origin::all(Arc::new(records.finish())))
    }

    #[test]
    fn a_range_is_the_rows_of_each_part_that_it_touches() {
        let parts = [part(0..2), part(10..13), part(20..21)];
        assert_eq!(count(&parts), 6);
        let rows = |range| within(&parts, range).map(|(part, rows)| (part.len(), rows)).collect::<Vec<_>>();
        assert_eq!(rows(0..6), [(2, 0..2), (3, 0..3), (1, 0..1)]);
        assert_eq!(rows(1..4), [(2, 1..2), (3, 0..2)]);
        assert_eq!(rows(2..2), []);
    }

    #[test]
    fn a_refused_row_is_a_record_of_its_own_part() {
        let refused = rejected(&[part(0..2), part(10..13)], vec![(1, "a".to_owned()), (4, "b".to_owned())]);
        let told: Vec<_> = refused.iter().map(|rejected| (rejected.record().offset, rejected.reason().to_owned())).collect();
        assert_eq!(told, [(1, "a".to_owned()), (12, "b".to_owned())]);
    }
}
