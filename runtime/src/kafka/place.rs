//! One record, by its place.

use std::sync::Arc;

use millrace_model::{Code, Fault, Records, RecordsBuilder, Result, TopicPartition};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::topic_partition_list::Offset;

use super::client::{Cluster, PlainContext, REQUEST_TIMEOUT};
use super::compacted::reader;
use super::fault::fault;
use super::message::{headers, record};

/// The committed record at `offset` of `partition`, alone; `None` when there is none any more, or never was.
pub async fn record_at(cluster: &Cluster, partition: &TopicPartition, offset: i64) -> Result<Option<Records>> {
    let (cluster, partition) = (cluster.clone(), partition.clone());
    let read = tokio::task::spawn_blocking(move || read(&reader(&cluster, "read_committed")?, &partition, offset));
    read.await.map_err(|error| Fault::fatal(Code::Internal, "reading a record panicked").because(error))?
}

fn read(client: &BaseConsumer<PlainContext>, partition: &TopicPartition, offset: i64) -> Result<Option<Records>> {
    let asked = client.fetch_watermarks(&partition.topic, partition.partition, REQUEST_TIMEOUT);
    let (start, end) = match asked {
        Ok(extent) => extent,
        Err(error) if is_missing(&error) => return Ok(None),
        Err(error) => return Err(client.context().troubles.explain(&format!("asking for the end of {partition}"), error)),
    };
    if offset < start || offset >= end {
        return Ok(None);
    }
    let mut list = TopicPartitionList::new();
    let named = list.add_partition_offset(&partition.topic, partition.partition, Offset::Offset(offset));
    named.and_then(|()| client.assign(&list)).map_err(|error| fault(&format!("reading {partition}"), error))?;
    match client.poll(REQUEST_TIMEOUT) {
        Some(Ok(message)) if message.offset() == offset => {
            let mut one = RecordsBuilder::new(Arc::clone(&partition.topic), 1);
            one.push_with_headers(&record(&partition.topic, &message, &[]), headers(&message));
            Ok(Some(one.finish()))
        }
        // Compaction took it, or its transaction was aborted.
        Some(Ok(_) | Err(KafkaError::PartitionEOF(_))) => Ok(None),
        Some(Err(error)) => Err(client.context().troubles.explain(&format!("reading {partition}"), error)),
        None => Err(Fault::passing(Code::KafkaUnavailable, format!("the record at {partition} offset {offset} did not come in time"))),
    }
}

fn is_missing(error: &KafkaError) -> bool {
    let missing = [RDKafkaErrorCode::UnknownTopicOrPartition, RDKafkaErrorCode::UnknownTopic, RDKafkaErrorCode::UnknownPartition];
    error.rdkafka_error_code().is_some_and(|code| missing.contains(&code))
}
