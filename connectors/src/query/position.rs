//! How far a query has been read.

use jiff::Timestamp;
use millrace_model::{Code, Fault, Position, Result};
use millrace_runtime::formats::Cell;
use serde::{Deserialize, Serialize};

use super::config::unfit;

/// The value of a query's [`Position`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct At {
    /// The columns of the cursor that `last` is of.
    pub(super) cursor: Vec<String>,
    /// Their values in the last row of this pass; none before its first row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) last: Option<Vec<CursorValue>>,
    /// How many rows have been read, over all passes: the number of the next one.
    pub(super) rows: u64,
    /// Whether the rows of this pass that have no cursor have been rejected.
    #[serde(default)]
    pub(super) nulls: bool,
    /// When this pass came to its end, in milliseconds since the epoch; `mode: incremental` has no end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ended: Option<i64>,
}

/// A value of a cursor's column, as it can be written into a statement again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CursorValue {
    /// A whole or decimal number, in decimal notation.
    Number(String),
    /// Text.
    Text(String),
    /// Days since 1970-01-01.
    Date(i32),
    /// An instant, in microseconds since the epoch.
    Timestamp(i64),
    /// The same on a wall's calendar and clock.
    LocalTimestamp(i64),
}

impl At {
    /// The first row of a query with that cursor.
    pub(super) fn start(cursor: &[String]) -> Self {
        Self { cursor: cursor.to_vec(), last: None, rows: 0, nulls: false, ended: None }
    }

    /// Where the position says, which must be of the same cursor: another one has another order.
    pub(super) fn of(position: &Position, cursor: &[String]) -> Result<Self> {
        let at: Self = serde_json::from_value(position.at.clone()).map_err(|error| {
            Fault::fatal(Code::Internal, format!("the position of {} is not one of a query", position.split)).because(error)
        })?;
        if at.cursor == cursor {
            return Ok(at);
        }
        let before = at.cursor.join(", ");
        Err(unfit(format!(
            "the query has been read by the cursor [{before}]: set it back, or read by the new one under another pipeline's name"
        )))
    }

    /// The position of a split.
    pub(super) fn position(&self, split: &str) -> Result<Position> {
        let at = serde_json::to_value(self).map_err(|error| Fault::fatal(Code::Internal, "a position is JSON").because(error))?;
        Ok(Position { split: split.to_owned(), at })
    }

    /// When the pass ended, if it did.
    pub(super) fn ended_at(&self) -> Option<Timestamp> {
        self.ended.and_then(|millis| Timestamp::from_millisecond(millis).ok())
    }
}

impl CursorValue {
    /// The value of a cell; none when a cursor has no such values.
    pub(super) fn of(cell: &Cell<'_>) -> Option<Self> {
        Some(match cell {
            Cell::Integer(value) => Self::Number(value.to_string()),
            Cell::Number(text) => Self::Number(text.clone().into_owned()),
            Cell::Text(text) => Self::Text(text.clone().into_owned()),
            Cell::Uuid(bytes) => Self::Text(uuid::Uuid::from_bytes(*bytes).to_string()),
            Cell::Date(days) => Self::Date(*days),
            Cell::Timestamp(micros) => Self::Timestamp(*micros),
            Cell::LocalTimestamp(micros) => Self::LocalTimestamp(*micros),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_reads_back_and_is_of_one_cursor() {
        let cursor = ["updated_at".to_owned(), "id".to_owned()];
        let last = Some(vec![CursorValue::Timestamp(1_000_001), CursorValue::Number("7".into())]);
        let at = At { last, rows: 8, nulls: true, ..At::start(&cursor) };
        let position = at.position("query").expect("is JSON");
        assert_eq!(At::of(&position, &cursor).expect("the same cursor"), at);
        let fault = At::of(&position, &["id".to_owned()]).expect_err("another cursor");
        assert!(fault.message().contains("[updated_at, id]"), "{fault}");
    }
}
