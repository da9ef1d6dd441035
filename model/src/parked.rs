//! Parked keys as a target keeps them beside its positions.

use std::collections::BTreeMap;

use crate::position::TopicPartition;

/// A parked key of a partition, by the SHA-256 of its bytes: keys may be longer than a database's index takes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ParkedKey {
    /// The partition that the key's records are read from.
    pub partition: TopicPartition,
    /// The digest of the key.
    pub digest: [u8; 32],
}

/// The parked keys, each with the offset of the rejected record that its later ones wait for.
pub type ParkedHeads = BTreeMap<ParkedKey, i64>;

/// What changes of parked keys: the record that each waits for now, or `None` where it waits no more.
pub type ParkedChanges = BTreeMap<ParkedKey, Option<i64>>;
