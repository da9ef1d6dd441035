//! What there is: the node, topics and their partitions, coordinators.

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::{MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic};
use kafka_protocol::messages::{
    BrokerId, DescribeClusterResponse, FindCoordinatorRequest, FindCoordinatorResponse, MetadataRequest, MetadataResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;

use super::{Call, code, message, text};
use crate::broker::state::{CLUSTER, NODE};
use crate::broker::topics::Topic;

/// Kinds of coordinator: of a group, and of a transactional id.
const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

impl Call<'_> {
    fn host(&self) -> StrBytes {
        text(self.broker.config.addr.ip().to_string())
    }

    fn port(&self) -> i32 {
        i32::from(self.broker.config.addr.port())
    }
}

/// Topics by name or id, or all of them. A topic that does not exist is created where broker and client allow it.
pub(super) fn metadata(call: &Call<'_>, request: &MetadataRequest) -> MetadataResponse {
    let all = request.topics.as_ref().is_none_or(|topics| topics.is_empty() && call.version == 0);
    let topics = if all {
        call.broker.topics.all().iter().map(|topic| describe(topic)).collect()
    } else {
        let may_create = request.allow_auto_topic_creation && call.broker.config.auto_create_topics;
        request.topics.iter().flatten().map(|asked| one_topic(call, asked, may_create)).collect()
    };
    let node = MetadataResponseBroker::default().with_node_id(BrokerId(NODE)).with_host(call.host()).with_port(call.port());
    MetadataResponse::default()
        .with_brokers(vec![node])
        .with_cluster_id(Some(CLUSTER.into()))
        .with_controller_id(BrokerId(NODE))
        .with_topics(topics)
}

fn one_topic(call: &Call<'_>, asked: &MetadataRequestTopic, may_create: bool) -> MetadataResponseTopic {
    let found = match &asked.name {
        None => call.broker.topics.by_id(asked.topic_id).ok_or(ResponseError::UnknownTopicId),
        Some(name) => find_or_create(call, name, may_create),
    };
    match found {
        Ok(topic) => describe(&topic),
        Err(error) => {
            let name = asked.name.clone().or_else(|| (call.version < 12).then(TopicName::default));
            MetadataResponseTopic::default().with_name(name).with_topic_id(asked.topic_id).with_error_code(error.code())
        }
    }
}

fn find_or_create(call: &Call<'_>, name: &TopicName, may_create: bool) -> Result<Arc<Topic>, ResponseError> {
    let topics = &call.broker.topics;
    if let Some(topic) = topics.get(name) {
        return Ok(topic);
    }
    if may_create {
        let partitions = call.broker.config.default_partitions;
        match topics.create(&call.broker.journal, name, partitions, BTreeMap::new(), false) {
            // Two clients may ask at once: either way it is there.
            Ok(_) | Err(ResponseError::TopicAlreadyExists) => {}
            Err(error) => return Err(error),
        }
    }
    topics.get(name).ok_or(ResponseError::UnknownTopicOrPartition)
}

fn describe(topic: &Topic) -> MetadataResponseTopic {
    let node = || vec![BrokerId(NODE)];
    let partition = |index| {
        MetadataResponsePartition::default()
            .with_partition_index(index)
            .with_leader_id(BrokerId(NODE))
            .with_leader_epoch(0)
            .with_replica_nodes(node())
            .with_isr_nodes(node())
    };
    MetadataResponseTopic::default()
        .with_name(Some(TopicName(text(topic.name.clone()))))
        .with_topic_id(topic.id)
        .with_partitions((0..topic.count()).map(partition).collect())
}

/// The one node.
pub(super) fn describe_cluster(call: &Call<'_>) -> DescribeClusterResponse {
    let node = DescribeClusterBroker::default().with_broker_id(BrokerId(NODE)).with_host(call.host()).with_port(call.port());
    DescribeClusterResponse::default().with_cluster_id(CLUSTER.into()).with_controller_id(BrokerId(NODE)).with_brokers(vec![node])
}

/// The one node coordinates every group and every transactional id.
pub(super) fn find_coordinator(call: &Call<'_>, request: FindCoordinatorRequest) -> FindCoordinatorResponse {
    let known = if matches!(request.key_type, GROUP | TRANSACTION) { Ok(()) } else { Err(ResponseError::InvalidRequest) };
    if call.version < 4 {
        return FindCoordinatorResponse::default()
            .with_error_code(code(&known))
            .with_error_message(message(&known))
            .with_node_id(BrokerId(NODE))
            .with_host(call.host())
            .with_port(call.port());
    }
    let coordinator = |key| {
        Coordinator::default()
            .with_key(key)
            .with_error_code(code(&known))
            .with_error_message(message(&known))
            .with_node_id(BrokerId(NODE))
            .with_host(call.host())
            .with_port(call.port())
    };
    FindCoordinatorResponse::default().with_coordinators(request.coordinator_keys.into_iter().map(coordinator).collect())
}
