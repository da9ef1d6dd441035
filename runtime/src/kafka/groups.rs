//! What consumer groups have committed, asked without being a member.

use millrace_model::{Code, Fault, Offsets, Result, TopicPartition};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::topic_partition_list::Offset;

use super::client::{Cluster, PlainContext, REQUEST_TIMEOUT};
use super::fault::fault;

/// The offsets that `group` has committed for those of the partitions that have one.
pub async fn committed(cluster: &Cluster, group: &str, partitions: Vec<TopicPartition>) -> Result<Offsets> {
    let mut config = cluster.config();
    config.set("group.id", group).set("enable.auto.commit", "false");
    let asked = tokio::task::spawn_blocking(move || {
        let client: BaseConsumer<PlainContext> =
            config.create_with_context(PlainContext::default()).map_err(|error| fault("opening a client", error))?;
        ask(&client, &partitions)
    });
    asked.await.map_err(|error| Fault::fatal(Code::Internal, "asking for a group's offsets panicked").because(error))?
}

fn ask(client: &BaseConsumer<PlainContext>, partitions: &[TopicPartition]) -> Result<Offsets> {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for partition in partitions {
        list.add_partition(&partition.topic, partition.partition);
    }
    let committed = client.committed_offsets(list, REQUEST_TIMEOUT);
    let committed = committed.map_err(|error| client.context().troubles.explain("asking for a group's offsets", error))?;
    let known = committed.elements().into_iter().filter_map(|element| match element.offset() {
        Offset::Offset(offset) => Some((TopicPartition::new(element.topic(), element.partition()), offset)),
        _ => None,
    });
    Ok(known.collect())
}
