//! Topics: those of the project file are made before a pipeline runs; an existing one is left as it is.

use std::collections::{BTreeMap, BTreeSet};

use millrace_model::{Code, Fault, Result};
use rdkafka::admin::{AdminOptions, NewTopic, TopicReplication};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::RDKafkaErrorCode;

use super::client::{Cluster, PlainContext, REQUEST_TIMEOUT};
use super::fault::fault;

/// A topic as it is to be made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Declared {
    /// Its name.
    pub name: String,
    /// How many partitions; `None` leaves it to the broker.
    pub partitions: Option<i32>,
    /// How many replicas; `None` leaves it to the broker.
    pub replication: Option<i32>,
    /// Settings such as `retention.ms`.
    pub config: BTreeMap<String, String>,
}

impl Declared {
    /// A topic that keeps the newest record of each key.
    pub fn compacted(name: &str, partitions: i32) -> Self {
        let config = BTreeMap::from([("cleanup.policy".to_owned(), "compact".to_owned())]);
        Self { name: name.to_owned(), partitions: Some(partitions), replication: None, config }
    }

    /// A topic of that name, as the broker makes topics by itself.
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }
}

/// A topic as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Existing {
    /// Its name.
    pub name: String,
    /// How many partitions it has.
    pub partitions: i32,
}

/// A partition's offsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// The first record's.
    pub start: i64,
    /// The next record's, of those that committed readers may see.
    pub end: i64,
}

/// Makes the topics that do not exist yet. Safe to call from many processes at once.
pub async fn ensure(cluster: &Cluster, declared: &[Declared]) -> Result<()> {
    let existing: BTreeSet<String> = list(cluster).await?.into_iter().map(|topic| topic.name).collect();
    let missing: Vec<&Declared> = declared.iter().filter(|topic| !existing.contains(&topic.name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let new: Vec<NewTopic<'_>> = missing.iter().map(|topic| new_topic(topic)).collect();
    let options = AdminOptions::new().operation_timeout(Some(REQUEST_TIMEOUT)).request_timeout(Some(REQUEST_TIMEOUT));
    let made = cluster.admin()?.create_topics(&new, &options).await.map_err(|error| fault("making topics", error))?;
    made.into_iter().try_for_each(|made| match made {
        Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => Ok(()),
        Err((name, code)) => Err(fault(&format!("making topic {name}"), rdkafka::error::KafkaError::AdminOp(code))),
    })
}

fn new_topic(topic: &Declared) -> NewTopic<'_> {
    // -1 is Kafka's word for the broker's default (KIP-464).
    let new = NewTopic::new(&topic.name, topic.partitions.unwrap_or(-1), TopicReplication::Fixed(topic.replication.unwrap_or(-1)));
    topic.config.iter().fold(new, |new, (name, value)| new.set(name, value))
}

/// Every topic that the user may see, by name.
pub async fn list(cluster: &Cluster) -> Result<Vec<Existing>> {
    asking(cluster, |client| {
        let metadata = client.fetch_metadata(None, REQUEST_TIMEOUT)?;
        let topics = metadata.topics().iter().filter(|topic| topic.error().is_none());
        let mut topics: Vec<_> =
            topics.map(|topic| Existing { name: topic.name().to_owned(), partitions: topic.partitions().len() as i32 }).collect();
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(topics)
    })
    .await
}

/// How many partitions `topic` has; a fault when it does not exist.
pub async fn partitions(cluster: &Cluster, topic: &str) -> Result<i32> {
    let found = list(cluster).await?.into_iter().find(|existing| existing.name == topic);
    let missing = || Fault::operator(Code::KafkaTopicMissing, format!("topic {topic} does not exist; {}", Code::KafkaTopicMissing.help()));
    found.map(|existing| existing.partitions).ok_or_else(missing)
}

/// Where each partition of `topic` starts and ends, for readers of committed records.
pub async fn extents(cluster: &Cluster, topic: &str) -> Result<Vec<Extent>> {
    let (count, topic) = (partitions(cluster, topic).await?, topic.to_owned());
    asking(cluster, move |client| {
        (0..count)
            .map(|partition| client.fetch_watermarks(&topic, partition, REQUEST_TIMEOUT).map(|(start, end)| Extent { start, end }))
            .collect()
    })
    .await
}

/// Asks a client of its own, off the caller's thread: librdkafka's answers block.
async fn asking<T: Send + 'static>(
    cluster: &Cluster,
    question: impl FnOnce(&BaseConsumer<PlainContext>) -> rdkafka::error::KafkaResult<T> + Send + 'static,
) -> Result<T> {
    let mut config = cluster.config();
    config.set("isolation.level", "read_committed");
    let asked = tokio::task::spawn_blocking(move || {
        let client: BaseConsumer<PlainContext> =
            config.create_with_context(PlainContext::default()).map_err(|error| fault("opening a client", error))?;
        question(&client).map_err(|error| {
            client.poll(std::time::Duration::ZERO);
            client.context().troubles.explain("asking Kafka", error)
        })
    });
    asked.await.map_err(|error| Fault::fatal(Code::Internal, "asking Kafka panicked").because(error))?
}
