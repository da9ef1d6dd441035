//! Producer ids and transactions.

use std::time::Duration;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::add_partitions_to_txn_response::{AddPartitionsToTxnPartitionResult, AddPartitionsToTxnTopicResult};
use kafka_protocol::messages::txn_offset_commit_response::{TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, AddPartitionsToTxnRequest, AddPartitionsToTxnResponse, EndTxnRequest, EndTxnResponse,
    InitProducerIdRequest, InitProducerIdResponse, ProducerId, TxnOffsetCommitRequest, TxnOffsetCommitResponse,
};

use super::commits::to_commits;
use super::{Call, code};
use crate::broker::groups::group::Caller;
use crate::broker::groups::offsets::TopicPartition;
use crate::broker::transactions::transaction::Producer;

fn producer(id: ProducerId, epoch: i16) -> Producer {
    Producer { id: id.0, epoch }
}

/// Tells an older client of a newer producer in the one way that it knows (KIP-588).
fn for_version<T>(call: &Call<'_>, knows_fenced: i16, outcome: Result<T, ResponseError>) -> Result<T, ResponseError> {
    match outcome {
        Err(ResponseError::ProducerFenced) if call.version < knows_fenced => Err(ResponseError::InvalidProducerEpoch),
        other => other,
    }
}

/// A producer id; for a transactional id, one whose predecessors are fenced.
pub(super) fn init_producer_id(call: &Call<'_>, request: InitProducerIdRequest) -> InitProducerIdResponse {
    let outcome = for_version(call, 4, init(call, request));
    let producer = outcome.unwrap_or(Producer { id: -1, epoch: -1 });
    InitProducerIdResponse::default()
        .with_error_code(code(&outcome))
        .with_producer_id(ProducerId(producer.id))
        .with_producer_epoch(producer.epoch)
}

fn init(call: &Call<'_>, request: InitProducerIdRequest) -> Result<Producer, ResponseError> {
    let former = (request.producer_id.0 >= 0).then(|| producer(request.producer_id, request.producer_epoch));
    let Some(id) = request.transactional_id else {
        return call.broker.transactions.new_producer_id().map(|id| Producer { id, epoch: 0 });
    };
    let timeout = Duration::from_millis(u64::try_from(request.transaction_timeout_ms).unwrap_or(0));
    call.broker.transactions.init(&id, timeout, former)
}

/// Adds partitions to a transaction: all, or none if one of them does not exist.
pub(super) fn add_partitions_to_txn(call: &Call<'_>, request: AddPartitionsToTxnRequest) -> AddPartitionsToTxnResponse {
    let topics = request.v3_and_below_topics;
    let partitions: Vec<TopicPartition> =
        topics.iter().flat_map(|topic| topic.partitions.iter().map(|index| (topic.name.to_string(), *index))).collect();
    let exists = |(topic, index): &TopicPartition| call.broker.topics.partition(topic, *index).is_ok();
    let caller = producer(request.v3_and_below_producer_id, request.v3_and_below_producer_epoch);
    let outcome = if partitions.iter().all(exists) {
        for_version(call, 2, call.broker.transactions.add_partitions(&request.v3_and_below_transactional_id, caller, &partitions))
    } else {
        Err(ResponseError::OperationNotAttempted)
    };
    let results = topics.into_iter().map(|topic| {
        let results = topic.partitions.iter().map(|index| {
            let outcome = if exists(&(topic.name.to_string(), *index)) { outcome } else { Err(ResponseError::UnknownTopicOrPartition) };
            AddPartitionsToTxnPartitionResult::default().with_partition_index(*index).with_partition_error_code(code(&outcome))
        });
        let results = results.collect();
        AddPartitionsToTxnTopicResult::default().with_name(topic.name).with_results_by_partition(results)
    });
    AddPartitionsToTxnResponse::default().with_results_by_topic_v3_and_below(results.collect())
}

/// Adds a group to a transaction.
pub(super) fn add_offsets_to_txn(call: &Call<'_>, request: &AddOffsetsToTxnRequest) -> AddOffsetsToTxnResponse {
    let caller = producer(request.producer_id, request.producer_epoch);
    let outcome = for_version(call, 2, call.broker.transactions.add_group(&request.transactional_id, caller, &request.group_id));
    AddOffsetsToTxnResponse::default().with_error_code(code(&outcome))
}

/// Commits a group's offsets inside a transaction, by a member of its generation (KIP-447).
pub(super) fn txn_offset_commit(call: &Call<'_>, request: TxnOffsetCommitRequest) -> TxnOffsetCommitResponse {
    let member = Caller { member_id: &request.member_id, instance: request.group_instance_id.as_deref() };
    let caller = producer(request.producer_id, request.producer_epoch);
    let commits = to_commits(&request.topics);
    let transactions = &call.broker.transactions;
    let outcome =
        transactions.commit_offsets(&request.transactional_id, caller, &request.group_id, (member, request.generation_id), commits);
    let outcome = for_version(call, i16::MAX, outcome);
    let topics = request.topics.into_iter().map(|topic| {
        let answer = |index| TxnOffsetCommitResponsePartition::default().with_partition_index(index).with_error_code(code(&outcome));
        let partitions = topic.partitions.iter().map(|asked| answer(asked.partition_index)).collect();
        TxnOffsetCommitResponseTopic::default().with_name(topic.name).with_partitions(partitions)
    });
    TxnOffsetCommitResponse::default().with_topics(topics.collect())
}

/// Commits or aborts a transaction. When it is answered, readers see the outcome.
pub(super) fn end_txn(call: &Call<'_>, request: &EndTxnRequest) -> EndTxnResponse {
    let caller = producer(request.producer_id, request.producer_epoch);
    let outcome = for_version(call, 2, call.broker.transactions.end(&request.transactional_id, caller, request.committed));
    EndTxnResponse::default().with_error_code(code(&outcome))
}
