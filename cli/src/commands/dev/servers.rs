//! The servers that `millrace dev` brings along.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context;
use millrace_devkit::{broker, registry};

use crate::args::Dev;

/// The variable that names the brokers.
pub(crate) const BROKERS: &str = "KAFKA_BROKERS";
/// The variable that names the registry.
pub(crate) const REGISTRY: &str = "SCHEMA_REGISTRY_URL";

/// A broker and a schema registry in this process.
pub(crate) struct Servers {
    broker: broker::Running,
    registry: registry::Running,
}

impl Servers {
    /// Starts them; what they hold is kept in `state`, or in memory without one.
    pub(crate) async fn start(args: &Dev, state: Option<&Path>) -> anyhow::Result<Self> {
        let broker = broker::start(broker::Config {
            addr: args.kafka,
            data_dir: state.map(|state| state.join("kafka")),
            ..broker::Config::default()
        });
        let broker = broker.await.with_context(|| taken("Kafka", args.kafka, "--kafka"))?;
        let registry = registry::start(registry::Config { addr: args.registry, data_dir: state.map(|state| state.join("registry")) });
        let registry = registry.await.with_context(|| taken("schema registry", args.registry, "--registry"))?;
        Ok(Self { broker, registry })
    }

    /// Where Kafka listens.
    pub(crate) fn brokers(&self) -> String {
        self.broker.addr.to_string()
    }

    /// Where the registry listens.
    pub(crate) fn registry(&self) -> String {
        self.registry.url()
    }

    /// The variables that make other programs find them.
    pub(crate) fn variables(&self) -> BTreeMap<String, String> {
        BTreeMap::from([(BROKERS.to_owned(), self.brokers()), (REGISTRY.to_owned(), self.registry())])
    }

    /// Ends them, with everything on disk.
    pub(crate) async fn stop(self) {
        self.broker.stop().await;
        self.registry.stop().await;
    }
}

fn taken(server: &str, address: SocketAddr, option: &str) -> String {
    format!("the built-in {server} can't start on {address}; choose another address with {option}, such as 127.0.0.1:0 for a free port")
}
