//! How many letters there are, by where and why.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Unit};
use millrace_runtime::dead_letters::DeadLetter;
use serde::Serialize;

use crate::letters::Letter;

/// What letters are counted by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Kind {
    /// The pipeline.
    pub pipeline: String,
    /// The code of the reason.
    pub code: String,
    /// Where in the pipeline.
    pub stage: String,
    /// The hour in which the records were rejected, in UTC.
    pub hour: String,
}

/// How many there are of a kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// All of them.
    pub letters: u64,
    /// Those that nobody has settled.
    pub waiting: u64,
    /// Later records of their keys that wait behind them.
    pub behind: u64,
    /// Bytes of their keys and values, those left out because they were too large included.
    pub bytes: u64,
}

/// The counts of letters, by kind.
pub fn count(letters: &[Letter]) -> BTreeMap<Kind, Count> {
    let mut counts: BTreeMap<Kind, Count> = BTreeMap::new();
    for Letter { letter, resolution, behind } in letters {
        let count = counts.entry(kind(letter)).or_default();
        count.letters += 1;
        count.waiting += u64::from(resolution.is_none());
        count.behind += behind;
        count.bytes += bytes(letter);
    }
    counts
}

fn kind(letter: &DeadLetter) -> Kind {
    let [pipeline, code, stage] = ["pipeline", "code", "stage"].map(|name| letter.said(name).to_owned());
    Kind { pipeline, code, stage, hour: letter.at().map(hour).unwrap_or_default() }
}

fn hour(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC)
        .round(jiff::ZonedRound::new().smallest(Unit::Hour).mode(jiff::RoundMode::Trunc))
        .map_or_else(|_| String::new(), |hour| hour.timestamp().to_string())
}

fn bytes(letter: &DeadLetter) -> u64 {
    let kept = [&letter.key, &letter.value].into_iter().flatten().map(Vec::len).sum::<usize>() as u64;
    kept + letter.omitted_bytes().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use millrace_model::{Header, Record};
    use millrace_runtime::dead_letters::{How, Resolution};

    fn letter(code: &str, at: &str, settled: bool) -> Letter {
        let header = |name: &str, value: &str| Header { key: format!("millrace.error.{name}"), value: Some(value.into()) };
        let headers = [header("pipeline", "p.x"), header("stage", "decode"), header("code", code), header("at", at)];
        let record = Record { topic: "dead", partition: 0, offset: 0, timestamp: 0, key: Some(b"k"), value: Some(b"v"), headers: &headers };
        let mark = Resolution {
            how: How::Discarded,
            at: Timestamp::UNIX_EPOCH,
            rejected_at: None,
            by: String::new(),
            reason: String::new(),
            to: String::new(),
        };
        Letter { letter: DeadLetter::of(&record), resolution: settled.then_some(mark), behind: 2 }
    }

    #[test]
    fn letters_are_counted_by_pipeline_code_stage_and_hour() {
        let letters = [
            letter("MR0311", "2026-01-01T10:00:00Z", false),
            letter("MR0311", "2026-01-01T10:59:59.9Z", true),
            letter("MR0311", "2026-01-01T11:00:00Z", false),
            letter("MR0504", "2026-01-01T10:00:00Z", false),
        ];
        let counts = count(&letters);
        let told: Vec<_> =
            counts.iter().map(|(kind, count)| (kind.code.as_str(), kind.hour.as_str(), count.letters, count.waiting)).collect();
        let (ten, eleven) = ("2026-01-01T10:00:00Z", "2026-01-01T11:00:00Z");
        assert_eq!(told, [("MR0311", ten, 2, 1), ("MR0311", eleven, 1, 1), ("MR0504", ten, 1, 1)]);
    }
}
