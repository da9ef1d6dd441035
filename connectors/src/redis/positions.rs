//! The positions of a pipeline: a key for each partition, whose value is the offset.

use millrace_model::{Code, Fault, Offsets, Result, TopicPartition};

use super::key::OWN;

/// The key of a partition's position. No pipeline's name has a colon, and the partition comes last: no two partitions share one.
pub(super) fn key(pipeline: &str, partition: &TopicPartition) -> String {
    format!("{OWN}position:{pipeline}:{}:{}", partition.topic, partition.partition)
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
