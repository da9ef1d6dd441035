//! The positions of a pipeline: for each partition a key whose value is the offset, and one whose value is the id of the topic.

use millrace_model::{Code, Fault, Offsets, Result, TopicIdentity, TopicPartition};
use redis::Pipeline;

use super::key::OWN;

/// The key of a partition's position. No pipeline's name has a colon, and the partition comes last: no two partitions share one.
pub(super) fn key(pipeline: &str, partition: &TopicPartition) -> String {
    format!("{OWN}position:{pipeline}:{}:{}", partition.topic, partition.partition)
}

/// The key of the id of the topic that the position is of.
fn id_key(pipeline: &str, partition: &TopicPartition) -> String {
    format!("{OWN}topic:{pipeline}:{}:{}", partition.topic, partition.partition)
}

/// Positions on their way: where a writer started, where it is, and of which topic they are.
#[derive(Clone, Copy)]
pub(super) struct Advance<'a> {
    pub(super) from: &'a Offsets,
    pub(super) to: &'a Offsets,
    pub(super) topic: TopicIdentity,
}

impl Advance<'_> {
    /// Whether the positions that were found are those that it starts from.
    pub(super) fn stands(&self, found: &Offsets, ids: &[Option<String>]) -> bool {
        let admits = |id: &Option<String>| self.topic.admits(id.as_ref(), |id| id.to_string());
        let is_here = |partition| self.from.get(partition) == found.get(partition);
        self.to.keys().zip(ids).all(|(partition, id)| is_here(partition) && (!found.contains_key(partition) || admits(id)))
    }

    /// The commands that watch positions.
    pub(super) fn watch(&self, pipeline: &str, commands: &mut Pipeline) {
        for partition in self.to.keys() {
            commands.cmd("WATCH").arg(key(pipeline, partition)).arg(id_key(pipeline, partition)).ignore();
        }
    }

    /// The commands that move them.
    pub(super) fn write(&self, pipeline: &str, commands: &mut Pipeline) {
        for (partition, offset) in self.to {
            commands.cmd("SET").arg(key(pipeline, partition)).arg(*offset);
            if let Some(id) = self.topic.given() {
                commands.cmd("SET").arg(id_key(pipeline, partition)).arg(id.to_string());
            }
        }
    }
}

/// The commands that read positions and the ids of their topics, in turn.
pub(super) fn ask<'a>(pipeline: &str, partitions: impl Iterator<Item = &'a TopicPartition>, commands: &mut Pipeline) {
    for partition in partitions {
        commands.cmd("MGET").arg(key(pipeline, partition)).arg(id_key(pipeline, partition));
    }
}

/// The offsets that were found for partitions, in their order.
pub(super) fn read<'a>(partitions: impl Iterator<Item = &'a TopicPartition>, found: Vec<Option<String>>) -> Result<Offsets> {
    let there = partitions.zip(found).filter_map(|(partition, text)| Some((partition.clone(), text?)));
    there.map(|(partition, text)| Ok((partition.clone(), offset(&partition, &text)?))).collect()
}

fn offset(partition: &TopicPartition, text: &str) -> Result<i64> {
    text.parse().map_err(|error: std::num::ParseIntError| {
        let message =
            format!("Redis: the position of {partition} is {text:?}, no offset: something else wrote to its key, so set it right");
        Fault::operator(Code::TargetOther, message).because(error)
    })
}
