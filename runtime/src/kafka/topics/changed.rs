//! Topics made, changed and deleted, one at a time: what was done and what was not can then be told.

use std::collections::BTreeMap;

use millrace_model::Result;
use rdkafka::admin::{AdminOptions, NewPartitions};
use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::{Cluster, Declared, asking, await_topics, await_visible, new_topic};
use crate::kafka::client::REQUEST_TIMEOUT;
use crate::kafka::fault::fault;
use crate::kafka::native_admin;

fn options() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(REQUEST_TIMEOUT)).request_timeout(Some(REQUEST_TIMEOUT))
}

/// Creates the topic, and returns when it shows. One that exists by now is as good.
pub async fn create(cluster: &Cluster, topic: &Declared) -> Result<()> {
    let doing = format!("creating topic {}", topic.name);
    let made = cluster.admin()?.create_topics(&[new_topic(topic)], &options()).await.map_err(|error| fault(&doing, error))?;
    match made.into_iter().find_map(Result::err) {
        None | Some((_, RDKafkaErrorCode::TopicAlreadyExists)) => await_visible(cluster, &[topic]).await,
        Some((_, code)) => Err(fault(&doing, KafkaError::AdminOp(code))),
    }
}

/// Adds partitions, up to `partitions` in all, and returns when they show. Keys move: records of one key may be in two partitions from then on.
pub async fn grow(cluster: &Cluster, topic: &str, partitions: i32) -> Result<()> {
    let doing = format!("adding partitions to topic {topic}");
    let grown = cluster.admin()?.create_partitions(&[NewPartitions::new(topic, partitions as usize)], &options()).await;
    match grown.map_err(|error| fault(&doing, error))?.into_iter().find_map(Result::err) {
        None => {
            let what = format!("partitions were added to topic {topic} and do not show yet");
            await_topics(cluster, &what, |existing| existing.iter().any(|one| one.name == topic && one.partitions >= partitions)).await
        }
        Some((_, code)) => Err(fault(&doing, KafkaError::AdminOp(code))),
    }
}

/// Sets settings; those that are not named stay as they are.
pub async fn configure(cluster: &Cluster, topic: &str, settings: &BTreeMap<String, String>) -> Result<()> {
    let settings: Vec<_> = settings.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    let name = topic.to_owned();
    let set = move |client: &super::Client, timeout| native_admin::set_configs(client.client().native_ptr(), &name, &settings, timeout);
    asking(cluster, set).await
}

/// Deletes the topic with its records, and returns when it is gone.
pub async fn delete(cluster: &Cluster, topic: &str) -> Result<()> {
    let doing = format!("deleting topic {topic}");
    let deleted = cluster.admin()?.delete_topics(&[topic], &options()).await.map_err(|error| fault(&doing, error))?;
    match deleted.into_iter().find_map(Result::err) {
        None => {
            let what = format!("topic {topic} was deleted and still shows");
            await_topics(cluster, &what, |existing| existing.iter().all(|one| one.name != topic)).await
        }
        Some((_, code)) => Err(fault(&doing, KafkaError::AdminOp(code))),
    }
}
