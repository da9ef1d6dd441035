//! How far a file has been read.

use millrace_model::{Code, Fault, Position, Result};
use serde::{Deserialize, Serialize};

use super::beginning::Beginning;

/// The value of a file's [`Position`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct At {
    /// How many files of this name have been read before this one.
    #[serde(default, skip_serializing_if = "is_none")]
    pub(super) generation: u64,
    /// Which version is being read; none of a file that may grow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) version: Option<String>,
    /// The inode of a file that is followed as it grows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) inode: Option<u64>,
    /// The number of the file within an archive, from 0.
    #[serde(default, skip_serializing_if = "is_none")]
    pub(super) part: u64,
    /// Where in its lines, of a line format.
    #[serde(flatten)]
    pub(super) lines: LineAt,
    /// The number of the next record, of a block format.
    #[serde(default, skip_serializing_if = "is_none")]
    pub(super) record: u64,
    /// Whether all of it has been read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) ended: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_none(count: &u64) -> bool {
    *count == 0
}

/// How far a text of lines has been read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LineAt {
    /// Bytes that are done with, decompressed ones.
    pub(super) offset: u64,
    /// The number of the next line, from 1.
    pub(super) line: u64,
    /// The names of the columns of a CSV file, once its header has been read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) header: Option<Vec<String>>,
    /// Whether the offset is within a line that was too long, whose rest is passed over.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) skipping: bool,
    /// What the text began with.
    #[serde(default)]
    pub(super) beginning: Beginning,
}

impl Default for LineAt {
    fn default() -> Self {
        Self { offset: 0, line: 1, header: None, skipping: false, beginning: Beginning::default() }
    }
}

impl At {
    /// Reads a position back.
    pub(super) fn of(position: &Position) -> Result<Self> {
        serde_json::from_value(position.at.clone()).map_err(|error| {
            Fault::fatal(Code::Internal, format!("the position of {} is not one of a file", position.split)).because(error)
        })
    }

    /// As a position of the split.
    pub(super) fn position(&self, split: &str) -> Result<Position> {
        let at = serde_json::to_value(self).map_err(|error| Fault::fatal(Code::Internal, "a position is JSON").because(error))?;
        Ok(Position { split: split.to_owned(), at })
    }

    /// The beginning of another file of the same name.
    pub(super) fn of_another(&self) -> Self {
        Self { generation: self.generation + 1, ..Self::default() }
    }

    /// The beginning of the next file in the archive.
    pub(super) fn next_part(&self) -> Self {
        Self { part: self.part + 1, lines: LineAt::default(), record: 0, ..self.clone() }
    }

    /// Whether anything has been read.
    pub(super) fn has_begun(&self) -> bool {
        self.lines.offset > 0 || self.record > 0 || self.part > 0 || self.ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_position_of_an_older_version_is_read() {
        let position = Position { split: "a.csv".into(), at: json!({ "offset": 10, "line": 2, "header": ["s"] }) };
        let at = At::of(&position).expect("reads");
        assert_eq!((at.lines.offset, at.lines.line, at.ended, at.version), (10, 2, false, None));
    }

    #[test]
    fn what_says_nothing_is_not_written() {
        let at = At { lines: LineAt { offset: 10, line: 2, ..LineAt::default() }, ..At::default() };
        let position = at.position("a.csv").expect("is JSON");
        let fields: Vec<&String> = position.at.as_object().expect("an object").keys().collect();
        assert_eq!(fields, ["beginning", "line", "offset"]);
        assert_eq!(At::of(&position).expect("reads"), at);
    }
}
