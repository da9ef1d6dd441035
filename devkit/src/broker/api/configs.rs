//! Settings of topics are shown and changed; those of the broker are only shown.

use std::collections::BTreeMap;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{DescribeConfigsResourceResult, DescribeConfigsResult};
use kafka_protocol::messages::{
    AlterConfigsRequest, AlterConfigsResponse, DescribeConfigsRequest, DescribeConfigsResponse, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse, alter_configs_response, incremental_alter_configs_response,
};
use kafka_protocol::protocol::StrBytes;

use super::{Call, code, message, text};
use crate::broker::state::NODE;
use crate::broker::topic_configs::{self, Kind, Operation, SETTINGS};

/// Kinds of resource.
const TOPIC: i8 = 2;
const BROKER: i8 = 4;

/// Where a value comes from: the topic, the broker's start, the default.
const OF_TOPIC: i8 = 1;
const OF_START: i8 = 4;
const OF_DEFAULT: i8 = 5;

/// The settings of topics and of the broker.
pub(super) fn describe_configs(call: &Call<'_>, request: DescribeConfigsRequest) -> DescribeConfigsResponse {
    let results = request.resources.into_iter().map(|resource| {
        let outcome = describe(call, &resource);
        DescribeConfigsResult::default()
            .with_error_code(code(&outcome))
            .with_error_message(message(&outcome))
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name)
            .with_configs(outcome.unwrap_or_default())
    });
    DescribeConfigsResponse::default().with_results(results.collect())
}

fn describe(call: &Call<'_>, resource: &DescribeConfigsResource) -> Result<Vec<DescribeConfigsResourceResult>, ResponseError> {
    let mut settings = match resource.resource_type {
        TOPIC => {
            let topic = call.broker.topics.get(&resource.resource_name).ok_or(ResponseError::UnknownTopicOrPartition)?;
            of_topic(&topic.configs())
        }
        BROKER if resource.resource_name.parse() == Ok(NODE) => of_broker(call),
        _ => return Err(ResponseError::InvalidRequest),
    };
    if let Some(wanted) = &resource.configuration_keys {
        settings.retain(|setting| wanted.contains(&setting.name));
    }
    Ok(settings)
}

fn of_topic(configs: &BTreeMap<String, String>) -> Vec<DescribeConfigsResourceResult> {
    let one = |(name, kind, default): &(&'static str, Kind, &'static str)| match configs.get(*name) {
        Some(value) => setting(name, text(value.clone()), *kind, OF_TOPIC),
        None => setting(name, StrBytes::from_static_str(default), *kind, OF_DEFAULT),
    };
    SETTINGS.iter().map(one).collect()
}

fn of_broker(call: &Call<'_>) -> Vec<DescribeConfigsResourceResult> {
    let config = &call.broker.config;
    let shown = [
        ("auto.create.topics.enable", Kind::Boolean, config.auto_create_topics.to_string()),
        ("default.replication.factor", Kind::Int, "1".to_owned()),
        ("num.partitions", Kind::Int, config.default_partitions.to_string()),
    ];
    shown.into_iter().map(|(name, kind, value)| setting(name, text(value), kind, OF_START).with_read_only(true)).collect()
}

fn setting(name: &'static str, value: StrBytes, kind: Kind, source: i8) -> DescribeConfigsResourceResult {
    DescribeConfigsResourceResult::default()
        .with_name(StrBytes::from_static_str(name))
        .with_value(Some(value))
        .with_config_type(kind as i8)
        .with_config_source(source)
}

/// Replaces all settings of topics.
pub(super) fn alter_configs(call: &Call<'_>, request: AlterConfigsRequest) -> AlterConfigsResponse {
    let responses = request.resources.into_iter().map(|resource| {
        let entries = resource.configs.iter().map(|config| (Operation::Set, &config.name, config.value.as_ref()));
        let outcome = configure(call, resource.resource_type, &resource.resource_name, request.validate_only, |configs| {
            configs.clear();
            change_all(configs, entries)
        });
        alter_configs_response::AlterConfigsResourceResponse::default()
            .with_error_code(code(&outcome))
            .with_error_message(message(&outcome))
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name.clone())
    });
    AlterConfigsResponse::default().with_responses(responses.collect())
}

/// Changes single settings of topics (KIP-339).
pub(super) fn incremental_alter_configs(call: &Call<'_>, request: IncrementalAlterConfigsRequest) -> IncrementalAlterConfigsResponse {
    let responses = request.resources.into_iter().map(|resource| {
        let outcome = configure(call, resource.resource_type, &resource.resource_name, request.validate_only, |configs| {
            for config in &resource.configs {
                let operation = Operation::try_from(config.config_operation)?;
                change_all(configs, [(operation, &config.name, config.value.as_ref())])?;
            }
            Ok(())
        });
        incremental_alter_configs_response::AlterConfigsResourceResponse::default()
            .with_error_code(code(&outcome))
            .with_error_message(message(&outcome))
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name.clone())
    });
    IncrementalAlterConfigsResponse::default().with_responses(responses.collect())
}

fn change_all<'a>(
    configs: &mut BTreeMap<String, String>,
    entries: impl IntoIterator<Item = (Operation, &'a StrBytes, Option<&'a StrBytes>)>,
) -> Result<(), ResponseError> {
    for (operation, name, value) in entries {
        topic_configs::apply(configs, operation, name, value.map_or("", StrBytes::as_str))?;
    }
    Ok(())
}

fn configure(
    call: &Call<'_>,
    kind: i8,
    name: &str,
    dry: bool,
    change: impl FnOnce(&mut BTreeMap<String, String>) -> Result<(), ResponseError>,
) -> Result<(), ResponseError> {
    if kind != TOPIC {
        return Err(ResponseError::InvalidRequest);
    }
    call.broker.topics.configure(&call.broker.journal, name, dry, |configs| {
        change(configs)?;
        topic_configs::check(configs)
    })
}
