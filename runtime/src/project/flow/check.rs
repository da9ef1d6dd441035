//! Checks that the pipelines of a project fit together, and types them.

use std::collections::BTreeMap;

use millrace_model::{Code, Schema};

use super::order::{Ends, order};
use super::schema_files::SchemaFiles;
use super::{Context, Flow, Pipeline, Problem, TypedPipeline, TypedTopic, Types, fit, named_after, names};
use crate::project::document::Document;
use crate::project::finding::{Finding, Severity};
use crate::project::findings::Findings;
use crate::project::kind::Kind;
use crate::project::place::Place;
use crate::project::sections::{Key, Output, Project, ProjectPath, PulledSchema, Topic};
use crate::project::suggest;

/// Types the project; what does not fit goes to `findings`. The flow is whole if no error was found.
pub(in crate::project) fn check<C, I, T, L>(project: &Project<C, I, T, L>, document: &Document, findings: &mut Findings) -> Flow
where
    I: Pipeline<C>,
    T: Pipeline<C>,
    L: Pipeline<C>,
{
    let mut named: Vec<Named<'_, C>> = Vec::new();
    named.extend(project.ingest.iter().map(|(name, pipeline)| Named { section: "ingest", name, pipeline }));
    named.extend(project.transform.iter().map(|(name, pipeline)| Named { section: "transform", name, pipeline }));
    named.extend(project.load.iter().map(|(name, pipeline)| Named { section: "load", name, pipeline }));
    let shared = Shared { name: &project.name, connections: &project.connections, declared: &project.topics, pulled: &project.schemas };
    Checker { shared, document, findings, files: SchemaFiles::default(), topics: BTreeMap::new(), flow: Flow::default() }.run(&named)
}

pub(super) struct Named<'a, C> {
    pub(super) section: &'static str,
    pub(super) name: &'a str,
    pub(super) pipeline: &'a dyn Pipeline<C>,
}

impl<C> Named<'_, C> {
    pub(super) fn ends(&self) -> Ends<'_> {
        Ends { reads: self.pipeline.input(), writes: self.pipeline.output().map(|output| output.topic.as_str()) }
    }
}

pub(super) struct Shared<'a, C> {
    pub(super) name: &'a str,
    pub(super) connections: &'a BTreeMap<String, C>,
    pub(super) declared: &'a BTreeMap<String, Topic>,
    pub(super) pulled: &'a BTreeMap<String, PulledSchema>,
}

pub(super) struct Checker<'a, C> {
    pub(super) shared: Shared<'a, C>,
    pub(super) document: &'a Document,
    pub(super) findings: &'a mut Findings,
    files: SchemaFiles,
    /// What is known of each topic; nothing if what it should have been told by was wrong.
    pub(super) topics: BTreeMap<String, Option<TypedTopic>>,
    flow: Flow,
}

impl<C> Checker<'_, C> {
    fn run(mut self, pipelines: &[Named<'_, C>]) -> Flow {
        self.settings(pipelines);
        self.declared_topics();
        let ends: Vec<Ends<'_>> = pipelines.iter().map(Named::ends).collect();
        let (ordered, cyclic) = order(&ends);
        for number in cyclic {
            self.cycle(&pipelines[number]);
        }
        for number in ordered {
            self.pipeline(&pipelines[number], pipelines);
        }
        if !self.findings.has_errors() && !pipelines.is_empty() {
            self.usage(pipelines);
        }
        self.flow.topics = self.topics.into_iter().filter_map(|(name, topic)| Some((name, topic?))).collect();
        self.flow
    }

    // Topics that are declared.

    fn declared_topics(&mut self) {
        for (name, topic) in self.shared.declared {
            self.topic_name(name, &["topics", name]);
            self.counts(name, topic);
            let Some(file) = &topic.schema else { continue };
            let place = self.document.locate(["topics", name, "schema"]);
            let schema = self.files.schema(file, &place, self.findings);
            if let (Some(schema), Some(key)) = (&schema, &topic.key) {
                self.key_columns(key, schema, &["topics", name, "key"]);
            }
            let typed = schema.map(|schema| TypedTopic::new(schema, topic.key.clone()));
            self.topics.insert(name.clone(), typed);
        }
    }

    fn counts(&mut self, name: &str, topic: &Topic) {
        for (key, count) in [("partitions", topic.partitions), ("replication", topic.replication)] {
            if count.is_some_and(|count| count < 1) {
                let finding = Finding::error(Code::ProjectSyntax, format!("expected 1 or more {key}")).expected(format!("1 or more {key}"));
                self.findings.push(finding.at(self.document.locate(["topics", name, key])));
            }
        }
    }

    pub(super) fn topic_name(&mut self, topic: &str, at: &[&str]) {
        if let Some(fault) = names::topic_fault(topic) {
            let finding = Finding::error(Code::ProjectFlow, format!("the topic's name `{topic}` {fault}")).kind(Kind::BadName);
            self.findings.push(finding.at(self.document.locate(at.iter().copied())));
        }
    }

    // Typing.

    fn pipeline(&mut self, named: &Named<'_, C>, all: &[Named<'_, C>]) {
        let input = match named.pipeline.input() {
            None => None,
            Some(topic) => match self.input(named, topic, all) {
                Some(schema) => Some((topic.to_owned(), schema)),
                None => return self.fail_output(named),
            },
        };
        let types = named.pipeline.types(&self.context(named), input.as_ref().map(|(_, schema)| schema));
        let failed = types.problems.iter().any(|problem| problem.finding.severity == Severity::Error);
        let Types { output: derived, target, problems } = types;
        for problem in problems {
            self.problem(named, problem);
        }
        let (output, key) = match named.pipeline.output() {
            None => (None, None),
            Some(output) => match self.output(named, output, derived, failed) {
                Some((schema, key)) => (Some((output.topic.clone(), schema)), key),
                None => return self.fail_output(named),
            },
        };
        let output_declared = named.pipeline.output().is_some_and(|output| self.declares(output));
        let pipeline = TypedPipeline { section: named.section, input, output, output_declared, key, target };
        self.flow.pipelines.insert(named.name.to_owned(), pipeline);
    }

    pub(super) fn context<'b>(&'b self, named: &'b Named<'_, C>) -> Context<'b, C> {
        Context { project: self.shared.name, pipeline: named.name, connections: self.shared.connections }
    }

    /// The schema of a topic that is read.
    fn input(&mut self, named: &Named<'_, C>, topic: &str, all: &[Named<'_, C>]) -> Option<Schema> {
        if let Some(known) = self.topics.get(topic) {
            return known.as_ref().map(|topic| topic.schema.clone());
        }
        let written = all.iter().filter_map(|other| other.pipeline.output()).map(|output| output.topic.as_str());
        if written.clone().any(|other| other == topic) {
            return None;
        }
        let problem = if self.shared.declared.contains_key(topic) {
            let problem = error(&["from"], format!("no pipeline writes `{topic}`, and `topics:` has no schema for it"));
            problem.kind(Kind::NoSchema).help(format!("set `schema:` under `topics: {topic}:`"))
        } else {
            unknown_topic(topic, written.chain(self.shared.declared.keys().map(String::as_str)))
        };
        self.problem(named, problem);
        None
    }

    /// The schema and key of what is written; nothing if they can't be told.
    fn output(&mut self, named: &Named<'_, C>, output: &Output, derived: Option<Schema>, failed: bool) -> Option<(Schema, Option<Key>)> {
        let declared = self.declared_schema(named, output).ok()?;
        let schema = match (declared, derived) {
            (Some(declared), Some(made)) => {
                self.misfits(named, &made, &declared);
                declared
            }
            (Some(declared), None) => declared,
            (None, Some(made)) => named_after(&made, &output.topic),
            (None, None) => {
                if !failed {
                    let problem = error(&["to"], format!("the topic `{}` has no schema", output.topic)).kind(Kind::NoSchema);
                    self.problem(named, problem.help("set `schema:` here, or under `topics:`".to_owned()));
                }
                return None;
            }
        };
        let context = Context { project: self.shared.name, pipeline: named.name, connections: self.shared.connections };
        for problem in named.pipeline.misfits(&context, &schema) {
            self.problem(named, problem);
        }
        let key = self.key(named, output, &schema);
        self.write(named, output, &schema, key.clone());
        Some((schema, key))
    }

    fn declares(&self, output: &Output) -> bool {
        output.schema.is_some() || self.shared.declared.get(&output.topic).is_some_and(|topic| topic.schema.is_some())
    }

    /// The schema that a file declares for an output, if one does.
    fn declared_schema(&mut self, named: &Named<'_, C>, output: &Output) -> Result<Option<Schema>, Wrong> {
        let general = match self.shared.declared.get(&output.topic) {
            Some(Topic { schema: Some(_), .. }) => {
                Some(self.topics.get(&output.topic).and_then(Option::as_ref).ok_or(Wrong)?.schema.clone())
            }
            _ => None,
        };
        let Some(file) = &output.schema else { return Ok(general) };
        let own = self.schema_file(file, [named.section, named.name, "to", "schema"]).ok_or(Wrong)?;
        if general.is_some_and(|general| general != own) {
            let problem = error(&["to", "schema"], format!("`topics: {}:` declares another schema", output.topic));
            self.problem(named, problem.kind(Kind::DeclaredTwice).help("name the file in one place".to_owned()));
            return Err(Wrong);
        }
        Ok(Some(own))
    }

    fn schema_file(&mut self, file: &ProjectPath, at: [&str; 4]) -> Option<Schema> {
        let place = self.document.locate(at);
        self.files.schema(file, &place, self.findings)
    }

    fn misfits(&mut self, named: &Named<'_, C>, made: &Schema, declared: &Schema) {
        for misfit in fit::misfits(made, declared) {
            self.problem(named, error(&["to", "schema"], misfit).kind(Kind::SchemaMismatch));
        }
    }

    /// Notes that a pipeline writes a topic; all that do agree on the schema.
    fn write(&mut self, named: &Named<'_, C>, output: &Output, schema: &Schema, key: Option<Key>) {
        let fresh = TypedTopic::new(schema.clone(), key.clone());
        let known = self.topics.entry(output.topic.clone()).or_insert(Some(fresh));
        let Some(known) = known else { return };
        let Some(first) = known.writers.first().cloned() else {
            known.writers.push(named.name.to_owned());
            known.key = key;
            return;
        };
        known.writers.push(named.name.to_owned());
        let (schemas_differ, keys_differ) = (known.schema != *schema, known.key != key);
        if schemas_differ {
            let problem = error(&["to"], format!("the pipeline `{first}` writes `{}` with another schema", output.topic));
            let help = "give both the same columns, or declare one schema under `topics:`".to_owned();
            self.problem(named, problem.kind(Kind::TwoWriters).help(help));
        } else if keys_differ {
            let message = format!("the pipeline `{first}` writes `{}` with another key", output.topic);
            let problem = Problem::warning(Code::ProjectAdvice, &["to", "key"], message);
            let help = "records that belong together may come into different partitions: give both the same key".to_owned();
            self.problem(named, problem.kind(Kind::TwoWriters).help(help));
        }
    }

    /// Nothing is said of pipelines that read what a wrong one writes.
    fn fail_output(&mut self, named: &Named<'_, C>) {
        if let Some(output) = named.pipeline.output() {
            self.topics.entry(output.topic.clone()).or_insert(None);
        }
    }

    // Findings.

    pub(super) fn problem(&mut self, named: &Named<'_, C>, problem: Problem) {
        let place = self.place(named, &problem);
        self.findings.push(problem.finding.at(place));
    }

    fn place(&self, named: &Named<'_, C>, problem: &Problem) -> Place {
        let path = [named.section, named.name].into_iter().chain(problem.at.iter().map(String::as_str));
        match problem.inside {
            Some(inside) => self.document.locate_inside(path, inside, self.findings),
            None => self.document.locate(path),
        }
    }
}

/// An error of pipelines that do not fit together, at these keys of one.
pub(super) fn error(at: &[&str], message: impl Into<String>) -> Problem {
    Problem::error(Code::ProjectFlow, at, message)
}

fn unknown_topic<'a>(topic: &str, known: impl Iterator<Item = &'a str>) -> Problem {
    let problem = error(&["from"], format!("no pipeline writes the topic `{topic}`")).kind(Kind::UnknownTopic);
    let problem = problem.expected("a topic that a pipeline writes, or one under `topics:`".to_owned());
    match suggest::nearest(topic, known) {
        Some(meant) => problem.suggestion(meant.to_owned()),
        None => problem.help(format!("a topic that others write is declared under `topics:`, as `{topic}: {{ schema: FILE }}`")),
    }
}

/// That what declares a schema is wrong, which was said.
struct Wrong;
