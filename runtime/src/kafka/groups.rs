//! What consumer groups have committed, asked without being a member.

use millrace_model::{Code, Fault, Offsets, Result, TopicId, TopicIdentity, TopicPartition};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::topic_partition_list::Offset;

use super::client::{Cluster, PlainContext, REQUEST_TIMEOUT};
use super::fault::fault;
use super::producer::partition_list;

/// The offsets that `group` has committed for those of the partitions that have one. Those that were committed for another topic of the name
/// are refused ([`Code::KafkaTopicAnother`]).
pub async fn committed(cluster: &Cluster, group: &str, partitions: Vec<TopicPartition>, topic: TopicIdentity) -> Result<Offsets> {
    let name = group.to_owned();
    let mut config = cluster.config();
    config.set("group.id", group).set("enable.auto.commit", "false");
    let asked = tokio::task::spawn_blocking(move || {
        let client: BaseConsumer<PlainContext> =
            config.create_with_context(PlainContext::default()).map_err(|error| fault("opening a client", error))?;
        committed_of(&ask(&client, &partitions)?, &name, topic)
    });
    asked.await.map_err(|error| Fault::fatal(Code::Internal, "asking for a group's offsets panicked").because(error))?
}

/// Moves offsets of a group that has no members, with a note of the topic that they are of.
///
/// # Errors
/// [`Code::KafkaFenced`] while it has some.
pub async fn commit(cluster: &Cluster, group: &str, offsets: Offsets, topic: Option<TopicId>) -> Result<()> {
    let mut config = cluster.config();
    config.set("group.id", group).set("enable.auto.commit", "false");
    let doing = format!("moving the offsets of group {group}, whose members must be stopped or halted for it,");
    let moved = tokio::task::spawn_blocking(move || {
        let client: BaseConsumer<PlainContext> =
            config.create_with_context(PlainContext::default()).map_err(|error| fault("opening a client", error))?;
        let moved = client.commit(&partition_list(&offsets, topic)?, CommitMode::Sync);
        moved.map_err(|error| client.context().troubles.explain(&doing, error))
    });
    moved.await.map_err(|error| Fault::fatal(Code::Internal, "moving a group's offsets panicked").because(error))?
}

fn ask(client: &BaseConsumer<PlainContext>, partitions: &[TopicPartition]) -> Result<TopicPartitionList> {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for partition in partitions {
        list.add_partition(&partition.topic, partition.partition);
    }
    let committed = client.committed_offsets(list, REQUEST_TIMEOUT);
    committed.map_err(|error| client.context().troubles.explain("asking for a group's offsets", error))
}

/// What stands before the topic's id in what Kafka keeps with an offset.
const TOPIC: &str = "topic=";

/// What Kafka keeps with an offset of a topic (`metadata`): which topic it is of.
pub(super) fn note_of(topic: TopicId) -> String {
    format!("{TOPIC}{topic}")
}

/// The offsets of those partitions that have one.
pub(super) fn committed_of(list: &TopicPartitionList, group: &str, topic: TopicIdentity) -> Result<Offsets> {
    let mut offsets = Offsets::new();
    for element in list.elements() {
        if let Offset::Offset(offset) = element.offset() {
            let partition = TopicPartition::new(element.topic(), element.partition());
            topic.check(group, &partition, element.metadata().strip_prefix(TOPIC))?;
            offsets.insert(partition, offset);
        }
    }
    Ok(offsets)
}
