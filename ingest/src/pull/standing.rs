//! Where a split stands: its position, and what has come of it so far. Kept in `millrace.positions`.

use millrace_model::{Code, Fault, Finished, Position, Result};
use serde::{Deserialize, Serialize};

/// A split's standing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Standing {
    #[serde(flatten)]
    pub(super) position: Position,
    /// Absent from what earlier versions have written.
    #[serde(default)]
    pub(super) tally: Tally,
}

/// What came of a split.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tally {
    /// Records that went to the topic.
    pub(super) records: u64,
    /// Records that became dead letters.
    pub(super) rejected: u64,
    /// When its first records were written, in milliseconds since the epoch; 0 before.
    pub(super) began: i64,
    /// The version that was read to its end, if the split is at an end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) finished: Option<String>,
}

impl Standing {
    pub(super) fn of(split: &str, value: &[u8]) -> Result<Self> {
        serde_json::from_slice(value)
            .map_err(|error| Fault::fatal(Code::Internal, format!("the position of {split} can't be read back")).because(error))
    }
}

impl Tally {
    /// With what one transaction writes at `now`. A split that was at its end and goes on is counted on.
    pub(super) fn with(&self, records: u64, rejected: u64, finished: Option<&Finished>, now: i64) -> Self {
        Self {
            records: self.records + records,
            rejected: self.rejected + rejected,
            began: if self.began == 0 { now } else { self.began },
            finished: finished.map(|finished| finished.version.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_position_that_an_earlier_version_wrote_is_a_standing() {
        let standing = Standing::of("a.csv", br#"{"split":"a.csv","at":{"offset":7}}"#).expect("reads");
        assert_eq!((standing.position.at, standing.tally), (json!({ "offset": 7 }), Tally::default()));
    }

    #[test]
    fn a_tally_adds_up_and_keeps_its_beginning() {
        let finished = Finished { place: "/in/a.csv".into(), bytes: 9, version: "v".into() };
        let tally = Tally::default().with(3, 1, None, 5).with(2, 0, Some(&finished), 7);
        assert_eq!(tally, Tally { records: 5, rejected: 1, began: 5, finished: Some("v".into()) });
        assert_eq!(tally.with(1, 0, None, 9).finished, None);
    }
}
