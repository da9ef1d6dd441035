//! The services of a checked project, started.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use anyhow::bail;
use millrace_ingest::service as ingesting;
use millrace_ingest::{Ingest, Progress};
use millrace_loader::service::{self as loading, Load};
use millrace_runtime::kafka::Cluster;
use millrace_runtime::pipeline::{Pipeline, Running};
use millrace_runtime::registry::Registry;
use millrace_runtime::resilience::Probe;
use millrace_runtime::service::{Health, Shutdown};
use millrace_transform::service::{self as transforming, Transform};
use tokio::task::JoinSet;

use crate::args::Service;
use crate::project::{Loaded, Project};

/// What every pipeline of the process shares.
pub(crate) struct Context<'a> {
    pub(crate) loaded: &'a Loaded,
    pub(crate) cluster: Cluster,
    pub(crate) registry: Registry,
    pub(crate) health: &'a Health,
    pub(crate) shutdown: &'a Shutdown,
    /// Whether pipelines end by themselves.
    bounded: bool,
}

impl<'a> Context<'a> {
    /// For a process that runs so many pipelines, which share its memory.
    pub(crate) fn new(
        loaded: &'a Loaded,
        instance: &str,
        pipelines: usize,
        health: &'a Health,
        shutdown: &'a Shutdown,
    ) -> anyhow::Result<Self> {
        let (cluster, registry) = (loaded.cluster_of(instance, pipelines), loaded.registry()?);
        health.probes().add([Probe::of_kafka(&cluster), Probe::of_registry(&registry)]);
        Ok(Self { loaded, cluster, registry, health, shutdown, bounded: false })
    }

    /// The same, for pipelines that end when what was there at their start is done.
    pub(crate) fn bounded(self) -> Self {
        Self { bounded: true, ..self }
    }

    fn pipeline(&self, service: &'static str, name: &str) -> Pipeline {
        let pipeline = Pipeline::new(service, &self.loaded.project.name, name, self.health, self.shutdown);
        if self.bounded { pipeline.bounded() } else { pipeline }
    }
}

/// Is ready when something has ended.
type End = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Pipelines that run.
#[derive(Default)]
pub(crate) struct RunningServices {
    /// By service and name.
    pipelines: Vec<(String, Running)>,
    ingest: Option<ingesting::Running>,
}

impl RunningServices {
    /// Where the push gateway listens, if there is one.
    pub(crate) fn gateway(&self) -> Option<SocketAddr> {
        self.ingest.as_ref().and_then(ingesting::Running::address)
    }

    /// Takes those of `other` in.
    pub(crate) fn join(&mut self, other: Self) {
        self.pipelines.extend(other.pipelines);
        self.ingest = self.ingest.take().or(other.ingest);
    }

    /// Waits until all have ended, after the stop was asked for no longer than `timeout`. What has not ended then is left as it is, which is what a
    /// kill would do: nothing is lost or doubled by it.
    pub(crate) async fn ended(self, shutdown: &Shutdown, timeout: Duration) {
        let (mut ending, mut left) = (JoinSet::new(), BTreeSet::new());
        for (name, ended) in self.ends() {
            left.insert(name.clone());
            ending.spawn(async move {
                ended.await;
                name
            });
        }
        let all_ended = async {
            while let Some(ended) = ending.join_next().await {
                left.retain(|name| ended.as_ref().ok() != Some(name));
            }
        };
        tokio::select! {
            () = all_ended => {}
            () = shutdown.overdue(timeout) => {
                let pipelines = left.into_iter().collect::<Vec<_>>().join(", ");
                tracing::warn!(pipelines, "not ended within service.shutdown_timeout; what was not committed is read again at the next start");
            }
        }
    }

    /// What has to end, by name.
    fn ends(self) -> Vec<(String, End)> {
        let pipelines = self.pipelines.into_iter().map(|(name, pipeline)| (name, Box::pin(pipeline.ended()) as End));
        let ingest = self.ingest.map(|ingest| ("ingest".to_owned(), Box::pin(ingest.ended()) as End));
        pipelines.chain(ingest).collect()
    }
}

/// The service's name in metrics, traces and health.
pub(crate) const fn name(service: Service) -> &'static str {
    match service {
        Service::Ingest => "ingest",
        Service::Transform => "transform",
        Service::Loader => "loader",
    }
}

/// Starts the pipelines of `service`: those named, or all.
pub(crate) async fn start(context: &Context<'_>, service: Service, wanted: &[String]) -> anyhow::Result<RunningServices> {
    match service {
        Service::Ingest => ingest(context, wanted).await,
        Service::Transform => transform(context, wanted),
        Service::Loader => load(context, wanted),
    }
}

/// Starts the ingest pipelines of these names, and gives how far each is.
pub(crate) async fn pull(context: &Context<'_>, names: &[String]) -> anyhow::Result<(RunningServices, BTreeMap<String, Progress>)> {
    let names = chosen(&context.loaded.project.ingest, names, "ingest")?;
    let pipelines = ingest_pipelines(context, &names)?;
    let progress = pipelines.iter().map(|(ingest, pipeline)| (pipeline.name.to_string(), ingest.progress.clone())).collect();
    Ok((start_ingest(context, pipelines).await?, progress))
}

async fn ingest(context: &Context<'_>, wanted: &[String]) -> anyhow::Result<RunningServices> {
    let names = chosen(&context.loaded.project.ingest, wanted, "ingest")?;
    start_ingest(context, ingest_pipelines(context, &names)?).await
}

fn ingest_pipelines(context: &Context<'_>, names: &[&str]) -> anyhow::Result<Vec<(Ingest, Pipeline)>> {
    let pipeline = |name: &&str| {
        let ingest = context.loaded.ingest(name)?;
        context.health.probes().add(ingest.probe());
        Ok((ingest, context.pipeline("ingest", name)))
    };
    names.iter().map(pipeline).collect()
}

async fn start_ingest(context: &Context<'_>, pipelines: Vec<(Ingest, Pipeline)>) -> anyhow::Result<RunningServices> {
    let service = &context.loaded.project.service;
    let running = ingesting::start(pipelines, service, &context.cluster, &context.registry, context.shutdown).await?;
    if let Some(address) = running.address() {
        tracing::info!(%address, "the push gateway takes records");
    }
    Ok(RunningServices { ingest: Some(running), ..RunningServices::default() })
}

fn transform(context: &Context<'_>, wanted: &[String]) -> anyhow::Result<RunningServices> {
    let mut running = RunningServices::default();
    for name in chosen(&context.loaded.project.transform, wanted, "transform")? {
        let transform: Transform = context.loaded.transform(name)?;
        let (cluster, registry) = (context.cluster.clone(), context.registry.clone());
        let work = async move |pipeline: &Pipeline| transforming::run(&transform, &cluster, &registry, pipeline).await;
        running.pipelines.push((format!("transform/{name}"), context.pipeline("transform", name).spawn(work)?));
    }
    Ok(running)
}

fn load(context: &Context<'_>, wanted: &[String]) -> anyhow::Result<RunningServices> {
    let mut running = RunningServices::default();
    for name in chosen(&context.loaded.project.load, wanted, "load")? {
        let load: Load = context.loaded.load(name)?;
        context.health.probes().add([load.connection.prober()]);
        let (cluster, registry) = (context.cluster.clone(), context.registry.clone());
        let work = async move |pipeline: &Pipeline| loading::run(&load, &cluster, &registry, pipeline).await;
        running.pipelines.push((format!("loader/{name}"), context.pipeline("loader", name).spawn(work)?));
    }
    Ok(running)
}

/// The names of the pipelines to run; an error names those that do not exist.
fn chosen<'a, P>(all: &'a BTreeMap<String, P>, wanted: &'a [String], section: &str) -> anyhow::Result<Vec<&'a str>> {
    if let Some(unknown) = wanted.iter().find(|name| !all.contains_key(*name)) {
        let known = all.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        bail!("the project has no {section} pipeline {unknown}; it has: {known}");
    }
    if all.is_empty() {
        bail!("the project has no {section} pipeline; add one under {section}:");
    }
    Ok(if wanted.is_empty() { all.keys().map(String::as_str).collect() } else { wanted.iter().map(String::as_str).collect() })
}

/// How many pipelines run of `service`: those named, or all.
pub(crate) fn count(loaded: &Loaded, service: Service, wanted: &[String]) -> usize {
    let Project { ingest, transform, load, .. } = &loaded.project;
    let all = match service {
        Service::Ingest => ingest.len(),
        Service::Transform => transform.len(),
        Service::Loader => load.len(),
    };
    if wanted.is_empty() { all } else { wanted.len() }
}

/// How many pipelines the project has.
pub(crate) fn pipelines(loaded: &Loaded) -> usize {
    [Service::Ingest, Service::Transform, Service::Loader].into_iter().map(|service| count(loaded, service, &[])).sum()
}

/// Whether the project has pipelines of `service`.
pub(crate) fn has(loaded: &Loaded, service: Service) -> bool {
    count(loaded, service, &[]) > 0
}
