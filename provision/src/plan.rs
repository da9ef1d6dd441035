//! What is to be done about differences: decided without I/O, shown before anything is done.
//!
//! A plan adds and alters. It destroys only what was told by name, and adds partitions only where it was told to: that moves
//! keys to other partitions. What it can't or may not do is an obstacle, with what to do about it.

use std::collections::{BTreeMap, BTreeSet};

use millrace_model::Schema;
use millrace_runtime::kafka::topics::Declared;

use crate::destroy::Doomed;
use crate::differences::{Difference, What};
use crate::words;

/// What someone asked for beyond what the project says.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The topics that partitions may be added to.
    pub add_partitions: BTreeSet<String>,
    /// What exists and is to be destroyed.
    pub doomed: Vec<Doomed>,
}

/// What is to be done, in this order, and what can't be.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// What is to be done.
    pub changes: Vec<Change>,
    /// What is otherwise than the project says and stays so.
    pub obstacles: Vec<Obstacle>,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Whether something is added, altered or destroyed.
    pub sign: Sign,
    /// What it is done to: `topic`, `subject`, `table`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// What is done, and why.
    pub detail: String,
    /// The doing.
    pub effect: Effect,
}

/// Whether something is added, altered or destroyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// It is new.
    Add,
    /// It exists and is changed.
    Alter,
    /// It is destroyed.
    Destroy,
}

/// The doing of a change.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// A topic is created.
    CreateTopic(Declared),
    /// A topic gets more partitions, so many in all.
    AddPartitions(String, i32),
    /// Settings of a topic are set.
    SetConfig(String, BTreeMap<String, String>),
    /// A schema is registered under a subject.
    Register(String, Schema),
    /// A statement is run in the connection of that name.
    Define(String, String),
    /// Something is destroyed.
    Destroy(Doomed),
}

/// What stays otherwise than the project says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obstacle {
    /// What is otherwise.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

/// The plan for differences.
pub fn plan(differences: &[Difference], options: &Options) -> Plan {
    let mut plan = Plan::default();
    // Advice is nothing that could be done, nor anything that stands in the way.
    for difference in differences.iter().filter(|difference| !matches!(difference.what, What::TargetAdvice { .. })) {
        match change(&difference.what, options) {
            Some(change) => plan.changes.push(change),
            None => plan.obstacles.push(obstacle(&difference.what)),
        }
    }
    plan.changes.extend(options.doomed.iter().map(destruction));
    plan
}

/// What is done about a difference; none when nothing may or can be.
fn change(what: &What, options: &Options) -> Option<Change> {
    Some(match what {
        // A right to one topic alone shows nowhere before the topic is there: creating it tells.
        What::TopicMissing { declared, .. } => {
            Change::new(Sign::Add, "topic", &declared.name, words::declared(declared), Effect::CreateTopic(declared.clone()))
        }
        What::Partitions { topic, has, wanted } if wanted > has && options.add_partitions.contains(topic) => {
            let detail = format!("{has} → {wanted} partitions; keys move");
            Change::new(Sign::Alter, "topic", topic, detail, Effect::AddPartitions(topic.clone(), *wanted))
        }
        What::Settings { topic, settings } => {
            let set = settings.iter().map(|(name, (_, wanted))| (name.clone(), wanted.clone())).collect();
            Change::new(Sign::Alter, "topic", topic, words::changes(settings), Effect::SetConfig(topic.clone(), set))
        }
        What::Unregistered { subject, schema, latest } => {
            let (sign, what) = latest.map_or((Sign::Add, "first version".to_owned()), |one| (Sign::Alter, format!("version after {one}")));
            let detail = format!("{what}: {} of {}", schema.name(), words::counted(schema.fields().len() as i32, "field"));
            Change::new(sign, "subject", subject, detail, Effect::Register(subject.clone(), schema.clone()))
        }
        What::Undefined { connection, definition } => {
            let effect = Effect::Define(connection.clone(), definition.sql.clone());
            Change::new(Sign::Add, definition.kind, &definition.name, format!("in {connection}: {}", definition.sql), effect)
        }
        What::Unfit { connection, misfit, .. } => {
            let sql = misfit.mending()?;
            let effect = Effect::Define(connection.clone(), sql.clone());
            Change::new(Sign::Alter, "table", &misfit.table, format!("in {connection}: {sql}"), effect)
        }
        What::TopicHidden(_)
        | What::Partitions { .. }
        | What::Replication { .. }
        | What::TopicDenied { .. }
        | What::GroupDenied { .. }
        | What::TransactionsDenied { .. }
        | What::Refused { .. }
        | What::TargetDenied { .. }
        | What::TargetAdvice { .. } => return None,
    })
}

fn obstacle(what: &What) -> Obstacle {
    Obstacle { what: what.message(), remedy: what.remedy() }
}

fn destruction(doomed: &Doomed) -> Change {
    let (kind, name, detail) = match doomed {
        Doomed::Topic(topic) => ("topic", topic.clone(), "with its records".to_owned()),
        Doomed::Table { connection, table } => {
            let positions = "the positions of its pipelines stay: delete their rows of millrace_positions to load all records anew";
            ("table", table.clone(), format!("in {connection}, with its rows; {positions}"))
        }
    };
    Change::new(Sign::Destroy, kind, &name, detail, Effect::Destroy(doomed.clone()))
}

impl Change {
    fn new(sign: Sign, kind: &'static str, name: &str, detail: impl Into<String>, effect: Effect) -> Self {
        Self { sign, kind, name: name.to_owned(), detail: detail.into(), effect }
    }
}
