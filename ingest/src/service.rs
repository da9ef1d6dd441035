//! The service: all ingest pipelines of a project in one process.

use std::net::SocketAddr;

use millrace_connectors::Connections;
use millrace_model::{Result, Schema};
use millrace_runtime::kafka::topics::Declared;
use millrace_runtime::kafka::{Cluster, Producer};
use millrace_runtime::pipeline::{self, Pipeline};
use millrace_runtime::project::Delivery;
use millrace_runtime::registry::Registry;
use millrace_runtime::service::Shutdown;

use crate::config::{self, Input};
use crate::progress::Progress;
use crate::push::{Gateway, Serving};
use crate::{pull, push};

/// An ingest pipeline, checked and ready to run.
#[derive(Debug, Clone)]
pub struct Ingest {
    /// What the project file says.
    pub config: config::Pipeline,
    /// What a record must look like.
    pub schema: Schema,
    /// The columns that records' keys are made of; none writes no key.
    pub key: Vec<String>,
    /// The topics to make before it runs.
    pub topics: Vec<Declared>,
    /// The project's connections, of which a source may name one.
    pub connections: Connections,
    /// Where it tells how far its sources are.
    pub progress: Progress,
}

impl Ingest {
    /// Whether its source can bring records of its schema, as far as can be said without I/O.
    pub fn check(&self) -> Result<()> {
        match &self.config.from {
            Input::Http(_) => millrace_runtime::formats::JsonReader::new(&self.schema).map(|_| ()),
            Input::Source(source) => source.check(&self.schema, &self.connections),
        }
    }

    /// A producer under the transactional id `id`, or without transactions where the pipeline does without.
    pub(crate) fn open_producer(&self, cluster: &Cluster, id: &str) -> Result<Producer> {
        match self.config.delivery {
            Delivery::ExactlyOnce => Producer::transactional(cluster, id),
            Delivery::AtLeastOnce => Producer::idempotent(cluster),
        }
    }

    /// Begins what [`Ingest::commit`] will end.
    pub(crate) fn begin(&self, producer: &mut Producer) -> Result<()> {
        match self.config.delivery {
            Delivery::ExactlyOnce => producer.begin(),
            Delivery::AtLeastOnce => Ok(()),
        }
    }

    /// Where progress can't be one transaction with the records, the records are made durable before it.
    pub(crate) fn before_progress(&self, producer: &Producer) -> Result<()> {
        match self.config.delivery {
            Delivery::ExactlyOnce => Ok(()),
            Delivery::AtLeastOnce => producer.drain(),
        }
    }

    /// Makes what was sent durable: together, with transactions.
    pub(crate) fn commit(&self, producer: &mut Producer) -> Result<()> {
        match self.config.delivery {
            Delivery::ExactlyOnce => producer.commit(),
            Delivery::AtLeastOnce => producer.drain(),
        }
    }
}

/// Ingest pipelines that run.
#[derive(Debug)]
pub struct Running {
    gateway: Option<Serving>,
    pipelines: Vec<pipeline::Running>,
}

impl Running {
    /// Where the push gateway listens; `None` when no pipeline is pushed to.
    pub fn address(&self) -> Option<SocketAddr> {
        self.gateway.as_ref().map(Serving::address)
    }

    /// Waits until all have ended, after the shutdown: requests that are being served are answered first.
    pub async fn ended(self) {
        if let Some(gateway) = self.gateway {
            gateway.ended().await;
        }
        for pipeline in self.pipelines {
            pipeline.ended().await;
        }
    }
}

/// Starts each pipeline on a thread of its own, and the push gateway on `address` (port 0: a free one) when one of them is
/// pushed to. A fault says that the gateway can't be; the pipelines' own faults show in their health.
///
/// Must be called within a tokio runtime of several threads.
pub async fn start(
    pipelines: Vec<(Ingest, Pipeline)>,
    address: SocketAddr,
    cluster: &Cluster,
    registry: &Registry,
    shutdown: &Shutdown,
) -> Result<Running> {
    let mut gateway = Gateway::default();
    let mut running = Vec::new();
    for (ingest, pipeline) in pipelines {
        let (cluster, registry) = (cluster.clone(), registry.clone());
        running.push(match ingest.config.from.clone() {
            Input::Http(http) => {
                let mut inbox = gateway.route(&http, &ingest, &pipeline)?;
                pipeline.spawn(async move |pipeline: &Pipeline| push::run(&ingest, &mut inbox, &cluster, &registry, pipeline).await)?
            }
            Input::Source(source) => {
                pipeline.spawn(async move |pipeline: &Pipeline| pull::run(&ingest, &source, &cluster, &registry, pipeline).await)?
            }
        });
    }
    let gateway = if gateway.is_empty() { None } else { Some(gateway.serve(address, shutdown).await?) };
    Ok(Running { gateway, pipelines: running })
}
