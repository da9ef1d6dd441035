//! Differences in words: what is otherwise, and what to do about it.

use std::collections::{BTreeMap, BTreeSet};

use millrace_runtime::kafka::topics::{Declared, Operation};

use crate::differences::What;

impl What {
    /// What is otherwise.
    pub fn message(&self) -> String {
        match self {
            Self::TopicMissing { declared, creatable: true } => format!("the topic `{}` does not exist yet", declared.name),
            Self::TopicMissing { declared, creatable: false } => {
                format!("the topic `{}` does not exist, and the user may not create topics on the cluster", declared.name)
            }
            Self::TopicHidden(topic) => format!("the user may not see the topic `{topic}`"),
            Self::Partitions { topic, has, wanted } => {
                format!("the topic `{topic}` has {}, the project says {wanted}", counted(*has, "partition"))
            }
            Self::Replication { topic, has, wanted } => {
                format!("the topic `{topic}` has {}, the project says {wanted}", counted(*has, "replica"))
            }
            Self::Settings { topic, settings } => {
                format!("the topic `{topic}` has other settings than the project says: {}", changes(settings))
            }
            Self::TopicDenied { topic, operations } => format!("the user lacks {} on the topic `{topic}`", list(operations)),
            Self::GroupDenied { group, principal } => {
                format!("the user{} lacks Read on the consumer group `{group}`", named(principal.as_deref()))
            }
            Self::TransactionsDenied { prefix, principal } => {
                format!("the user{} lacks Write on the transactional ids that begin with `{prefix}`", named(principal.as_deref()))
            }
            Self::Unregistered { subject, latest: None, .. } => format!("the subject `{subject}` does not exist yet"),
            Self::Unregistered { subject, latest: Some(latest), .. } => {
                format!("the subject `{subject}` is at version {latest}, which is not the project's schema")
            }
            Self::Refused { subject, latest, level, reasons } => {
                let why = if reasons.is_empty() { String::new() } else { format!(": {}", reasons.join("; ")) };
                let rule = level.map_or_else(String::new, |level| format!(", by its rule {level}"));
                format!("the subject `{subject}` refuses the project's schema as the successor of version {latest}{rule}{why}")
            }
            Self::Undefined { connection, definition } => {
                format!("`{connection}` has no {} {}", definition.kind, definition.name)
            }
            Self::Unfit { connection, misfit, .. } => format!("{} (in `{connection}`)", misfit.what()),
            Self::TargetDenied { connection, right } => format!("the user of `{connection}` lacks {right}"),
            Self::TargetAdvice { connection, advice } => format!("`{connection}` {}", advice.what),
        }
    }

    /// What to do.
    pub fn remedy(&self) -> String {
        match self {
            Self::TopicMissing { creatable: true, .. } => "`millrace apply` creates it, or else the service that starts first".into(),
            Self::TopicMissing { declared, .. } => format!("create it, or allow Create on the cluster or on the topic `{}`", declared.name),
            Self::TopicHidden(topic) => format!("allow Describe on the topic `{topic}`"),
            Self::Partitions { topic, has, wanted } if wanted > has => {
                format!("`millrace apply --add-partitions {topic}` adds them; records of one key may then be in two partitions")
            }
            Self::Partitions { has, .. } => format!("partitions can't be taken away: set `partitions: {has}`, or make a new topic"),
            Self::Replication { .. } => "replicas are moved by kafka-reassign-partitions, or set `replication` as it is".into(),
            Self::Settings { .. } => "`millrace apply` changes them".into(),
            Self::TopicDenied { topic, operations } => format!("allow {} on the topic `{topic}`", list(operations)),
            Self::GroupDenied { group, principal } => grant(principal.as_deref(), &format!("--operation Read --group {group}")),
            Self::TransactionsDenied { prefix, principal } => {
                grant(principal.as_deref(), &format!("--operation Write --transactional-id {prefix} --resource-pattern-type prefixed"))
            }
            Self::Unregistered { .. } => "`millrace apply` registers it, or else the service that starts first".into(),
            Self::Refused { .. } => "give new fields a default, or change the subject's compatibility".into(),
            Self::Undefined { definition, .. } if definition.kind == "table" => {
                "`millrace apply` creates it, or else the loader when it starts".into()
            }
            Self::Undefined { .. } => "`millrace apply` creates it".into(),
            Self::Unfit { misfit, grows, .. } => match misfit.mending() {
                Some(sql) if *grows => format!("`millrace apply` does it, or else the load with its first rows: {sql}"),
                Some(sql) => format!("`millrace apply` does it: {sql}"),
                None => misfit.remedy(),
            },
            Self::TargetDenied { right, .. } => format!("GRANT {right} to it, or use another user"),
            Self::TargetAdvice { advice, .. } => advice.remedy.clone(),
        }
    }
}

fn named(principal: Option<&str>) -> String {
    principal.map_or_else(String::new, |principal| format!(" `{principal}`"))
}

/// How a right is given where rights are lists of Kafka's own.
fn grant(principal: Option<&str>, what: &str) -> String {
    let principal = principal.unwrap_or("User:NAME");
    format!("allow it: kafka-acls --add --allow-principal {principal} {what}")
}

/// The declared properties of a topic.
pub(crate) fn declared(topic: &Declared) -> String {
    let mut parts = Vec::new();
    parts.extend(topic.partitions.map(|count| counted(count, "partition")));
    parts.extend(topic.replication.map(|count| counted(count, "replica")));
    parts.extend(topic.config.iter().map(|(name, value)| format!("{name}={value}")));
    if parts.is_empty() { "as the broker makes topics".into() } else { parts.join(", ") }
}

/// A number of things.
pub(crate) fn counted(count: i32, thing: &str) -> String {
    if count == 1 { format!("1 {thing}") } else { format!("{count} {thing}s") }
}

/// Settings as they are and as they are to be.
pub(crate) fn changes(settings: &BTreeMap<String, (Option<String>, String)>) -> String {
    let change = |(name, (has, wanted)): (&String, &(Option<String>, String))| match has {
        Some(has) => format!("{name} {has} → {wanted}"),
        None => format!("{name} → {wanted}"),
    };
    settings.iter().map(change).collect::<Vec<_>>().join(", ")
}

fn list(operations: &BTreeSet<Operation>) -> String {
    operations.iter().map(|operation| operation.as_str()).collect::<Vec<_>>().join(", ")
}
