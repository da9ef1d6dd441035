//! How far something has been read: values that are stored with the output they produced.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// One partition of one topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition's number, from 0.
    pub partition: i32,
}

impl TopicPartition {
    /// Partition `partition` of `topic`.
    pub fn new(topic: impl Into<Arc<str>>, partition: i32) -> Self {
        Self { topic: topic.into(), partition }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// For each partition the offset of the next record to read (as Kafka commits it: last read + 1).
pub type Offsets = BTreeMap<TopicPartition, i64>;

/// How far one split of a source has been read. What the value means is the connector's own; to
/// all others it is opaque. It is stored in `millrace.positions`, in the transaction of the records
/// that it covers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// The split: a file, a table's range, a slot. Stable over restarts.
    pub split: String,
    /// How far, in the connector's terms.
    pub at: serde_json::Value,
}
