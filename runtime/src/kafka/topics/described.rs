//! Topics as the cluster has them, and what the user may do with them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use millrace_model::{Result, TopicId};
use rdkafka::admin::{AdminOptions, ResourceSpecifier};
use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::types::RDKafka;
use rdkafka_sys::rd_kafka_AclOperation_t as Native;

use super::{Cluster, asking};
use crate::kafka::client::REQUEST_TIMEOUT;
use crate::kafka::fault::fault;
use crate::kafka::fault::topic_missing;
use crate::kafka::native_admin::{self, NativeTopicFacts, Rights};

/// Something that an access control list allows (KIP-11, KIP-430).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Read records, or join a group.
    Read,
    /// Write records.
    Write,
    /// Create topics.
    Create,
    /// Delete the topic.
    Delete,
    /// Add partitions.
    Alter,
    /// See that it exists.
    Describe,
    /// See its settings.
    DescribeConfigs,
    /// Change its settings.
    AlterConfigs,
}

impl Operation {
    /// As Kafka's tools write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "Read",
            Self::Write => "Write",
            Self::Create => "Create",
            Self::Delete => "Delete",
            Self::Alter => "Alter",
            Self::Describe => "Describe",
            Self::DescribeConfigs => "DescribeConfigs",
            Self::AlterConfigs => "AlterConfigs",
        }
    }

    pub(in crate::kafka) fn of(native: Native) -> Option<Self> {
        Some(match native {
            Native::RD_KAFKA_ACL_OPERATION_READ => Self::Read,
            Native::RD_KAFKA_ACL_OPERATION_WRITE => Self::Write,
            Native::RD_KAFKA_ACL_OPERATION_CREATE => Self::Create,
            Native::RD_KAFKA_ACL_OPERATION_DELETE => Self::Delete,
            Native::RD_KAFKA_ACL_OPERATION_ALTER => Self::Alter,
            Native::RD_KAFKA_ACL_OPERATION_DESCRIBE => Self::Describe,
            Native::RD_KAFKA_ACL_OPERATION_DESCRIBE_CONFIGS => Self::DescribeConfigs,
            Native::RD_KAFKA_ACL_OPERATION_ALTER_CONFIGS => Self::AlterConfigs,
            _ => return None,
        })
    }
}

/// What the user may do; `None` when the broker does not tell.
pub type Operations = Option<BTreeSet<Operation>>;

/// A topic as the cluster shows it to this user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Described {
    /// It exists.
    Exists(TopicFacts),
    /// The user may not even see whether it exists.
    Hidden,
}

/// An existing topic.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TopicFacts {
    /// How many partitions it has.
    pub partitions: i32,
    /// How many replicas the partition with the fewest has.
    pub replication: i32,
    /// Its settings with their values in force; `None` when the user may not see them.
    pub config: Option<BTreeMap<String, String>>,
    /// What the user may do with it.
    pub operations: Operations,
}

/// Those of the named topics that exist, or that the user may not see.
pub async fn describe(cluster: &Cluster, names: &[String]) -> Result<BTreeMap<String, Described>> {
    if names.is_empty() {
        return Ok(BTreeMap::new());
    }
    let asked = names.to_vec();
    let native =
        asking(cluster, move |client, timeout| native_admin::describe_topics(client.client().native_ptr(), &asked, Rights::Asked, timeout));
    let mut topics = BTreeMap::new();
    for facts in native.await? {
        if let Some((name, described)) = described(facts)? {
            topics.insert(name, described);
        }
    }
    add_configs(cluster, &mut topics).await?;
    Ok(topics)
}

fn described(facts: NativeTopicFacts) -> Result<Option<(String, Described)>> {
    let NativeTopicFacts { name, id: _, error, partitions, replication, operations } = facts;
    let operations = operations.map(|operations| operations.into_iter().collect());
    match error {
        None => Ok(Some((name, Described::Exists(TopicFacts { partitions, replication, config: None, operations })))),
        Some(RDKafkaErrorCode::UnknownTopicOrPartition) => Ok(None),
        Some(RDKafkaErrorCode::TopicAuthorizationFailed) => Ok(Some((name, Described::Hidden))),
        Some(code) => Err(fault(&format!("describing topic {name}"), KafkaError::AdminOp(code))),
    }
}

/// Which topic it is that has the name now; none where the broker gives no ids (before Kafka 2.8).
///
/// # Errors
/// [`Code::KafkaTopicMissing`](millrace_model::Code::KafkaTopicMissing) where there is none.
pub async fn id(cluster: &Cluster, topic: &str) -> Result<Option<TopicId>> {
    let name = topic.to_owned();
    asking(cluster, move |client, timeout| Ok(id_by(client.client().native_ptr(), &name, timeout))).await?
}

/// The same, asked by a client that there is. Blocks until the answer or the time is over.
pub(in crate::kafka) fn id_by(client: *mut RDKafka, topic: &str, timeout: Duration) -> Result<Option<TopicId>> {
    let doing = || format!("asking for the id of topic {topic}");
    let described = native_admin::describe_topics(client, &[topic.to_owned()], Rights::Omitted, timeout);
    match described.map_err(|error| fault(&doing(), error))?.pop() {
        Some(NativeTopicFacts { error: None, id, .. }) => Ok(id),
        Some(NativeTopicFacts { error: Some(RDKafkaErrorCode::UnknownTopicOrPartition), .. }) | None => Err(topic_missing(topic)),
        Some(NativeTopicFacts { error: Some(code), .. }) => Err(fault(&doing(), KafkaError::AdminOp(code))),
    }
}

async fn add_configs(cluster: &Cluster, topics: &mut BTreeMap<String, Described>) -> Result<()> {
    let existing = topics.iter_mut().filter_map(|(name, described)| match described {
        Described::Exists(facts) => Some((name, facts)),
        Described::Hidden => None,
    });
    let (names, facts): (Vec<&String>, Vec<&mut TopicFacts>) = existing.unzip();
    if names.is_empty() {
        return Ok(());
    }
    let resources: Vec<_> = names.iter().map(|name| ResourceSpecifier::Topic(name)).collect();
    let options = AdminOptions::new().request_timeout(Some(REQUEST_TIMEOUT));
    let answered = cluster.admin()?.describe_configs(&resources, &options).await;
    let answered = answered.map_err(|error| fault("reading the settings of topics", error))?;
    // Answers come in the order of the questions.
    for ((name, facts), answer) in names.into_iter().zip(facts).zip(answered) {
        facts.config = match answer {
            Ok(resource) => Some(resource.entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?))).collect()),
            Err(RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::UnknownTopicOrPartition) => None,
            Err(code) => return Err(fault(&format!("reading the settings of topic {name}"), KafkaError::AdminOp(code))),
        };
    }
    Ok(())
}

/// What the user may do with the cluster: `Create` allows to create any topic.
pub async fn cluster_operations(cluster: &Cluster) -> Result<Operations> {
    let asked = asking(cluster, |client, timeout| native_admin::cluster_operations(client.client().native_ptr(), timeout));
    Ok(asked.await?.map(|operations| operations.into_iter().collect()))
}
