//! A batch: rows of one schema in columns, each with the record it came from.

use std::sync::Arc;

use arrow::array::{Array, BooleanArray, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, filter_record_batch, take_record_batch};
use arrow::error::ArrowError;

use crate::records::{Record, Records};

/// Where each row of a batch came from: row `i` came from record `rows[i]` of `records`.
///
/// Only the row numbers move when a batch is filtered; the records stay where they are.
#[derive(Debug, Clone)]
pub struct Origin {
    records: Arc<Records>,
    rows: UInt32Array,
}

impl Origin {
    /// Each record in turn.
    pub fn all(records: Arc<Records>) -> Self {
        let rows = (0..records.len() as u32).collect();
        Self { records, rows }
    }

    /// The given records, by their index in `records`, in the given order.
    pub fn of(records: Arc<Records>, rows: impl Into<UInt32Array>) -> Self {
        Self { records, rows: rows.into() }
    }

    /// How many rows have their origin here.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether no row has.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The records that rows came from; there may be more of them than rows.
    pub fn records(&self) -> &Arc<Records> {
        &self.records
    }

    /// For each row the index of its record.
    pub fn rows(&self) -> &[u32] {
        self.rows.values()
    }

    /// The record that `row` came from.
    pub fn record(&self, row: usize) -> Record<'_> {
        self.records.record(self.rows.value(row) as usize)
    }

    /// The origins of the rows that `keep` says `true` of, in their order.
    pub fn filter(&self, keep: &BooleanArray) -> Result<Self, ArrowError> {
        let rows = arrow::compute::filter(&self.rows, keep)?;
        Ok(Self { records: Arc::clone(&self.records), rows: rows.to_data().into() })
    }

    /// The origins of `length` rows from `offset` on.
    #[must_use]
    pub fn slice(&self, offset: usize, length: usize) -> Self {
        Self { records: Arc::clone(&self.records), rows: self.rows.slice(offset, length) }
    }

    /// The origins of the given rows, in the given order.
    pub fn take(&self, rows: &UInt32Array) -> Result<Self, ArrowError> {
        let rows = arrow::compute::take(&self.rows, rows, None)?;
        Ok(Self { records: Arc::clone(&self.records), rows: rows.to_data().into() })
    }
}

/// Rows of one schema as Arrow columns, with an origin for each row.
#[derive(Debug, Clone)]
pub struct Batch {
    columns: RecordBatch,
    origin: Origin,
}

impl Batch {
    /// Rows and their origins.
    ///
    /// # Panics
    /// If there are not as many origins as rows: that would give a record another one's key.
    pub fn new(columns: RecordBatch, origin: Origin) -> Self {
        assert_eq!(columns.num_rows(), origin.len(), "each row has one origin");
        Self { columns, origin }
    }

    /// How many rows it has.
    pub fn len(&self) -> usize {
        self.columns.num_rows()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The columns.
    pub fn columns(&self) -> &RecordBatch {
        &self.columns
    }

    /// Where the rows came from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Columns and origin, taken apart.
    pub fn into_parts(self) -> (RecordBatch, Origin) {
        (self.columns, self.origin)
    }

    /// The rows that `keep` says `true` of, in their order.
    pub fn filter(&self, keep: &BooleanArray) -> Result<Self, ArrowError> {
        Ok(Self { columns: filter_record_batch(&self.columns, keep)?, origin: self.origin.filter(keep)? })
    }

    /// The given rows, in the given order.
    pub fn take(&self, rows: &UInt32Array) -> Result<Self, ArrowError> {
        Ok(Self { columns: take_record_batch(&self.columns, rows)?, origin: self.origin.take(rows)? })
    }

    /// `length` rows from `offset` on.
    #[must_use]
    pub fn slice(&self, offset: usize, length: usize) -> Self {
        Self { columns: self.columns.slice(offset, length), origin: self.origin.slice(offset, length) }
    }

    /// One batch of all rows of `parts`, which are of one schema and of the same records, in the order of the records.
    pub fn merge(records: &Arc<Records>, parts: &[Batch]) -> Result<Option<Self>, ArrowError> {
        let Some(first) = parts.first() else { return Ok(None) };
        let columns = concat_batches(&first.columns.schema(), parts.iter().map(Batch::columns))?;
        let rows: Vec<u32> = parts.iter().flat_map(|part| part.origin.rows().iter().copied()).collect();
        let merged = Self::new(columns, Origin::of(Arc::clone(records), rows));
        merged.in_record_order().map(Some)
    }

    fn in_record_order(self) -> Result<Self, ArrowError> {
        if self.origin.rows().is_sorted() {
            return Ok(self);
        }
        let mut order: Vec<u32> = (0..self.len() as u32).collect();
        order.sort_by_key(|&row| self.origin.rows()[row as usize]);
        self.take(&order.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::RecordsBuilder;
    use arrow::array::{ArrayRef, Int32Array, cast::AsArray, types::Int32Type};

    fn records(count: i64) -> Arc<Records> {
        let mut builder = RecordsBuilder::new("t".into(), count as usize);
        for offset in 0..count {
            builder.push(&Record { topic: "t", partition: 0, offset, timestamp: 0, key: None, value: None, headers: &[] });
        }
        Arc::new(builder.finish())
    }

    fn batch(records: &Arc<Records>, rows: &[u32]) -> Batch {
        let values: ArrayRef = Arc::new(rows.iter().map(|&row| row as i32 * 10).collect::<Int32Array>());
        let columns = RecordBatch::try_from_iter([("n", values)]).expect("one column");
        Batch::new(columns, Origin::of(Arc::clone(records), rows.to_vec()))
    }

    fn numbers(batch: &Batch) -> Vec<i32> {
        batch.columns().column(0).as_primitive::<Int32Type>().values().to_vec()
    }

    #[test]
    fn a_filtered_row_keeps_its_own_record() {
        let kept = batch(&records(4), &[0, 1, 2, 3]).filter(&vec![false, true, false, true].into()).expect("filters");
        assert_eq!(numbers(&kept), [10, 30]);
        assert_eq!(kept.origin().record(1).offset, 3);
    }

    #[test]
    fn parts_decoded_apart_are_merged_in_the_order_of_their_records() {
        let records = records(4);
        let merged = Batch::merge(&records, &[batch(&records, &[1, 3]), batch(&records, &[0, 2])]).expect("merges").expect("has rows");
        assert_eq!(merged.origin().rows(), [0, 1, 2, 3]);
        assert_eq!(numbers(&merged), [0, 10, 20, 30]);
    }
}
