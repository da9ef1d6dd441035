//! What ingest keeps in Kafka: how far sources have been read, and what was answered.
//!
//! `millrace.positions` is compacted. Its keys are `<project>.<pipeline>/…`; a value is written in the transaction of
//! the records that it speaks of, so the two can't differ.

use std::collections::BTreeMap;
use std::sync::mpsc::channel;

use millrace_model::{Code, Fault, Result};
use millrace_runtime::kafka::topics::{self, Declared};
use millrace_runtime::kafka::{Cluster, Outgoing, Producer, compacted};
pub use millrace_runtime::own_topics::{ASSIGNMENTS, POSITIONS};
use serde::Serialize;

use crate::service::Ingest;

/// How many shares the work of a pull pipeline is cut into, and so how many instances can take part.
const SHARES: i32 = 12;

/// The topics that ingest keeps for itself, whatever its pipelines are; those that are pushed to have [`crate::key_topics`] too.
pub fn own_topics() -> [Declared; 2] {
    let assignments = Declared { name: ASSIGNMENTS.to_owned(), partitions: Some(SHARES), ..Declared::default() };
    [Declared::compacted(POSITIONS, 1), assignments]
}

/// Makes both topics, and those of the pipeline.
pub(crate) async fn ensure(cluster: &Cluster, declared: &[Declared]) -> Result<()> {
    topics::ensure(cluster, &[&own_topics()[..], declared].concat()).await
}

/// Makes the topics that a pipeline which is not running needs, to have records brought in by others.
pub async fn ensure_topics(cluster: &Cluster, ingest: &Ingest) -> Result<()> {
    ensure(cluster, &ingest.topics).await
}

/// The same as [`read`]; none where the topic has never been made.
pub(crate) async fn read_if_any(cluster: &Cluster, pipeline: &str) -> Result<BTreeMap<String, Vec<u8>>> {
    match read(cluster, pipeline).await {
        Err(fault) if fault.code() == Code::KafkaTopicMissing => Ok(BTreeMap::new()),
        read => read,
    }
}

/// The committed values whose keys begin with `<pipeline>/`, by the rest of the key.
pub(crate) async fn read(cluster: &Cluster, pipeline: &str) -> Result<BTreeMap<String, Vec<u8>>> {
    let prefix = format!("{pipeline}/");
    let (sender, receiver) = channel();
    compacted::read_to_end(cluster, POSITIONS, move |record| {
        if let Some(rest) = record.key.and_then(|key| key.strip_prefix(prefix.as_bytes())) {
            let entry = (String::from_utf8_lossy(rest).into_owned(), record.value.map(<[u8]>::to_vec));
            // The receiver outlives the reading.
            sender.send(entry).unwrap_or_default();
        }
    })
    .await?;
    Ok(newest(receiver))
}

fn newest(entries: impl IntoIterator<Item = (String, Option<Vec<u8>>)>) -> BTreeMap<String, Vec<u8>> {
    let mut newest = BTreeMap::new();
    for (key, value) in entries {
        match value {
            Some(value) => newest.insert(key, value),
            None => newest.remove(&key),
        };
    }
    newest
}

/// Sends a value, in the producer's transaction if it is in one; `None` forgets the key.
pub(crate) fn send(producer: &mut Producer, pipeline: &str, name: &str, value: Option<&impl Serialize>) -> Result<()> {
    let topic = producer.topic(POSITIONS)?;
    let key = format!("{pipeline}/{name}");
    let value = value.map(serde_json::to_vec).transpose();
    let value = value.map_err(|error| Fault::fatal(Code::Internal, "a position is JSON").because(error))?;
    producer.send(topic, &Outgoing { key: Some(key.as_bytes()), value: value.as_deref(), ..Outgoing::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_value_of_a_key_counts_and_a_tombstone_forgets_it() {
        let entries = [("a", Some("1")), ("b", Some("1")), ("a", Some("2")), ("b", None)];
        let entries = entries.map(|(key, value)| (key.to_owned(), value.map(|value| value.as_bytes().to_vec())));
        assert_eq!(newest(entries), BTreeMap::from([("a".to_owned(), b"2".to_vec())]));
    }
}
