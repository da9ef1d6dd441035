//! Topics are created, deleted, and given more partitions.

use std::collections::BTreeMap;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest,
    DeleteTopicsResponse, TopicName,
};

use super::{Call, code, message, text};
use crate::broker::topic_configs;

/// Stands for the broker's default.
const DEFAULT: i32 = -1;

/// Creates topics; with one node their records have one replica.
pub(super) fn create_topics(call: &Call<'_>, request: CreateTopicsRequest) -> CreateTopicsResponse {
    let results = request.topics.into_iter().map(|topic| {
        let partitions = partitions(call, &topic);
        let outcome = create(call, &topic, partitions, request.validate_only);
        let result =
            CreatableTopicResult::default().with_name(topic.name).with_error_code(code(&outcome)).with_error_message(message(&outcome));
        match outcome {
            Err(_) => result,
            Ok(id) => result.with_topic_id(id).with_num_partitions(partitions).with_replication_factor(1),
        }
    });
    CreateTopicsResponse::default().with_topics(results.collect())
}

fn partitions(call: &Call<'_>, topic: &CreatableTopic) -> i32 {
    match topic.num_partitions {
        DEFAULT if !topic.assignments.is_empty() => topic.assignments.len() as i32,
        DEFAULT => call.broker.config.default_partitions,
        count => count,
    }
}

fn create(call: &Call<'_>, topic: &CreatableTopic, partitions: i32, dry: bool) -> Result<uuid::Uuid, ResponseError> {
    if !matches!(topic.replication_factor, -1 | 1) {
        return Err(ResponseError::InvalidReplicationFactor);
    }
    let value = |value: &Option<_>| value.as_ref().map(ToString::to_string).unwrap_or_default();
    let configs: BTreeMap<String, String> = topic.configs.iter().map(|config| (config.name.to_string(), value(&config.value))).collect();
    topic_configs::check(&configs)?;
    call.broker.topics.create(&call.broker.journal, &topic.name, partitions, configs, dry)
}

/// Deletes topics by name or id, and the offsets that groups committed for them.
pub(super) fn delete_topics(call: &Call<'_>, request: DeleteTopicsRequest) -> DeleteTopicsResponse {
    let named = request.topic_names.into_iter().map(|name| DeleteTopicState::default().with_name(Some(name)));
    let results = named.chain(request.topics).map(|asked| {
        let (name, outcome) = delete(call, &asked);
        DeletableTopicResult::default()
            .with_name(name)
            .with_topic_id(asked.topic_id)
            .with_error_code(code(&outcome))
            .with_error_message(message(&outcome))
    });
    DeleteTopicsResponse::default().with_responses(results.collect())
}

fn delete(call: &Call<'_>, asked: &DeleteTopicState) -> (Option<TopicName>, Result<(), ResponseError>) {
    let name = match &asked.name {
        Some(name) => name.clone(),
        None => match call.broker.topics.by_id(asked.topic_id) {
            Some(topic) => TopicName(text(topic.name.clone())),
            None => return (None, Err(ResponseError::UnknownTopicId)),
        },
    };
    let outcome = call.broker.topics.delete(&call.broker.journal, &name);
    if outcome.is_ok() {
        call.broker.groups.forget_topic(&name);
    }
    (Some(name), outcome)
}

/// Gives topics more partitions.
pub(super) fn create_partitions(call: &Call<'_>, request: CreatePartitionsRequest) -> CreatePartitionsResponse {
    let results = request.topics.into_iter().map(|topic| {
        let outcome = call.broker.topics.grow(&call.broker.journal, &topic.name, topic.count, request.validate_only);
        CreatePartitionsTopicResult::default().with_name(topic.name).with_error_code(code(&outcome)).with_error_message(message(&outcome))
    });
    CreatePartitionsResponse::default().with_results(results.collect())
}
