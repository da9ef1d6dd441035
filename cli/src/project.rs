//! A project, read and checked, as the services need it.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use millrace_connectors::Connection;
use millrace_ingest::Progress;
use millrace_ingest::config::Input;
use millrace_ingest::service::Ingest;
use millrace_loader::service::Load;
use millrace_model::Schema;
use millrace_runtime::budget::Budget;
use millrace_runtime::kafka::Cluster;
use millrace_runtime::kafka::topics::Declared;
use millrace_runtime::project::flow::TypedPipeline;
use millrace_runtime::project::{self, Checked, Environment, Findings, Flow, Key, Location, OnError, process_environment};
use millrace_runtime::registry::{Registry, Subjects};
use millrace_runtime::service::memory;
use millrace_surgery::{Route, Theatre};
use millrace_transform::service::Transform;

use crate::{args, dev_state};

/// The project file.
pub(crate) type Project = project::Project<
    Connection,
    millrace_ingest::config::Pipeline,
    millrace_transform::config::Pipeline,
    millrace_loader::config::Pipeline,
>;

/// A project that may run.
pub(crate) struct Loaded {
    pub(crate) project: Project,
    pub(crate) flow: Flow,
}

impl Loaded {
    /// A project that was checked.
    pub(crate) fn new(project: Project, flow: Flow) -> Self {
        project.connections.iter().for_each(|(name, connection)| connection.name(name));
        Self { project, flow }
    }

    /// Reads and checks a project. While a `millrace dev` runs it, its servers are the defaults, and its warehouses
    /// stand in for the connections that they do there.
    pub(crate) fn open(project: &args::Project) -> anyhow::Result<Self> {
        Self::at(project.location())
    }

    /// The same of a project that is named in another way.
    pub(crate) fn at(location: Location<'_>) -> anyhow::Result<Self> {
        Self::sound(Self::check(location))
    }

    /// The same, whatever the check finds.
    pub(crate) fn check(location: Location<'_>) -> Checked<Project> {
        let dev = dev_state::built_in(&folder(location.path));
        let mut checked: Checked<Project> =
            project::check(location, &|name| process_environment(name).or_else(|| dev.variables.get(name).cloned()));
        if let Some(project) = &mut checked.project {
            dev.put_warehouses(&mut project.connections);
        }
        checked
    }

    /// Reads and checks a project, with the given variables.
    pub(crate) fn open_with(location: Location<'_>, environment: &Environment<'_>) -> anyhow::Result<Self> {
        Self::sound(project::check(location, environment))
    }

    fn sound(checked: Checked<Project>) -> anyhow::Result<Self> {
        match checked.runnable() {
            Ok((project, flow, findings)) => {
                // Warnings: what nobody reads, or a full disk does not take, keeps no service from running.
                write!(std::io::stderr(), "{}", shown(&findings)).ok();
                Ok(Self::new(project, flow))
            }
            Err(findings) => bail!("the project can't run as it is\n{}", shown(&findings)),
        }
    }

    /// The cluster, for a process of that name.
    pub(crate) fn cluster(&self, instance: &str) -> Cluster {
        Cluster::new(&self.project.kafka, instance)
    }

    /// The cluster, for a process of that name in which so many pipelines share the memory.
    pub(crate) fn cluster_of(&self, instance: &str, pipelines: usize) -> Cluster {
        let service = &self.project.service;
        self.cluster(instance).tuned(Budget::of_process(memory(service.memory), pipelines), service.latency)
    }

    /// The registry.
    pub(crate) fn registry(&self) -> anyhow::Result<Registry> {
        let subjects = Subjects::declared(&self.project.registry, &self.project.topics);
        Ok(Registry::new(&self.project.registry)?.with_subjects(subjects))
    }

    /// What surgery on dead letters works with.
    pub(crate) fn theatre(&self) -> anyhow::Result<Theatre> {
        Ok(Theatre { cluster: self.cluster("surgery"), registry: self.registry()?, routes: self.routes()? })
    }

    /// What pipelines there are, ready to run, by their names beyond the project.
    pub(crate) fn routes(&self) -> anyhow::Result<BTreeMap<String, Route>> {
        let mut routes = BTreeMap::new();
        for name in self.project.ingest.keys() {
            routes.insert(self.pipeline_id(name), Route::Ingest(Box::new(self.ingest(name)?)));
        }
        for name in self.project.transform.keys() {
            routes.insert(self.pipeline_id(name), Route::Transform(Box::new(self.transform(name)?)));
        }
        for name in self.project.load.keys() {
            routes.insert(self.pipeline_id(name), Route::Load(Box::new(self.load(name)?)));
        }
        Ok(routes)
    }

    /// The name of a pipeline beyond its project: of its consumer group, its transactions, and in dead letters.
    pub(crate) fn pipeline_id(&self, name: &str) -> String {
        format!("{}.{name}", self.project.name)
    }

    /// Every dead-letter topic of the project.
    pub(crate) fn dead_letter_topics(&self) -> Vec<String> {
        let mut topics: Vec<String> = self.dead_letter_pipelines().map(|(_, _, topic)| topic.to_owned()).collect();
        topics.sort();
        topics.dedup();
        topics
    }

    /// Each pipeline's section and name, and its dead-letter topic.
    pub(crate) fn dead_letter_pipelines(&self) -> impl Iterator<Item = (&'static str, &str, &str)> {
        let Project { ingest, transform, load, .. } = &self.project;
        let ingest = ingest.iter().map(|(name, pipeline)| ("ingest", &**name, &*pipeline.dead_letters.topic));
        let transform = transform.iter().map(|(name, pipeline)| ("transform", &**name, &*pipeline.dead_letters.topic));
        let load = load.iter().map(|(name, pipeline)| ("load", &**name, &*pipeline.dead_letters.topic));
        ingest.chain(transform).chain(load)
    }

    /// The section and name of each pipeline that parks keys.
    pub(crate) fn parking_pipelines(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let transform = self.project.transform.iter().map(|(name, pipeline)| ("transform", &**name, pipeline.on_error));
        let load = self.project.load.iter().map(|(name, pipeline)| ("load", &**name, pipeline.on_error));
        transform.chain(load).filter(|(_, _, on_error)| *on_error == OnError::ParkKey).map(|(section, name, _)| (section, name))
    }

    /// The paths that records can be sent to by HTTP.
    pub(crate) fn push_paths(&self) -> impl Iterator<Item = &str> {
        self.project.ingest.values().filter_map(|pipeline| match &pipeline.from {
            Input::Http(http) => Some(http.path.as_str()),
            Input::Source(_) => None,
        })
    }

    /// An ingest pipeline, ready to run.
    pub(crate) fn ingest(&self, name: &str) -> anyhow::Result<Ingest> {
        let (config, typed) = (self.project.ingest[name].clone(), self.typed(name)?);
        let (output, schema) = end(typed.output.as_ref(), name)?;
        let mut names = vec![&*output, &*config.dead_letters.topic];
        names.extend(config.manifest().filter(|manifest| self.flow.topics.contains_key(*manifest)));
        let topics = self.topics(&names);
        let (key, connections) = (columns(typed.key.as_ref()), self.project.connections.clone());
        Ok(Ingest { config, schema, key, topics, connections, progress: Progress::default() })
    }

    /// A transform pipeline, ready to run.
    pub(crate) fn transform(&self, name: &str) -> anyhow::Result<Transform> {
        let (config, typed) = (self.project.transform[name].clone(), self.typed(name)?);
        let ((input, read), (output, written)) = (end(typed.input.as_ref(), name)?, end(typed.output.as_ref(), name)?);
        let topics = self.topics(&[&input, &output, &config.dead_letters.topic]);
        let output_declared = typed.output_declared;
        Ok(Transform { config, input: read, output: written, output_declared, key: columns(typed.key.as_ref()), topics })
    }

    /// A load pipeline, ready to run.
    pub(crate) fn load(&self, name: &str) -> anyhow::Result<Load> {
        let (config, typed) = (self.project.load[name].clone(), self.typed(name)?);
        let (input, schema) = end(typed.input.as_ref(), name)?;
        let connection = self.project.connections.get(&config.to.connection).context("the connection is gone")?.clone();
        let (table, topics) = (config.table(&self.project.name, name), self.topics(&[&input, &config.dead_letters.topic]));
        Ok(Load { config, connection, table, schema, topics })
    }

    fn typed(&self, name: &str) -> anyhow::Result<&TypedPipeline> {
        self.flow.pipelines.get(name).ok_or_else(|| anyhow!("pipeline {name} has no types"))
    }

    /// Topics as the project declares them; those that it does not, as the broker makes them.
    fn topics(&self, names: &[&str]) -> Vec<Declared> {
        names.iter().map(|name| self.declared(name)).collect()
    }

    /// A topic as the project declares it.
    pub(crate) fn declared(&self, name: &str) -> Declared {
        let Some(topic) = self.project.topics.get(name) else { return Declared::named(name) };
        let config = topic.config.iter().map(|(name, value)| (name.clone(), value.to_string())).collect();
        Declared { name: name.to_owned(), partitions: topic.partitions, replication: topic.replication, config }
    }
}

/// What a check found, and what the project is.
pub(crate) fn check(location: Location<'_>) -> Checked<Project> {
    project::check(location, &process_environment)
}

/// A line for each pipeline: from where, to where.
pub(crate) fn summary(flow: &Flow) -> String {
    let line = |(name, pipeline): (&String, &TypedPipeline)| {
        let from = pipeline.input.as_ref().map_or("outside", |(topic, _)| topic);
        let to = pipeline.output.as_ref().map_or("a table", |(topic, _)| topic);
        let columns = pipeline.output.as_ref().map_or(pipeline.target.len(), |(_, schema)| schema.fields().len());
        format!("  {:<10} {name:<24} {from} → {to} ({columns} columns)", pipeline.section)
    };
    flow.pipelines.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Findings for the terminal at hand.
pub(crate) fn shown(findings: &Findings) -> String {
    findings.to_text(std::io::IsTerminal::is_terminal(&std::io::stderr()))
}

fn end(end: Option<&(String, Schema)>, pipeline: &str) -> anyhow::Result<(String, Schema)> {
    end.cloned().ok_or_else(|| anyhow!("pipeline {pipeline} is not typed"))
}

fn columns(key: Option<&Key>) -> Vec<String> {
    key.map(|key| key.columns().to_vec()).unwrap_or_default()
}

/// The folder of a project that is a folder or a file in one.
pub(crate) fn folder(path: &Path) -> PathBuf {
    if path.is_dir() {
        path.to_owned()
    } else {
        path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
    }
}
