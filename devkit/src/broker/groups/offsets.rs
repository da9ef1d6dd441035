//! A group's committed offsets, and those that wait for the end of a transaction.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Topic and partition number.
pub(crate) type TopicPartition = (String, i32);

/// What a consumer committed for one partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Committed {
    pub(crate) offset: i64,
    pub(crate) leader_epoch: i32,
    pub(crate) metadata: String,
}

/// Offsets by partition, in a form that is also kept on disk.
pub(crate) type Commits = Vec<(TopicPartition, Committed)>;

/// The offsets of one group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Offsets {
    committed: BTreeMap<TopicPartition, Committed>,
    /// By producer, whose transaction decides.
    pending: BTreeMap<i64, BTreeMap<TopicPartition, Committed>>,
}

impl Offsets {
    /// Commits at once.
    pub(crate) fn commit(&mut self, commits: Commits) {
        self.committed.extend(commits);
    }

    /// Keeps offsets until the producer's transaction ends.
    pub(crate) fn pend(&mut self, producer_id: i64, commits: Commits) {
        self.pending.entry(producer_id).or_default().extend(commits);
    }

    /// The producer's transaction ended: its offsets are committed or forgotten.
    pub(crate) fn settle(&mut self, producer_id: i64, committed: bool) {
        if let Some(commits) = self.pending.remove(&producer_id)
            && committed
        {
            self.committed.extend(commits);
        }
    }

    /// Forgets the offsets of the partitions that `gone` says `true` of.
    pub(crate) fn forget(&mut self, gone: impl Fn(&TopicPartition) -> bool) {
        self.committed.retain(|partition, _| !gone(partition));
        for commits in self.pending.values_mut() {
            commits.retain(|partition, _| !gone(partition));
        }
    }

    /// What is committed for a partition.
    pub(crate) fn get(&self, partition: &TopicPartition) -> Option<&Committed> {
        self.committed.get(partition)
    }

    /// Whether an open transaction may change a partition's offset.
    pub(crate) fn is_unstable(&self, partition: &TopicPartition) -> bool {
        self.pending.values().any(|commits| commits.contains_key(partition))
    }

    /// All that is committed.
    pub(crate) fn committed(&self) -> impl Iterator<Item = (&TopicPartition, &Committed)> {
        self.committed.iter()
    }

    /// What waits, by producer.
    pub(crate) fn pending(&self) -> impl Iterator<Item = (i64, Commits)> {
        self.pending.iter().map(|(id, commits)| (*id, commits.iter().map(|(at, commit)| (at.clone(), commit.clone())).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(offset: i64) -> Commits {
        vec![(("topic".to_owned(), 0), Committed { offset, leader_epoch: 0, metadata: String::new() })]
    }

    fn offset(offsets: &Offsets) -> Option<i64> {
        offsets.get(&("topic".to_owned(), 0)).map(|committed| committed.offset)
    }

    #[test]
    fn offsets_in_a_transaction_count_once_it_commits() {
        let mut offsets = Offsets::default();
        offsets.commit(at(1));
        offsets.pend(7, at(2));
        assert!(offsets.is_unstable(&("topic".to_owned(), 0)));
        assert_eq!(offset(&offsets), Some(1));
        offsets.settle(7, true);
        assert_eq!(offset(&offsets), Some(2));
        assert!(!offsets.is_unstable(&("topic".to_owned(), 0)));
    }

    #[test]
    fn offsets_in_a_transaction_vanish_when_it_aborts() {
        let mut offsets = Offsets::default();
        offsets.pend(7, at(2));
        offsets.settle(7, false);
        assert_eq!(offsets, Offsets::default());
    }

    #[test]
    fn the_offsets_of_a_deleted_topic_are_forgotten() {
        let mut offsets = Offsets::default();
        offsets.commit(at(1));
        offsets.pend(7, at(2));
        offsets.forget(|(topic, _)| topic == "topic");
        offsets.settle(7, true);
        assert_eq!(offset(&offsets), None);
    }
}
