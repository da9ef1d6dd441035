//! Marks of settled dead letters: replayed or discarded, by whom, when and why.
//!
//! They stand in a compacted topic of their own, one for each identity; a dead letter itself is never changed or deleted. A mark is
//! written in the transaction of what it speaks of, so that the two can't differ.
//!
//! A mark settles every letter of its record that was rejected no later than the one that it was made for: a record that a load had
//! rejected at two stages, cut off between them, goes on once. What is rejected later is news, such as after a group's offsets were set back.

use std::collections::BTreeMap;
use std::sync::mpsc::channel;

use jiff::Timestamp;
use millrace_model::{Code, Fault, Record, Records, Result};
use serde::{Deserialize, Serialize};

use super::{DeadLetter, Identity};
use crate::kafka::topics::{self, Declared};
use crate::kafka::{Cluster, Outgoing, Producer, compacted};
pub use crate::own_topics::RESOLVED;

/// What settled a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// The record went its way, as it was or mended.
    Replayed,
    /// Someone decided that it is not needed.
    Discarded,
}

/// A mark.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolution {
    /// What settled it.
    pub how: How,
    /// When.
    pub at: Timestamp,
    /// When the record had been rejected that it settles: by the clock of who rejected it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected_at: Option<Timestamp>,
    /// By whom.
    pub by: String,
    /// Why, or with which patch.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Where the record went.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub to: String,
}

/// The marks there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Marks(BTreeMap<RecordPlace, Resolution>);

/// An identity without its stage.
type RecordPlace = [String; 4];

fn record_of(identity: Identity) -> RecordPlace {
    [identity.pipeline, identity.topic, identity.partition, identity.offset]
}

impl Marks {
    /// What has settled a letter.
    pub fn of(&self, letter: &DeadLetter) -> Option<&Resolution> {
        self.of_record(&record_of(letter.identity()), letter.at())
    }

    fn of_record(&self, record: &RecordPlace, at: Option<Timestamp>) -> Option<&Resolution> {
        let mark = self.0.get(record)?;
        let is_news = mark.rejected_at.is_some_and(|rejected_at| at.is_some_and(|at| at > rejected_at));
        (!is_news).then_some(mark)
    }

    /// Whether the letter of a record is settled that `pipeline` rejected at `at`.
    pub fn settles(&self, pipeline: &str, topic: &str, partition: i32, offset: i64, at: Option<Timestamp>) -> bool {
        let record = [pipeline.to_owned(), topic.to_owned(), partition.to_string(), offset.to_string()];
        self.of_record(&record, at).is_some()
    }

    /// The marks that records of their topic are.
    pub fn in_records(records: &Records) -> Self {
        newest((0..records.len()).map(|row| entry(&records.record(row))))
    }

    /// A letter of that identity has been settled.
    pub fn insert(&mut self, identity: Identity, mark: Resolution) {
        let record = record_of(identity);
        let is_older =
            |known: &Resolution| known.rejected_at.is_none() || (mark.rejected_at.is_some() && known.rejected_at > mark.rejected_at);
        if !self.0.get(&record).is_some_and(is_older) {
            self.0.insert(record, mark);
        }
    }

    fn forget(&mut self, identity: Identity) {
        self.0.remove(&record_of(identity));
    }
}

/// Sends a mark, in the producer's transaction if it is in one.
pub fn mark(producer: &mut Producer, identity: &Identity, resolution: &Resolution) -> Result<()> {
    let json = |error| Fault::fatal(Code::Internal, "a mark of a dead letter is JSON").because(error);
    let key = serde_json::to_vec(identity).map_err(json)?;
    let value = serde_json::to_vec(resolution).map_err(json)?;
    let topic = producer.topic(RESOLVED)?;
    producer.send(topic, &Outgoing { key: Some(&key), value: Some(&value), ..Outgoing::default() })
}

/// The marks, by what they speak of, those of transactions that are open now included once they are committed. Makes their topic when
/// there is none yet.
pub async fn resolutions(cluster: &Cluster) -> Result<Marks> {
    topics::ensure(cluster, &[Declared::compacted(RESOLVED, 1)]).await?;
    let (sender, receiver) = channel();
    // The receiver outlives the reading.
    compacted::read_to_end(cluster, RESOLVED, move |record| sender.send(entry(record)).unwrap_or_default()).await?;
    Ok(newest(receiver))
}

/// The marks that are committed by now; none when their topic does not exist.
pub async fn resolutions_now(cluster: &Cluster) -> Result<Marks> {
    let (sender, receiver) = channel();
    match compacted::read_now(cluster, RESOLVED, move |record| sender.send(entry(record)).unwrap_or_default()).await {
        Err(fault) if fault.code() == Code::KafkaTopicMissing => Ok(Marks::default()),
        read => read.map(|()| newest(receiver)),
    }
}

/// A mark as it stands in the topic.
type Entry = (Option<Vec<u8>>, Option<Vec<u8>>);

fn entry(record: &Record<'_>) -> Entry {
    (record.key.map(<[u8]>::to_vec), record.value.map(<[u8]>::to_vec))
}

fn newest(entries: impl IntoIterator<Item = Entry>) -> Marks {
    let mut newest = Marks::default();
    for (key, value) in entries {
        let Some(identity) = key.and_then(|key| serde_json::from_slice::<Identity>(&key).ok()) else { continue };
        match value {
            Some(value) => newest.insert(identity, of(&value)),
            None => newest.forget(identity),
        }
    }
    newest
}

/// A mark that another version wrote otherwise is a mark all the same: nothing is replayed twice by mistake.
fn of(value: &[u8]) -> Resolution {
    serde_json::from_slice(value).unwrap_or_else(|_| Resolution {
        how: How::Replayed,
        at: Timestamp::UNIX_EPOCH,
        rejected_at: None,
        by: String::new(),
        reason: "a mark that this version can't read".to_owned(),
        to: String::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use millrace_model::Header;

    fn identity(offset: &str) -> Identity {
        ["p.x", "in", "0", offset, "decode"].map(str::to_owned).into()
    }

    fn key(offset: &str) -> Option<Vec<u8>> {
        serde_json::to_vec(&identity(offset)).ok()
    }

    fn letter(offset: &str, stage: &str, at: &str) -> DeadLetter {
        let said = [("pipeline", "p.x"), ("topic", "in"), ("partition", "0"), ("offset", offset), ("stage", stage), ("at", at)];
        let headers = said.map(|(name, value)| Header { key: format!("millrace.error.{name}"), value: Some(value.into()) });
        DeadLetter::of(&Record { topic: "dead", partition: 0, offset: 0, timestamp: 0, key: None, value: None, headers: &headers })
    }

    #[test]
    fn the_newest_mark_counts_and_one_that_can_not_be_read_counts_too() {
        let discarded = br#"{"how":"discarded","at":"2026-01-01T00:00:00Z","by":"ann","reason":"test data"}"#;
        let entries = [
            (key("1"), Some(discarded.to_vec())),
            (key("2"), Some(b"?".to_vec())),
            (key("3"), Some(discarded.to_vec())),
            (key("3"), None),
            (Some(b"noise".to_vec()), None),
            (None, None),
        ];
        let marks = newest(entries);
        let of = |offset: &str| marks.of(&letter(offset, "decode", "2026-01-01T00:00:00Z")).map(|mark| (mark.how, mark.by.clone()));
        assert_eq!(of("1"), Some((How::Discarded, "ann".to_owned())));
        assert_eq!(of("2").map(|(how, _)| how), Some(How::Replayed));
        assert_eq!(of("3"), None);
    }

    #[test]
    fn a_mark_settles_all_letters_of_its_record_but_those_that_came_later() {
        let mut marks = Marks::default();
        let mark = |at: &str| Resolution { rejected_at: at.parse().ok(), ..of(b"?") };
        marks.insert(identity("1"), mark("2026-01-01T00:00:02Z"));
        marks.insert(identity("1"), mark("2026-01-01T00:00:01Z"));
        assert!(marks.of(&letter("1", "decode", "2026-01-01T00:00:02Z")).is_some());
        assert!(marks.of(&letter("1", "write", "2026-01-01T00:00:01Z")).is_some(), "another stage");
        assert!(marks.of(&letter("1", "decode", "2026-01-01T00:00:03Z")).is_none(), "rejected anew");
        assert!(marks.of(&letter("2", "decode", "2026-01-01T00:00:01Z")).is_none());
    }

    #[test]
    fn a_mark_is_kept_under_the_five_parts_of_the_identity() {
        assert_eq!(key("7").as_deref(), Some(br#"["p.x","in","0","7","decode"]"#.as_slice()));
    }
}
