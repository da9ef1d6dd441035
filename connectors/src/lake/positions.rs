//! The positions of a pipeline: in the table's log, each as the version of an application.

use millrace_model::{Offsets, TopicPartition};

use super::log::{Entry, Snapshot, Txn, now};

/// The application that one partition of a pipeline is.
fn application(pipeline: &str, partition: &TopicPartition) -> String {
    format!("millrace/{pipeline}/{}/{}", partition.topic, partition.partition)
}

/// The positions of those partitions that have one.
pub(super) fn of(snapshot: &Snapshot, pipeline: &str, partitions: &[TopicPartition]) -> Offsets {
    let position = |partition: &TopicPartition| Some((partition.clone(), snapshot.application(&application(pipeline, partition))?));
    partitions.iter().filter_map(position).collect()
}

/// Whether the positions that are to be moved are where the writer started.
pub(super) fn are_at(snapshot: &Snapshot, pipeline: &str, from: &Offsets, to: &Offsets) -> bool {
    to.keys().all(|partition| snapshot.application(&application(pipeline, partition)) == from.get(partition).copied())
}

/// The entries that move them.
pub(super) fn moved(pipeline: &str, to: &Offsets) -> Vec<Entry> {
    let txn = |(partition, offset): (&TopicPartition, &i64)| {
        Entry::of_txn(Txn { app_id: application(pipeline, partition), version: *offset, last_updated: Some(now()) })
    };
    to.iter().map(txn).collect()
}
