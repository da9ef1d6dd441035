//! What the servers have of what a project needs.

use std::collections::{BTreeMap, BTreeSet};

use millrace_connectors::Examined;
use millrace_model::{Fault, Result, Retry};
use millrace_runtime::kafka::topics::{self, Described, Operations};
use millrace_runtime::kafka::{Cluster, rights};
use millrace_runtime::registry::{Level, Registry, SubjectVersion};

use crate::compare;
use crate::wanted::{Wanted, WantedSubject, WantedTable, WantedTransactions};

/// The facts, as far as each server told them.
#[derive(Debug)]
pub struct Facts {
    /// Kafka's, or why there are none.
    pub kafka: Result<KafkaFacts>,
    /// The registry's on each subject, or why there are none.
    pub subjects: Result<BTreeMap<String, SubjectFacts>>,
    /// The target's on each table, in the order in which they are wanted.
    pub tables: Vec<Result<Examined>>,
}

/// What Kafka has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KafkaFacts {
    /// The topics that exist, or that the user may not see.
    pub topics: BTreeMap<String, Described>,
    /// What the user may do with the cluster.
    pub cluster: Operations,
    /// What the user may do with each consumer group.
    pub groups: BTreeMap<String, Operations>,
    /// The prefixes of transactional ids that the user may not write with.
    pub denied_transactions: BTreeSet<String>,
    /// As whom the brokers see the user, where that is known.
    pub principal: Option<String>,
}

/// What the registry has of a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubjectFacts {
    /// The schema is registered.
    Registered,
    /// There is no such subject.
    Missing,
    /// There is, without the schema, and it takes it.
    Behind {
        /// The latest version.
        latest: u32,
    },
    /// There is, and it refuses the schema.
    Refuses {
        /// The latest version.
        latest: u32,
        /// The rule by which it does, if the registry tells.
        level: Option<Level>,
        /// Why, version by version and field by field.
        reasons: Vec<String>,
    },
}

impl Facts {
    /// Why servers told nothing, those that did not.
    pub fn silent(&self) -> impl Iterator<Item = &Fault> {
        let Self { kafka, subjects, tables } = self;
        kafka.as_ref().err().into_iter().chain(subjects.as_ref().err()).chain(tables.iter().filter_map(|table| table.as_ref().err()))
    }
}

/// Reads the facts. A server that does not answer hides those of no other.
pub async fn read(wanted: &Wanted, cluster: &Cluster, registry: &Registry) -> Facts {
    let mut tables = Vec::with_capacity(wanted.tables.len());
    for table in &wanted.tables {
        tables.push(examine(table).await);
    }
    Facts { kafka: kafka(wanted, cluster).await, subjects: subjects(&wanted.subjects, registry).await, tables }
}

async fn examine(wanted: &WantedTable) -> Result<Examined> {
    wanted.target.examine(&wanted.table, &wanted.schema).await
}

async fn kafka(wanted: &Wanted, cluster: &Cluster) -> Result<KafkaFacts> {
    let names: Vec<String> = wanted.topics.iter().map(|topic| topic.declared.name.clone()).collect();
    let topics = topics::describe(cluster, &names).await?;
    let groups: Vec<String> = wanted.groups.iter().map(|group| group.name.clone()).collect();
    Ok(KafkaFacts {
        topics,
        cluster: topics::cluster_operations(cluster).await?,
        groups: rights::of_groups(cluster, &groups).await?,
        denied_transactions: denied_transactions(&wanted.transactions, cluster).await?,
        principal: cluster.principal(),
    })
}

/// The prefixes are asked about by an id that no producer has, so that nobody is disturbed.
async fn denied_transactions(wanted: &[WantedTransactions], cluster: &Cluster) -> Result<BTreeSet<String>> {
    let ids: Vec<String> = wanted.iter().map(WantedTransactions::unused_id).collect();
    let denied = rights::denied_transactions(cluster, &ids).await?;
    Ok(wanted.iter().filter(|one| denied.contains(&one.unused_id())).map(|one| one.prefix.clone()).collect())
}

async fn subjects(wanted: &[WantedSubject], registry: &Registry) -> Result<BTreeMap<String, SubjectFacts>> {
    let mut facts = BTreeMap::new();
    for subject in wanted {
        facts.insert(subject.name.clone(), subject_facts(subject, registry).await?);
    }
    Ok(facts)
}

async fn subject_facts(wanted: &WantedSubject, registry: &Registry) -> Result<SubjectFacts, Fault> {
    let Some(latest) = registry.version(&wanted.name, None).await? else { return Ok(SubjectFacts::Missing) };
    if registry.is_registered(&wanted.name, &wanted.schema).await? {
        return Ok(SubjectFacts::Registered);
    }
    if registry.takes(&wanted.name, &wanted.schema).await? {
        return Ok(SubjectFacts::Behind { latest: latest.version });
    }
    let (version, name) = (latest.version, &wanted.name);
    let level = level(registry, name).await?;
    let rule = level.unwrap_or(Level::Full);
    let earlier = if rule.is_transitive() { all_versions(registry, name).await? } else { vec![latest] };
    let reasons = compare::reasons(rule, &earlier, wanted.schema.text());
    Ok(SubjectFacts::Refuses { latest: version, level, reasons })
}

/// The subject's rule; none where the registry does not let the user know it, so that both directions are looked at.
async fn level(registry: &Registry, subject: &str) -> Result<Option<Level>> {
    match registry.level(subject).await {
        Err(fault) if fault.retry() == Retry::Operator => Ok(None),
        told => told.map(Some),
    }
}

async fn all_versions(registry: &Registry, subject: &str) -> Result<Vec<SubjectVersion>> {
    let mut found = Vec::new();
    for version in registry.versions(subject).await? {
        found.extend(registry.version(subject, Some(version)).await?);
    }
    Ok(found)
}
