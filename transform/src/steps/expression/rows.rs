//! What expressions are evaluated over, and where the rows that fail are noted.

use std::collections::BTreeMap;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, UInt32Array};
use arrow::compute::{FilterBuilder, filter};
use arrow::error::ArrowError;

/// The columns that expressions read, for all rows of a batch or for some of them.
///
/// Each row knows its number in the batch, so that a failure found in a branch of a CASE, which sees
/// the rows of that branch only, is noted for the right row.
#[derive(Debug, Clone)]
pub(in crate::steps) struct Rows {
    /// Columns by their number; those that the expressions at hand don't read may be missing.
    columns: Vec<Option<ArrayRef>>,
    len: usize,
    /// The number of each row in the batch; `None` when it is its place here.
    numbers: Option<UInt32Array>,
    now: i64,
}

impl Rows {
    /// All rows of a batch, at the time `now` in microseconds since the epoch.
    pub(in crate::steps) fn of(batch: &RecordBatch, now: i64) -> Self {
        Self { columns: batch.columns().iter().cloned().map(Some).collect(), len: batch.num_rows(), numbers: None, now }
    }

    /// The rows of a batch of which `keep` is true, numbered from 0, with the columns `needed`.
    pub(in crate::steps) fn filtered(batch: &RecordBatch, keep: &BooleanArray, needed: &[usize], now: i64) -> Result<Self, ArrowError> {
        let filter = FilterBuilder::new(keep).optimize().build();
        let mut columns = vec![None; batch.num_columns()];
        for &number in needed {
            columns[number] = Some(filter.filter(batch.column(number))?);
        }
        Ok(Self { columns, len: filter.count(), numbers: None, now })
    }

    /// One column, whose rows are numbered from 0 as in a batch of their own.
    pub(super) fn of_column(column: ArrayRef, now: i64) -> Self {
        Self { len: column.len(), columns: vec![Some(column)], numbers: None, now }
    }

    /// One row without columns.
    pub(super) fn single() -> Self {
        Self { columns: Vec::new(), len: 1, numbers: None, now: 0 }
    }

    /// How many rows there are.
    pub(in crate::steps) fn len(&self) -> usize {
        self.len
    }

    /// The batch's time in microseconds since the epoch.
    pub(super) fn now(&self) -> i64 {
        self.now
    }

    /// The number in the batch of the row at `place`.
    pub(super) fn number(&self, place: usize) -> u32 {
        self.numbers.as_ref().map_or(place as u32, |numbers| numbers.value(place))
    }

    /// The column of that number.
    pub(in crate::steps) fn column(&self, number: usize) -> Result<&ArrayRef, ArrowError> {
        let column = self.columns.get(number).and_then(Option::as_ref);
        column.ok_or_else(|| ArrowError::InvalidArgumentError(format!("column {number} was not selected for this expression")))
    }

    /// The rows of which `keep` is true, with the columns `needed`.
    pub(super) fn select(&self, keep: &BooleanArray, needed: &[usize]) -> Result<Self, ArrowError> {
        let mut columns = vec![None; self.columns.len()];
        for &number in needed {
            columns[number] = Some(filter(self.column(number)?, keep)?);
        }
        let numbers: UInt32Array =
            (0..self.len).filter(|&place| keep.is_valid(place) && keep.value(place)).map(|place| self.number(place)).collect();
        Ok(Self { columns, len: numbers.len(), numbers: Some(numbers), now: self.now })
    }

    /// The same rows with one column in place of all.
    pub(super) fn with_column(&self, column: ArrayRef) -> Self {
        Self { columns: vec![Some(column)], len: self.len, numbers: self.numbers.clone(), now: self.now }
    }
}

/// The rows that failed, each with the first reason.
#[derive(Debug, Default)]
pub(in crate::steps) struct Failures {
    reasons: BTreeMap<u32, String>,
    context: String,
}

impl Failures {
    /// From now on reasons begin with `context`: the name of an output column, or of a clause.
    pub(in crate::steps) fn within(&mut self, context: &str) {
        context.clone_into(&mut self.context);
    }

    /// Notes that a row failed, unless it is known; `reason` is made only when it is kept.
    pub(in crate::steps) fn note(&mut self, row: u32, reason: impl FnOnce() -> String) {
        let context = &self.context;
        self.reasons.entry(row).or_insert_with(|| if context.is_empty() { reason() } else { format!("{context}: {}", reason()) });
    }

    /// Whether no row failed.
    pub(in crate::steps) fn is_empty(&self) -> bool {
        self.reasons.is_empty()
    }

    /// The reason for which the row failed.
    pub(in crate::steps) fn of(&self, row: u32) -> Option<&str> {
        self.reasons.get(&row).map(String::as_str)
    }

    /// For each of `count` rows, whether it is good.
    pub(in crate::steps) fn good(&self, count: usize) -> BooleanArray {
        (0..count as u32).map(|row| Some(!self.reasons.contains_key(&row))).collect()
    }

    /// The rows that failed, in their order, with their reasons.
    pub(in crate::steps) fn into_reasons(self) -> impl Iterator<Item = (u32, String)> {
        self.reasons.into_iter()
    }
}
