//! The positions of a pipeline: in the table's log, each as the version of an application. The topic that it is of is that of another, for
//! versions are numbers: the first 63 bits of the topic's id.

use millrace_model::{Offsets, Result, TopicId, TopicIdentity, TopicPartition};

use super::log::{Entry, Snapshot, Txn, now};

/// The application that one partition of a pipeline is.
fn application(pipeline: &str, partition: &TopicPartition) -> String {
    format!("millrace/{pipeline}/{}/{}", partition.topic, partition.partition)
}

/// The application whose version is the topic's id.
fn topic_application(pipeline: &str, partition: &TopicPartition) -> String {
    format!("{}/topic", application(pipeline, partition))
}

/// The positions of those partitions that have one.
///
/// Fails where one is that of another topic.
pub(super) fn of(snapshot: &Snapshot, pipeline: &str, partitions: &[TopicPartition], topic: TopicIdentity) -> Result<Offsets> {
    let mut offsets = Offsets::new();
    for partition in partitions {
        let Some(offset) = snapshot.application(&application(pipeline, partition)) else { continue };
        let stored = snapshot.application(&topic_application(pipeline, partition));
        if let (Some(id), Some(stored)) = (topic.required(), stored.filter(|stored| !topic.admits(Some(stored), TopicId::number))) {
            return Err(id.another(pipeline, partition, &format!("number {stored}")));
        }
        offsets.insert(partition.clone(), offset);
    }
    Ok(offsets)
}

/// Whether the positions that are to be moved are where the writer started.
pub(super) fn are_at(snapshot: &Snapshot, pipeline: &str, from: &Offsets, to: &Offsets, topic: TopicIdentity) -> bool {
    to.keys().all(|partition| {
        let position = snapshot.application(&application(pipeline, partition));
        let stored = position.and_then(|_| snapshot.application(&topic_application(pipeline, partition)));
        position == from.get(partition).copied() && topic.admits(stored.as_ref(), TopicId::number)
    })
}

/// The entries that move them.
pub(super) fn moved(pipeline: &str, to: &Offsets, topic: TopicIdentity) -> Vec<Entry> {
    let txn = |app_id, version| Entry::of_txn(Txn { app_id, version, last_updated: Some(now()) });
    let positions = to.iter().map(|(partition, offset)| txn(application(pipeline, partition), *offset));
    let topics =
        topic.given().into_iter().flat_map(|id| to.keys().map(move |partition| txn(topic_application(pipeline, partition), id.number())));
    positions.chain(topics).collect()
}
