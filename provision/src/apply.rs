//! Plans brought about.

use std::collections::BTreeMap;

use millrace_connectors::Connection;
use millrace_model::{Code, Fault, Result};
use millrace_runtime::kafka::{Cluster, topics};
use millrace_runtime::registry::Registry;

use crate::destroy::Doomed;
use crate::plan::{Change, Effect};

/// The servers that plans change.
pub struct Servers<'a> {
    /// Kafka.
    pub cluster: Cluster,
    /// The schema registry.
    pub registry: Registry,
    /// The project's connections, by name.
    pub connections: &'a BTreeMap<String, Connection>,
}

impl Servers<'_> {
    /// Makes one change. To make one again that was made is harmless: a plan that was interrupted is made and done anew.
    pub async fn make(&self, change: &Change) -> Result<()> {
        match &change.effect {
            Effect::CreateTopic(declared) => topics::create(&self.cluster, declared).await,
            Effect::AddPartitions(topic, partitions) => topics::grow(&self.cluster, topic, *partitions).await,
            Effect::SetConfig(topic, settings) => topics::configure(&self.cluster, topic, settings).await,
            Effect::Register(subject, schema) => self.registry.register(subject, schema).await.map(drop),
            Effect::Define(connection, sql) => self.connection(connection)?.define(std::slice::from_ref(sql)).await,
            Effect::Destroy(doomed) => self.destroy(doomed).await,
        }
    }

    async fn destroy(&self, doomed: &Doomed) -> Result<()> {
        match doomed {
            Doomed::Topic(topic) => topics::delete(&self.cluster, topic).await,
            Doomed::Table { connection, table } => self.connection(connection)?.drop_table(table).await,
        }
    }

    fn connection(&self, name: &str) -> Result<&Connection> {
        self.connections
            .get(name)
            .ok_or_else(|| Fault::fatal(Code::Internal, format!("a plan names the connection {name}, which is not there")))
    }
}
