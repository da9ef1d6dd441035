//! What a project needs and its servers lack: decided by what is wanted and by the facts, without I/O.

use std::collections::{BTreeMap, BTreeSet};

use millrace_connectors::{Advice, Definition, Examined, Misfit};
use millrace_model::Schema;
use millrace_runtime::kafka::topics::{Declared, Described, Operation, Operations, TopicFacts};
use millrace_runtime::registry::Level;

use crate::facts::{Facts, KafkaFacts, SubjectFacts};
use crate::wanted::{Path, Wanted, WantedGroup, WantedSubject, WantedTable, WantedTopic, WantedTransactions};

/// One thing that a server lacks, or has otherwise.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// What it is.
    pub what: What,
    /// Where the project file asks for it.
    pub path: Path,
}

/// What a server lacks, or has otherwise.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// A topic does not exist.
    TopicMissing {
        /// As it is to be.
        declared: Declared,
        /// Whether the user may create it, as far as the cluster tells.
        creatable: bool,
    },
    /// The user may not see a topic.
    TopicHidden(String),
    /// A topic has another number of partitions.
    Partitions {
        /// The topic.
        topic: String,
        /// How many it has.
        has: i32,
        /// How many the project says.
        wanted: i32,
    },
    /// A topic has another number of replicas.
    Replication {
        /// The topic.
        topic: String,
        /// How many the partition with the fewest has.
        has: i32,
        /// How many the project says.
        wanted: i32,
    },
    /// A topic has other settings.
    Settings {
        /// The topic.
        topic: String,
        /// Each with its value in force, if it has one, and the one that the project says.
        settings: BTreeMap<String, (Option<String>, String)>,
    },
    /// The user may not do with a topic what the project's pipelines do.
    TopicDenied {
        /// The topic.
        topic: String,
        /// What the user may not do.
        operations: BTreeSet<Operation>,
    },
    /// The user may not be a member of a consumer group, as a pipeline is.
    GroupDenied {
        /// The group.
        group: String,
        /// As whom the brokers see the user, where that is known.
        principal: Option<String>,
    },
    /// The user may not write with the transactional ids of a pipeline.
    TransactionsDenied {
        /// What the ids begin with.
        prefix: String,
        /// As whom the brokers see the user, where that is known.
        principal: Option<String>,
    },
    /// A subject does not have a schema that pipelines write with, and takes it.
    Unregistered {
        /// The subject.
        subject: String,
        /// The schema.
        schema: Schema,
        /// The latest version, where there is one.
        latest: Option<u32>,
    },
    /// A subject refuses a schema that pipelines write with.
    Refused {
        /// The subject.
        subject: String,
        /// The latest version.
        latest: u32,
        /// The rule by which it does, if the registry tells.
        level: Option<Level>,
        /// Why, version by version and field by field.
        reasons: Vec<String>,
    },
    /// A target lacks what a load needs.
    Undefined {
        /// The name of the connection.
        connection: String,
        /// What it lacks.
        definition: Definition,
    },
    /// A table does not fit.
    Unfit {
        /// The name of the connection.
        connection: String,
        /// How it does not.
        misfit: Misfit,
        /// Whether the load mends it with the first rows.
        grows: bool,
    },
    /// The connection's user lacks a right.
    TargetDenied {
        /// The name of the connection.
        connection: String,
        /// The right, as `GRANT` names it.
        right: String,
    },
    /// The server works, and its owner should know something.
    TargetAdvice {
        /// The name of the connection.
        connection: String,
        /// What.
        advice: Advice,
    },
}

/// All differences, topics first. Of a server that told nothing there are none.
pub fn differences(wanted: &Wanted, facts: &Facts) -> Vec<Difference> {
    let mut found = Vec::new();
    if let Ok(kafka) = &facts.kafka {
        found.extend(wanted.topics.iter().flat_map(|topic| of_topic(topic, kafka)));
        found.extend(wanted.groups.iter().filter_map(|group| of_group(group, kafka)));
        found.extend(wanted.transactions.iter().filter_map(|transactions| of_transactions(transactions, kafka)));
    }
    if let Ok(subjects) = &facts.subjects {
        found.extend(wanted.subjects.iter().filter_map(|subject| of_subject(subject, subjects)));
    }
    let mut made = BTreeSet::new();
    for (table, examined) in wanted.tables.iter().zip(&facts.tables) {
        if let Ok(examined) = examined {
            found.extend(of_table(table, examined, &mut made));
        }
    }
    found
}

fn of_topic(wanted: &WantedTopic, facts: &KafkaFacts) -> Vec<Difference> {
    let name = &wanted.declared.name;
    let whats = match facts.topics.get(name) {
        None => {
            let creatable = allows(&facts.cluster, Operation::Create);
            vec![What::TopicMissing { declared: wanted.declared.clone(), creatable }]
        }
        Some(Described::Hidden) => vec![What::TopicHidden(name.clone())],
        Some(Described::Exists(topic)) => of_existing_topic(wanted, topic),
    };
    whats.into_iter().map(|what| Difference { what, path: wanted.path.clone() }).collect()
}

/// A broker that does not tell what is allowed is taken to allow it.
fn allows(operations: &Operations, operation: Operation) -> bool {
    operations.as_ref().is_none_or(|operations| operations.contains(&operation))
}

fn of_existing_topic(wanted: &WantedTopic, facts: &TopicFacts) -> Vec<What> {
    let Declared { name, partitions, replication, config } = &wanted.declared;
    let topic = || name.clone();
    let mut found = Vec::new();
    if let Some(wanted) = partitions.filter(|&wanted| wanted != facts.partitions) {
        found.push(What::Partitions { topic: topic(), has: facts.partitions, wanted });
    }
    if let Some(wanted) = replication.filter(|&wanted| wanted != facts.replication) {
        found.push(What::Replication { topic: topic(), has: facts.replication, wanted });
    }
    let settings = settings(config, facts);
    if !settings.is_empty() {
        found.push(What::Settings { topic: topic(), settings });
    }
    let denied: BTreeSet<Operation> = wanted.operations.iter().copied().filter(|&one| !allows(&facts.operations, one)).collect();
    if !denied.is_empty() {
        found.push(What::TopicDenied { topic: topic(), operations: denied });
    }
    found
}

/// The declared settings that the topic has otherwise. What the user may not see is not compared.
fn settings(declared: &BTreeMap<String, String>, facts: &TopicFacts) -> BTreeMap<String, (Option<String>, String)> {
    let Some(config) = &facts.config else { return BTreeMap::new() };
    let differs = |(name, wanted): &(&String, &String)| config.get(*name).is_none_or(|has| !same(has, wanted));
    let differing = declared.iter().filter(differs);
    differing.map(|(name, wanted)| (name.clone(), (config.get(name).cloned(), wanted.clone()))).collect()
}

/// Lists such as `cleanup.policy` have no order.
fn same(one: &str, other: &str) -> bool {
    let items = |text: &str| text.split(',').map(|item| item.trim().to_owned()).collect::<BTreeSet<_>>();
    one == other || items(one) == items(other)
}

fn of_group(wanted: &WantedGroup, facts: &KafkaFacts) -> Option<Difference> {
    let is_denied = !allows(facts.groups.get(&wanted.name)?, Operation::Read);
    let what = What::GroupDenied { group: wanted.name.clone(), principal: facts.principal.clone() };
    is_denied.then(|| Difference { what, path: wanted.path.clone() })
}

fn of_transactions(wanted: &WantedTransactions, facts: &KafkaFacts) -> Option<Difference> {
    let is_denied = facts.denied_transactions.contains(&wanted.prefix);
    let what = What::TransactionsDenied { prefix: wanted.prefix.clone(), principal: facts.principal.clone() };
    is_denied.then(|| Difference { what, path: wanted.path.clone() })
}

fn of_subject(wanted: &WantedSubject, facts: &BTreeMap<String, SubjectFacts>) -> Option<Difference> {
    let subject = wanted.name.clone();
    let unregistered = |latest| What::Unregistered { subject: wanted.name.clone(), schema: wanted.schema.clone(), latest };
    let what = match facts.get(&wanted.name)? {
        SubjectFacts::Registered => return None,
        SubjectFacts::Missing => unregistered(None),
        SubjectFacts::Behind { latest } => unregistered(Some(*latest)),
        SubjectFacts::Refuses { latest, level, reasons } => {
            What::Refused { subject, latest: *latest, level: *level, reasons: reasons.clone() }
        }
    };
    Some(Difference { what, path: wanted.path.clone() })
}

/// What several tables of a connection lack, such as the table of positions, is told once: `made` knows.
fn of_table(wanted: &WantedTable, examined: &Examined, made: &mut BTreeSet<(String, String)>) -> Vec<Difference> {
    let connection = || wanted.connection.clone();
    let missing = examined.missing.iter().filter(|one| made.insert((connection(), one.name.clone())));
    let mut whats: Vec<What> =
        missing.map(|definition| What::Undefined { connection: connection(), definition: definition.clone() }).collect();
    let grows = |misfit: &Misfit| wanted.target.capabilities().grows && misfit.is_addition(&wanted.table.keys);
    let unfit = |misfit: &Misfit| What::Unfit { connection: connection(), misfit: misfit.clone(), grows: grows(misfit) };
    whats.extend(examined.misfits.iter().map(unfit));
    whats.extend(examined.denied.iter().map(|right| What::TargetDenied { connection: connection(), right: right.clone() }));
    whats.extend(examined.advice.iter().map(|advice| What::TargetAdvice { connection: connection(), advice: advice.clone() }));
    whats.into_iter().map(|what| Difference { what, path: wanted.path.clone() }).collect()
}
