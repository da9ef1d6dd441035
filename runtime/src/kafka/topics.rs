//! Topics: those of the project file are made before a pipeline runs; an existing one is left as it is. What they are, and their
//! changing, is for those who were asked to.

mod changed;
mod described;

pub use changed::{configure, create, delete, grow};
pub(super) use described::id_by;
pub use described::{Described, Operation, Operations, TopicFacts, cluster_operations, describe, id};

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use millrace_model::{Code, Fault, Result};
use rdkafka::admin::{AdminOptions, NewTopic, TopicReplication};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaResult, RDKafkaErrorCode};

use super::client::{Cluster, PlainContext, REQUEST_TIMEOUT};
use super::fault::{fault, topic_missing};

/// How many events of a client are looked at for the reason of its failure, and how long each is waited for.
const EVENTS: u32 = 10;
const EVENT: Duration = Duration::from_millis(50);
/// How long brokers may take to learn of a topic that one of them has made.
pub(super) const SHOWS_WITHIN: Duration = Duration::from_secs(5);
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(50);

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
    })?;
    await_visible(cluster, &missing).await
}

/// Waits until the topics are known to the broker that is asked.
async fn await_visible(cluster: &Cluster, made: &[&Declared]) -> Result<()> {
    let names: Vec<&str> = made.iter().map(|made| made.name.as_str()).collect();
    let what = format!("the topics {} were made and do not all show yet", names.join(", "));
    await_topics(cluster, &what, |existing| names.iter().all(|name| existing.iter().any(|topic| topic.name == *name))).await
}

/// Waits until topics are as `done` says: what one broker has done, another may learn a little later.
async fn await_topics(cluster: &Cluster, what: &str, done: impl Fn(&[Existing]) -> bool) -> Result<()> {
    let deadline = Instant::now() + REQUEST_TIMEOUT;
    while !done(&list(cluster).await?) {
        if Instant::now() > deadline {
            return Err(Fault::passing(Code::KafkaUnavailable, what));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    Ok(())
}

fn new_topic(topic: &Declared) -> NewTopic<'_> {
    // -1 is Kafka's word for the broker's default (KIP-464).
    let new = NewTopic::new(&topic.name, topic.partitions.unwrap_or(-1), TopicReplication::Fixed(topic.replication.unwrap_or(-1)));
    topic.config.iter().fold(new, |new, (name, value)| new.set(name, value))
}

/// Every topic that the user may see, by name.
pub async fn list(cluster: &Cluster) -> Result<Vec<Existing>> {
    asking(cluster, |client, timeout| {
        let metadata = client.fetch_metadata(None, timeout)?;
        let topics = metadata.topics().iter().filter(|topic| topic.error().is_none());
        let mut topics: Vec<_> =
            topics.map(|topic| Existing { name: topic.name().to_owned(), partitions: topic.partitions().len() as i32 }).collect();
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(topics)
    })
    .await
}

/// How many partitions `topic` has; a fault when it does not exist. What one broker has been told to make another learns a little later,
/// so a topic is missing when it has not shown for [`SHOWS_WITHIN`].
pub async fn partitions(cluster: &Cluster, topic: &str) -> Result<i32> {
    let deadline = Instant::now() + SHOWS_WITHIN;
    loop {
        if let Some(found) = list(cluster).await?.into_iter().find(|existing| existing.name == topic) {
            return Ok(found.partitions);
        }
        if Instant::now() > deadline {
            return Err(topic_missing(topic));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Where each partition of `topic` starts and ends, for readers of committed records.
pub async fn extents(cluster: &Cluster, topic: &str) -> Result<Vec<Extent>> {
    let (count, topic) = (partitions(cluster, topic).await?, topic.to_owned());
    asking(cluster, move |client, timeout| {
        (0..count).map(|partition| client.fetch_watermarks(&topic, partition, timeout).map(|(start, end)| Extent { start, end })).collect()
    })
    .await
}

/// Asks a client of its own, off the caller's thread: librdkafka's answers block.
pub(super) async fn asking<T: Send + 'static>(cluster: &Cluster, question: impl Question<T>) -> Result<T> {
    let mut config = cluster.config();
    config.set("isolation.level", "read_committed");
    let asked = tokio::task::spawn_blocking(move || {
        let client: Client = config.create_with_context(PlainContext::default()).map_err(|error| fault("opening a client", error))?;
        ask(&client, &question)
    });
    asked.await.map_err(|error| Fault::fatal(Code::Internal, "asking Kafka panicked").because(error))?
}

pub(super) type Client = BaseConsumer<PlainContext>;

/// Something to ask a client, within the given time.
pub(super) trait Question<T>: Fn(&Client, Duration) -> KafkaResult<T> + Send + 'static {}

impl<T, F: Fn(&Client, Duration) -> KafkaResult<T> + Send + 'static> Question<T> for F {}

/// Asks with more and more patience. librdkafka itself goes on waiting when credentials are refused, and says so by an
/// event only; it is looked for after each try, so that nobody waits the whole time for it.
fn ask<T>(client: &Client, question: &impl Question<T>) -> Result<T> {
    let mut waited = Duration::ZERO;
    let mut patience = Duration::from_secs(1);
    loop {
        let error = match question(client, patience) {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        if let Some(refusal) = refusal(client) {
            return Err(refusal);
        }
        waited += patience;
        let fault = fault("asking Kafka", error);
        if fault.code() != Code::KafkaUnavailable || waited >= REQUEST_TIMEOUT {
            return Err(fault);
        }
        patience *= 2;
    }
}

/// The refusal among the client's events, which come a little after the call that they explain.
fn refusal(client: &Client) -> Option<Fault> {
    (0..EVENTS).find_map(|_| {
        client.poll(EVENT);
        client.context().troubles.take()
    })
}
