//! Produce: batches into logs.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{ProduceRequest, ProduceResponse};

use super::{Answer, Call, code, message};
use crate::broker::log::batch::Batch;
use crate::broker::topics::Topic;

/// Appends a batch to each partition. There is one replica, so `acks` only says whether to answer.
pub(super) fn produce(call: &Call<'_>, request: ProduceRequest) -> Answer {
    let responses = request.topic_data.into_iter().map(|data| produce_topic(call, data)).collect();
    if request.acks == 0 {
        return Answer::Nothing;
    }
    ProduceResponse::default().with_responses(responses).into()
}

fn produce_topic(call: &Call<'_>, data: TopicProduceData) -> TopicProduceResponse {
    let topic = call.broker.topics.get(&data.name);
    let partitions = data.partition_data.into_iter().map(|partition| produce_partition(topic.as_deref(), partition)).collect();
    TopicProduceResponse::default().with_name(data.name).with_partition_responses(partitions)
}

fn produce_partition(topic: Option<&Topic>, data: PartitionProduceData) -> PartitionProduceResponse {
    let index = data.index;
    let outcome = append(topic, data);
    let (base_offset, start) = *outcome.as_ref().unwrap_or(&(-1, -1));
    PartitionProduceResponse::default()
        .with_index(index)
        .with_error_code(code(&outcome))
        .with_error_message(message(&outcome))
        .with_base_offset(base_offset)
        .with_log_append_time_ms(-1)
        .with_log_start_offset(start)
}

/// The offset of the first record, and of the log's first.
fn append(topic: Option<&Topic>, data: PartitionProduceData) -> Result<(i64, i64), ResponseError> {
    let topic = topic.ok_or(ResponseError::UnknownTopicOrPartition)?;
    let partition = topic.partition(data.index).ok_or(ResponseError::UnknownTopicOrPartition)?;
    let batch = Batch::produced(data.records.ok_or(ResponseError::InvalidRecord)?, topic.max_message_bytes())?;
    let mut log = partition.lock();
    let base_offset = log.produce(&batch)?;
    Ok((base_offset, log.offsets().start))
}
