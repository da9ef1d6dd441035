//! How the systems of a project answer.

use std::time::Duration;

use millrace_model::Fault;
use millrace_provision::{Wanted, unanswered};
use millrace_runtime::kafka::Cluster;
use millrace_runtime::project::{Finding, Places};
use millrace_runtime::registry::Registry;
use millrace_runtime::resilience::Probe;

use crate::project::Loaded;

/// A system, and its answer to the smallest request that it has an answer to.
pub(super) struct Reached {
    name: String,
    kind: &'static str,
    /// Where the project file says how it is reached.
    path: Vec<String>,
    answer: Result<Duration, Fault>,
}

/// Asks Kafka, the registry and every connection, one after the other: their latencies are their own.
pub(super) async fn ask(loaded: &Loaded, cluster: &Cluster, registry: &Registry) -> Vec<Reached> {
    let connections = loaded.project.connections.iter();
    let connections = connections.map(|(name, connection)| (connection.prober(), vec!["connections".to_owned(), name.clone()]));
    let own = [(Probe::of_kafka(cluster), vec!["kafka".to_owned()]), (Probe::of_registry(registry), vec!["registry".to_owned()])];
    let mut all = Vec::new();
    for (probe, path) in own.into_iter().chain(connections) {
        let (name, kind) = (probe.link().name().to_owned(), probe.link().kind());
        all.push(Reached { name, kind, path, answer: probe.ask().await });
    }
    all
}

impl Reached {
    /// A line for people.
    pub(super) fn line(&self) -> String {
        let answer = match &self.answer {
            Ok(took) => format!("answered in {:.1} ms", took.as_secs_f64() * 1000.0),
            Err(fault) => format!("no answer ({})", fault.code()),
        };
        format!("  {:<10} {:<24} {answer}", self.kind, self.name)
    }

    /// The finding of one that did not answer, unless what is wanted of it says so already.
    pub(super) fn finding(&self, wanted: &Wanted, places: &Places) -> Option<Finding> {
        let fault = self.answer.as_ref().err()?;
        let is_told = match self.path.as_slice() {
            [section] if section == "registry" => !wanted.subjects.is_empty(),
            [_, name] => wanted.tables.iter().any(|table| table.connection == *name),
            _ => true,
        };
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        (!is_told).then(|| unanswered(fault).at(places.locate(&path)))
    }
}
