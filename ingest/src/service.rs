//! The service: all ingest pipelines of a project in one process.

use std::net::SocketAddr;
use std::sync::Arc;

use millrace_connectors::Connections;
use millrace_model::{Result, Schema};
use millrace_runtime::kafka::topics::Declared;
use millrace_runtime::kafka::{Cluster, Producer};
use millrace_runtime::pipeline::{self, Pipeline};
use millrace_runtime::project::{Delivery, ServiceConfig};
use millrace_runtime::registry::Registry;
use millrace_runtime::resilience::Probe;
use millrace_runtime::service::Shutdown;

use crate::config::{self, Input};
use crate::progress::Progress;
use crate::push::keyed::Membership;
use crate::push::{Ends, Gateway, Serving};
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

    /// What asks whether the system is there that its source reads.
    pub fn probe(&self) -> Option<Probe> {
        match &self.config.from {
            Input::Http(_) => None,
            Input::Source(source) => source.prober(&self.connections),
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

/// Starts each pipeline on a thread of its own, and the push gateway on `service.http` (port 0: a free one) when one of them is
/// pushed to. A fault says that the gateway can't be; the pipelines' own faults show in their health.
///
/// Must be called within a tokio runtime of several threads.
pub async fn start(
    pipelines: Vec<(Ingest, Pipeline)>,
    service: &ServiceConfig,
    cluster: &Cluster,
    registry: &Registry,
    shutdown: &Shutdown,
) -> Result<Running> {
    let mut gateway = Gateway::new(cluster)?;
    let (mut running, mut pushed) = (Vec::new(), Vec::new());
    for (ingest, pipeline) in pipelines {
        let (cluster, registry) = (cluster.clone(), registry.clone());
        match ingest.config.from.clone() {
            Input::Http(http) => {
                let http = http.within(cluster.budget().body_bytes());
                let ends = gateway.route(&http, &ingest, &registry, &pipeline)?;
                pushed.push((Arc::new(ingest), pipeline, ends));
            }
            Input::Source(source) => {
                let work = async move |pipeline: &Pipeline| pull::run(&ingest, &source, &cluster, &registry, pipeline).await;
                running.push(pipeline.spawn(work)?);
            }
        }
    }
    if gateway.is_empty() {
        return Ok(Running { gateway: None, pipelines: running });
    }
    let gateway = gateway.serve(service, shutdown).await?;
    let address = advertised(service, gateway.address(), cluster);
    for (ingest, pipeline, ends) in pushed {
        running.extend(push(ingest, &pipeline, ends, service.idempotency_partitions, &address, (cluster, registry))?);
    }
    Ok(Running { gateway: Some(gateway), pipelines: running })
}

/// Starts a pipeline that is pushed to: its requests without a key, and beside them its part of those with one.
fn push(
    ingest: Arc<Ingest>,
    pipeline: &Pipeline,
    ends: Ends,
    partitions: i32,
    address: &str,
    (cluster, registry): (&Cluster, &Registry),
) -> Result<[pipeline::Running; 2]> {
    let Ends { mut inbox, places } = ends;
    let (cluster, registry, address) = (cluster.clone(), registry.clone(), address.to_owned());
    let member =
        Membership { ingest: Arc::clone(&ingest), cluster: cluster.clone(), registry: registry.clone(), address, partitions, places };
    let keyed = pipeline.part("keys").spawn(async move |pipeline: &Pipeline| member.run(pipeline).await)?;
    let work = async move |pipeline: &Pipeline| push::run(&ingest, &mut inbox, &cluster, &registry, pipeline).await;
    Ok([pipeline.clone().spawn(work)?, keyed])
}

/// Where other replicas reach the gateway that listens on `listening`.
fn advertised(service: &ServiceConfig, listening: SocketAddr, cluster: &Cluster) -> String {
    let address = service.advertise.clone().unwrap_or_else(|| {
        let ip = if listening.ip().is_unspecified() { cluster.local_address().unwrap_or(listening.ip()) } else { listening.ip() };
        SocketAddr::new(ip, listening.port()).to_string()
    });
    let address = if address.contains("://") { address } else { format!("http://{address}") };
    address.trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use millrace_runtime::project::KafkaConfig;

    #[test]
    fn a_gateway_that_listens_everywhere_is_reached_by_the_way_to_kafka() {
        let cluster = Cluster::new(&KafkaConfig { brokers: "127.0.0.1:9092".into(), ..KafkaConfig::default() }, "one");
        let service = |advertise: Option<&str>| ServiceConfig { advertise: advertise.map(str::to_owned), ..ServiceConfig::default() };
        let listening = |address: &str| address.parse().expect("an address");
        assert_eq!(advertised(&service(None), listening("0.0.0.0:8080"), &cluster), "http://127.0.0.1:8080");
        assert_eq!(advertised(&service(None), listening("10.0.0.7:8080"), &cluster), "http://10.0.0.7:8080");
        assert_eq!(advertised(&service(Some("pod-1:80")), listening("0.0.0.0:8080"), &cluster), "http://pod-1:80");
        assert_eq!(advertised(&service(Some("https://h/")), listening("0.0.0.0:8080"), &cluster), "https://h");
    }
}
