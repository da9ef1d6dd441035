//! Questions about offsets, and the deletion of records.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult};
use kafka_protocol::messages::list_offsets_request::ListOffsetsPartition;
use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use kafka_protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderPartition;
use kafka_protocol::messages::offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult};
use kafka_protocol::messages::{
    DeleteRecordsRequest, DeleteRecordsResponse, ListOffsetsRequest, ListOffsetsResponse, OffsetForLeaderEpochRequest,
    OffsetForLeaderEpochResponse, TopicName,
};

use super::fetch::isolation;
use super::{Call, code};
use crate::broker::journal::Event;
use crate::broker::log::{Isolation, storage_error};

/// In place of a timestamp: the end, the start, and the record with the latest timestamp.
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;

/// The first offset at or after a time, or one of the ends.
pub(super) fn list_offsets(call: &Call<'_>, request: ListOffsetsRequest) -> ListOffsetsResponse {
    let isolation = isolation(request.isolation_level);
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|asked| list_partition(call, &topic.name, asked, isolation)).collect();
        ListOffsetsTopicResponse::default().with_name(topic.name).with_partitions(partitions)
    });
    ListOffsetsResponse::default().with_topics(topics.collect())
}

fn list_partition(call: &Call<'_>, topic: &TopicName, asked: &ListOffsetsPartition, isolation: Isolation) -> ListOffsetsPartitionResponse {
    let outcome = find(call, topic, asked, isolation);
    let found = outcome.as_ref().ok().copied().flatten();
    let (offset, timestamp) = found.unwrap_or((-1, -1));
    let epoch = if call.version >= 4 && found.is_some() { 0 } else { -1 };
    ListOffsetsPartitionResponse::default()
        .with_partition_index(asked.partition_index)
        .with_error_code(code(&outcome))
        .with_offset(offset)
        .with_timestamp(timestamp)
        .with_leader_epoch(epoch)
}

fn find(
    call: &Call<'_>,
    topic: &TopicName,
    asked: &ListOffsetsPartition,
    isolation: Isolation,
) -> Result<Option<(i64, i64)>, ResponseError> {
    let partition = call.broker.topics.partition(topic, asked.partition_index)?;
    let log = partition.lock();
    match asked.timestamp {
        LATEST => Ok(Some((log.offsets().limit(isolation), -1))),
        EARLIEST => Ok(Some((log.offsets().start, -1))),
        MAX_TIMESTAMP => log.find_latest_time().map_err(storage_error),
        time if time >= 0 => log.find_time(time, isolation).map_err(storage_error),
        _ => Err(ResponseError::UnsupportedVersion),
    }
}

/// The end of an epoch: there has only ever been epoch 0, which goes on.
pub(super) fn offset_for_leader_epoch(call: &Call<'_>, request: OffsetForLeaderEpochRequest) -> OffsetForLeaderEpochResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|asked| epoch_end(call, &topic.topic, asked)).collect();
        OffsetForLeaderTopicResult::default().with_topic(topic.topic).with_partitions(partitions)
    });
    OffsetForLeaderEpochResponse::default().with_topics(topics.collect())
}

fn epoch_end(call: &Call<'_>, topic: &TopicName, asked: &OffsetForLeaderPartition) -> EpochEndOffset {
    let outcome = call.broker.topics.partition(topic, asked.partition).map(|partition| partition.lock().offsets().end);
    let (epoch, end) = match outcome {
        Ok(end) if asked.leader_epoch == 0 => (0, end),
        _ => (-1, -1),
    };
    EpochEndOffset::default().with_partition(asked.partition).with_error_code(code(&outcome)).with_leader_epoch(epoch).with_end_offset(end)
}

/// Deletes the records before an offset; -1 stands for the end.
pub(super) fn delete_records(call: &Call<'_>, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|asked| {
            let outcome = delete_before(call, &topic.name, asked.partition_index, asked.offset);
            DeleteRecordsPartitionResult::default()
                .with_partition_index(asked.partition_index)
                .with_error_code(code(&outcome))
                .with_low_watermark(outcome.unwrap_or(-1))
        });
        DeleteRecordsTopicResult::default().with_name(topic.name.clone()).with_partitions(partitions.collect())
    });
    DeleteRecordsResponse::default().with_topics(topics.collect())
}

fn delete_before(call: &Call<'_>, topic: &TopicName, index: i32, offset: i64) -> Result<i64, ResponseError> {
    let partition = call.broker.topics.partition(topic, index)?;
    let mut log = partition.lock();
    let end = log.offsets().end;
    let before = if offset == -1 { end } else { offset };
    if !(0..=end).contains(&before) {
        return Err(ResponseError::OffsetOutOfRange);
    }
    call.broker.journal.write(&Event::RecordsDeleted { partition: (topic.to_string(), index), before })?;
    log.delete_before(before).map_err(storage_error)
}
