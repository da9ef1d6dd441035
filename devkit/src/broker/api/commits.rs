//! Committed offsets of groups.

use std::collections::BTreeMap;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use kafka_protocol::messages::offset_delete_response::{OffsetDeleteResponsePartition, OffsetDeleteResponseTopic};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{
    OffsetCommitRequest, OffsetCommitResponse, OffsetDeleteRequest, OffsetDeleteResponse, OffsetFetchRequest, OffsetFetchResponse,
    TopicName,
};

use super::{Call, code, text};
use crate::broker::groups::group::Caller;
use crate::broker::groups::offsets::{Commits, Committed, Offsets, TopicPartition};

/// Commits offsets; those of partitions that do not exist are refused, the others stand.
pub(super) fn offset_commit(call: &Call<'_>, request: &OffsetCommitRequest) -> OffsetCommitResponse {
    let caller = Caller { member_id: &request.member_id, instance: request.group_instance_id.as_deref() };
    let generation = request.generation_id_or_member_epoch;
    let commits = request.topics.iter().flat_map(|topic| topic.partitions.iter().filter_map(|asked| to_commit(call, topic, asked)));
    let outcome = call.broker.groups.commit(&call.broker.journal, &request.group_id, caller, generation, commits.collect());
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|asked| {
            let index = asked.partition_index;
            let outcome = outcome.and_then(|()| call.broker.topics.partition(&topic.name, index).map(drop));
            OffsetCommitResponsePartition::default().with_partition_index(index).with_error_code(code(&outcome))
        });
        OffsetCommitResponseTopic::default().with_name(topic.name.clone()).with_partitions(partitions.collect())
    });
    OffsetCommitResponse::default().with_topics(topics.collect())
}

fn to_commit(
    call: &Call<'_>,
    topic: &OffsetCommitRequestTopic,
    asked: &OffsetCommitRequestPartition,
) -> Option<(TopicPartition, Committed)> {
    call.broker.topics.partition(&topic.name, asked.partition_index).ok()?;
    let metadata = asked.committed_metadata.as_ref().map(ToString::to_string).unwrap_or_default();
    let committed = Committed { offset: asked.committed_offset, leader_epoch: asked.committed_leader_epoch, metadata };
    Some(((topic.name.to_string(), asked.partition_index), committed))
}

/// What a group is asked for: partitions by topic, or all that it has.
type Wanted = Option<Vec<(TopicName, Vec<i32>)>>;

/// What a group committed; since version 8 several groups at once. Who asks for stable offsets is told of those that an open
/// transaction may change (KIP-447).
pub(super) fn offset_fetch(call: &Call<'_>, request: OffsetFetchRequest) -> OffsetFetchResponse {
    let stable = request.require_stable;
    if call.version < 8 {
        let wanted = request.topics.map(|topics| topics.into_iter().map(|topic| (topic.name, topic.partition_indexes)).collect());
        let topics = fetch_group(call, &request.group_id, wanted, stable).into_iter().map(|(name, partitions)| {
            OffsetFetchResponseTopic::default().with_name(name).with_partitions(partitions.into_iter().map(to_single).collect())
        });
        return OffsetFetchResponse::default().with_topics(topics.collect());
    }
    let groups = request.groups.into_iter().map(|group| {
        let wanted = group.topics.map(|topics| topics.into_iter().map(|topic| (topic.name, topic.partition_indexes)).collect());
        let topics = fetch_group(call, &group.group_id, wanted, stable).into_iter();
        let topics = topics.map(|(name, partitions)| OffsetFetchResponseTopics::default().with_name(name).with_partitions(partitions));
        OffsetFetchResponseGroup::default().with_group_id(group.group_id).with_topics(topics.collect())
    });
    OffsetFetchResponse::default().with_groups(groups.collect())
}

fn fetch_group(call: &Call<'_>, id: &str, wanted: Wanted, stable: bool) -> Vec<(TopicName, Vec<OffsetFetchResponsePartitions>)> {
    let offsets = call.broker.groups.get(id).map_or_else(Offsets::default, |shared| shared.look(|group| group.offsets.clone()));
    let wanted = wanted.unwrap_or_else(|| all_of(&offsets));
    let fetch = |(name, indexes): (TopicName, Vec<i32>)| {
        let partitions = indexes.into_iter().map(|index| fetch_partition(&offsets, &(name.to_string(), index), stable));
        (name.clone(), partitions.collect())
    };
    wanted.into_iter().map(fetch).collect()
}

fn all_of(offsets: &Offsets) -> Vec<(TopicName, Vec<i32>)> {
    let mut by_topic: BTreeMap<&String, Vec<i32>> = BTreeMap::new();
    for ((topic, index), _) in offsets.committed() {
        by_topic.entry(topic).or_default().push(*index);
    }
    by_topic.into_iter().map(|(topic, indexes)| (TopicName(text(topic.clone())), indexes)).collect()
}

fn fetch_partition(offsets: &Offsets, partition: &TopicPartition, stable: bool) -> OffsetFetchResponsePartitions {
    let answer = OffsetFetchResponsePartitions::default().with_partition_index(partition.1).with_metadata(Some(text("")));
    if stable && offsets.is_unstable(partition) {
        return answer.with_committed_offset(-1).with_error_code(ResponseError::UnstableOffsetCommit.code());
    }
    match offsets.get(partition) {
        None => answer.with_committed_offset(-1),
        Some(committed) => answer
            .with_committed_offset(committed.offset)
            .with_committed_leader_epoch(committed.leader_epoch)
            .with_metadata(Some(text(committed.metadata.clone()))),
    }
}

/// The same in the form of versions below 8.
fn to_single(partition: OffsetFetchResponsePartitions) -> OffsetFetchResponsePartition {
    OffsetFetchResponsePartition::default()
        .with_partition_index(partition.partition_index)
        .with_committed_offset(partition.committed_offset)
        .with_committed_leader_epoch(partition.committed_leader_epoch)
        .with_metadata(partition.metadata)
        .with_error_code(partition.error_code)
}

/// Forgets what a group committed for partitions.
pub(super) fn offset_delete(call: &Call<'_>, request: OffsetDeleteRequest) -> OffsetDeleteResponse {
    let named = request.topics.iter();
    let named = named.flat_map(|topic| topic.partitions.iter().map(|asked| (topic.name.to_string(), asked.partition_index)));
    let partitions: Vec<TopicPartition> = named.collect();
    let outcome = call.broker.groups.forget(&call.broker.journal, &request.group_id, &partitions);
    let topics = request.topics.into_iter().map(|topic| {
        let answer = |index| OffsetDeleteResponsePartition::default().with_partition_index(index);
        let partitions = topic.partitions.iter().map(|asked| answer(asked.partition_index)).collect();
        OffsetDeleteResponseTopic::default().with_name(topic.name).with_partitions(partitions)
    });
    OffsetDeleteResponse::default().with_error_code(code(&outcome)).with_topics(topics.collect())
}

/// The commits of a transaction, in the form that groups keep.
pub(super) fn to_commits(topics: &[kafka_protocol::messages::txn_offset_commit_request::TxnOffsetCommitRequestTopic]) -> Commits {
    let commits = topics.iter().flat_map(|topic| {
        topic.partitions.iter().map(|asked| {
            let metadata = asked.committed_metadata.as_ref().map(ToString::to_string).unwrap_or_default();
            let committed = Committed { offset: asked.committed_offset, leader_epoch: asked.committed_leader_epoch, metadata };
            ((topic.name.to_string(), asked.partition_index), committed)
        })
    });
    commits.collect()
}
