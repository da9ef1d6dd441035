//! Marks of settled dead letters: replayed or discarded, by whom, when and why.
//!
//! They stand in a compacted topic of their own, one for each identity; a dead letter itself is never changed or deleted. A mark is
//! written in the transaction of what it speaks of, so that the two can't differ.

use std::collections::BTreeMap;
use std::sync::mpsc::channel;

use millrace_model::{Code, Fault, Record, Result};
use serde::{Deserialize, Serialize};

use super::Identity;
use crate::kafka::topics::{self, Declared};
use crate::kafka::{Cluster, Outgoing, Producer, compacted};

/// The compacted topic of the marks.
pub const RESOLVED: &str = "millrace.dead-letters.resolved";

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
    pub at: jiff::Timestamp,
    /// By whom.
    pub by: String,
    /// Why, or with which patch.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Where the record went.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub to: String,
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
pub async fn resolutions(cluster: &Cluster) -> Result<BTreeMap<Identity, Resolution>> {
    topics::ensure(cluster, &[Declared::compacted(RESOLVED, 1)]).await?;
    let (sender, receiver) = channel();
    // The receiver outlives the reading.
    compacted::read_to_end(cluster, RESOLVED, move |record| sender.send(entry(record)).unwrap_or_default()).await?;
    Ok(newest(receiver))
}

/// The marks that are committed by now; none when their topic does not exist.
pub async fn resolutions_now(cluster: &Cluster) -> Result<BTreeMap<Identity, Resolution>> {
    let (sender, receiver) = channel();
    match compacted::read_now(cluster, RESOLVED, move |record| sender.send(entry(record)).unwrap_or_default()).await {
        Err(fault) if fault.code() == Code::KafkaTopicMissing => Ok(BTreeMap::new()),
        read => read.map(|()| newest(receiver)),
    }
}

/// A mark as it stands in the topic.
type Entry = (Option<Vec<u8>>, Option<Vec<u8>>);

fn entry(record: &Record<'_>) -> Entry {
    (record.key.map(<[u8]>::to_vec), record.value.map(<[u8]>::to_vec))
}

fn newest(entries: impl IntoIterator<Item = Entry>) -> BTreeMap<Identity, Resolution> {
    let mut newest = BTreeMap::new();
    for (key, value) in entries {
        let Some(identity) = key.and_then(|key| serde_json::from_slice::<Identity>(&key).ok()) else { continue };
        match value {
            Some(value) => newest.insert(identity, of(&value)),
            None => newest.remove(&identity),
        };
    }
    newest
}

/// A mark that another version wrote otherwise is a mark all the same: nothing is replayed twice by mistake.
fn of(value: &[u8]) -> Resolution {
    serde_json::from_slice(value).unwrap_or_else(|_| Resolution {
        how: How::Replayed,
        at: jiff::Timestamp::UNIX_EPOCH,
        by: String::new(),
        reason: "a mark that this version can't read".to_owned(),
        to: String::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(offset: &str) -> Identity {
        ["p.x", "in", "0", offset, "decode"].map(str::to_owned).into()
    }

    fn key(offset: &str) -> Option<Vec<u8>> {
        serde_json::to_vec(&identity(offset)).ok()
    }

    #[test]
    fn the_newest_mark_counts_and_one_that_can_not_be_read_counts_too() {
        let discarded = br#"{"how":"discarded","at":"2026-01-01T00:00:00Z","by":"ann","reason":"test data"}"#;
        let entries = [
            (key("1"), Some(b"{}".to_vec())),
            (key("1"), Some(discarded.to_vec())),
            (key("2"), Some(b"?".to_vec())),
            (key("3"), Some(discarded.to_vec())),
            (key("3"), None),
            (Some(b"noise".to_vec()), None),
            (None, None),
        ];
        let marks = newest(entries);
        assert_eq!(marks.len(), 2);
        assert_eq!((marks[&identity("1")].how, marks[&identity("1")].by.as_str()), (How::Discarded, "ann"));
        assert_eq!(marks[&identity("2")].how, How::Replayed);
    }

    #[test]
    fn a_mark_is_kept_under_the_five_parts_of_the_identity() {
        assert_eq!(key("7").as_deref(), Some(br#"["p.x","in","0","7","decode"]"#.as_slice()));
    }
}
