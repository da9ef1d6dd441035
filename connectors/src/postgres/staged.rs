//! The rows of a round, kept until the server has taken them.

use std::ops::Range;

use millrace_model::{Batch, Code, Rejected, Rejection, Stage};

/// Rows, or the keys of rows to delete. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Staged {
    pub(super) batch: Batch,
    pub(super) deleted: bool,
}

/// How many rows the parts have.
pub(super) fn count(staged: &[Staged]) -> usize {
    staged.iter().map(|part| part.batch.len()).sum()
}

/// The rows of a range that counts through all parts, by their part.
pub(super) fn within(staged: &[Staged], rows: Range<usize>) -> impl Iterator<Item = (&Staged, Range<usize>)> {
    let mut first = 0;
    staged.iter().filter_map(move |part| {
        let (from, to) = (rows.start.saturating_sub(first), rows.end.saturating_sub(first).min(part.batch.len()));
        first += part.batch.len();
        (from < to).then_some((part, from..to))
    })
}

/// What the server refused, by numbers that count through all parts.
pub(super) fn rejected(staged: &[Staged], refused: Vec<(usize, String)>) -> Vec<Rejected> {
    let reject = |(row, reason): (usize, String)| {
        let (part, rows) = within(staged, row..row + 1).next()?;
        let origin = part.batch.origin();
        let rejection = Rejection::new(origin.rows()[rows.start], Code::RowRefused, reason);
        Some(Rejected::new(origin.records(), Stage::Write, rejection))
    };
    refused.into_iter().filter_map(reject).collect()
}
