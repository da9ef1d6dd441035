//! What a project needs of its servers, told by its pipelines.

use std::collections::{BTreeMap, BTreeSet};

use millrace_ingest::{key_topics, own_topics};
use millrace_provision::{Path, Wanted, WantedGroup, WantedSubject, WantedTable, WantedTopic, WantedTransactions};
use millrace_runtime::kafka::topics::{Declared, Operation};
use millrace_runtime::keys::KeyFormat;
use millrace_runtime::parking;
use millrace_runtime::project::Delivery;
use millrace_runtime::project::flow::TypedPipeline;
use millrace_runtime::registry::{Part, Subjects};

use crate::project::Loaded;

impl Loaded {
    /// All that the project's pipelines need.
    pub(crate) fn wanted(&self) -> anyhow::Result<Wanted> {
        Ok(Wanted {
            topics: self.wanted_topics(),
            groups: self.wanted_groups(),
            transactions: self.wanted_transactions(),
            subjects: self.wanted_subjects()?,
            tables: self.wanted_tables()?,
        })
    }

    /// What can be made of it: rights are those of whoever runs the services, not of whoever makes what they need.
    pub(crate) fn wanted_to_be_made(&self) -> anyhow::Result<Wanted> {
        Ok(Wanted { groups: Vec::new(), transactions: Vec::new(), ..self.wanted()? })
    }

    /// Every pipeline is a member of the group of its name: of its input's, or of the one that shares out what it reads outside or the keys
    /// of requests.
    fn wanted_groups(&self) -> Vec<WantedGroup> {
        let pipelines = self.flow.pipelines.iter();
        pipelines.map(|(name, pipeline)| WantedGroup { name: self.pipeline_id(name), path: path([pipeline.section, name]) }).collect()
    }

    /// A load has no transactions in Kafka.
    fn wanted_transactions(&self) -> Vec<WantedTransactions> {
        let ingest = self.project.ingest.iter().map(|(name, pipeline)| ("ingest", name, pipeline.delivery));
        let transform = self.project.transform.iter().map(|(name, pipeline)| ("transform", name, pipeline.delivery));
        let transacting = ingest.chain(transform).filter(|(_, _, delivery)| *delivery == Delivery::ExactlyOnce);
        let wanted = |(section, name, _): (&str, &String, Delivery)| WantedTransactions {
            prefix: format!("{}.", self.pipeline_id(name)),
            path: path([section, name]),
        };
        transacting.map(wanted).collect()
    }

    fn wanted_topics(&self) -> Vec<WantedTopic> {
        let mut topics = Topics::default();
        for name in self.project.topics.keys() {
            topics.add(self.declared(name), &path(["topics", name]), &[]);
        }
        for (name, pipeline) in &self.flow.pipelines {
            let section = pipeline.section;
            if let Some((topic, _)) = &pipeline.input {
                topics.add(self.declared(topic), &path([section, name, "from"]), &[Operation::Read]);
            }
            if let Some((topic, _)) = &pipeline.output {
                topics.add(self.declared(topic), &path([section, name, "to", "topic"]), &[Operation::Write]);
            }
        }
        for (section, name, letters) in self.dead_letter_pipelines() {
            topics.add(self.declared(letters), &path([section, name]), &[Operation::Write]);
        }
        for (section, name) in self.parking_pipelines() {
            topics.add(parking::own_topic(), &path([section, name, "on_error"]), &[Operation::Read, Operation::Write]);
        }
        let mut kept = |kept: [Declared; 2]| {
            kept.into_iter().for_each(|topic| topics.add(topic, &path(["ingest"]), &[Operation::Read, Operation::Write]));
        };
        if !self.project.ingest.is_empty() {
            kept(own_topics());
        }
        if self.push_paths().next().is_some() {
            kept(key_topics(self.project.service.idempotency_partitions));
        }
        topics.0.into_values().collect()
    }

    fn wanted_subjects(&self) -> anyhow::Result<Vec<WantedSubject>> {
        let names = Subjects::declared(&self.project.registry, &self.project.topics);
        let mut subjects = BTreeMap::new();
        for (name, pipeline) in &self.flow.pipelines {
            for subject in subjects_of(name, pipeline, &names)? {
                subjects.entry(subject.name.clone()).or_insert(subject);
            }
        }
        Ok(subjects.into_values().collect())
    }

    fn wanted_tables(&self) -> anyhow::Result<Vec<WantedTable>> {
        let table = |name: &String| {
            let load = self.load(name)?;
            Ok(WantedTable {
                connection: load.config.to.connection.clone(),
                target: load.connection,
                table: load.table,
                schema: load.config.table_schema(&load.schema)?,
                path: path(["load", name, "to", "table"]),
            })
        };
        self.project.load.keys().map(table).collect()
    }
}

/// Topics by name: the first to speak of one says where.
#[derive(Default)]
struct Topics(BTreeMap<String, WantedTopic>);

impl Topics {
    fn add(&mut self, declared: Declared, path: &Path, operations: &[Operation]) {
        let name = declared.name.clone();
        let fresh = || WantedTopic { declared, operations: BTreeSet::new(), path: path.clone() };
        self.0.entry(name).or_insert_with(fresh).operations.extend(operations);
    }
}

/// The subjects of the topic that a pipeline writes: of its values, and of its keys where they are Avro.
fn subjects_of(name: &str, pipeline: &TypedPipeline, names: &Subjects) -> anyhow::Result<Vec<WantedSubject>> {
    let Some((topic, schema)) = &pipeline.output else { return Ok(Vec::new()) };
    let path = path([pipeline.section, name, "to"]);
    let mut subjects = vec![WantedSubject { name: names.of(topic, Part::Value, schema), schema: schema.clone(), path: path.clone() }];
    if let Some(key) = &pipeline.key
        && let KeyFormat::Framed(_, schema) = KeyFormat::of(schema, key.columns())?
    {
        subjects.push(WantedSubject { name: names.of(topic, Part::Key, &schema), schema, path });
    }
    Ok(subjects)
}

fn path<'a>(keys: impl IntoIterator<Item = &'a str>) -> Path {
    keys.into_iter().map(str::to_owned).collect()
}
