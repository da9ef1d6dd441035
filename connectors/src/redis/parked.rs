//! The parked keys of a pipeline: a hash for each partition, with the offset of the rejected record that the later ones of each key wait for.
//! They change in the transaction that moves the positions.

use std::collections::HashMap;

use millrace_model::{Code, Fault, ParkedChanges, ParkedHeads, ParkedKey, Result, TopicPartition};
use redis::Pipeline;

use super::key::OWN;

/// The hash of a partition.
pub(super) fn key(pipeline: &str, partition: &TopicPartition) -> String {
    format!("{OWN}parked:{pipeline}:{}:{}", partition.topic, partition.partition)
}

/// Asks for those of partitions.
pub(super) fn ask(pipeline: &str, partitions: &[TopicPartition]) -> Pipeline {
    let mut commands = Pipeline::with_capacity(partitions.len());
    for partition in partitions {
        commands.cmd("HGETALL").arg(key(pipeline, partition));
    }
    commands
}

/// What was answered: for each of the partitions the offsets by the digests of keys.
pub(super) fn read(partitions: &[TopicPartition], found: Vec<HashMap<Vec<u8>, i64>>) -> Result<ParkedHeads> {
    let heads = partitions.iter().zip(found).flat_map(|(partition, heads)| heads.into_iter().map(move |head| (partition, head)));
    heads
        .map(|(partition, (digest, head))| Ok((ParkedKey { partition: partition.clone(), digest: digest_of(partition, digest)? }, head)))
        .collect()
}

fn digest_of(partition: &TopicPartition, digest: Vec<u8>) -> Result<[u8; 32]> {
    digest.try_into().map_err(|_| {
        let message =
            format!("Redis: the parked keys of {partition} have a field that is none: something else wrote there, so set it right");
        Fault::operator(Code::TargetOther, message)
    })
}

/// Adds what changes to a transaction.
pub(super) fn change(pipeline: &str, changes: &ParkedChanges, commands: &mut Pipeline) {
    for (ParkedKey { partition, digest }, head) in changes {
        let hash = key(pipeline, partition);
        match head {
            Some(head) => commands.cmd("HSET").arg(hash).arg(digest).arg(*head),
            None => commands.cmd("HDEL").arg(hash).arg(digest),
        };
    }
}
