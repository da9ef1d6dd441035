//! The project file: reading it, its shared sections, and the typed flow of its pipelines.

use std::path::Path;

use serde::de::DeserializeOwned;

mod assembly;
mod document;
mod files;
mod finding;
pub mod findings;
pub mod flow;
mod kafka_settings;
mod kind;
mod location;
mod lock;
mod masking;
mod place;
mod places;
mod profile;
mod pulled_schemas;
mod reference;
mod registry_settings;
mod sections;
mod service_settings;
mod shape;
mod shape_error;
pub mod suggest;
#[cfg(test)]
mod tests;
mod tree;
mod variables;

pub use finding::{Finding, Severity};
pub use findings::Findings;
pub use flow::Flow;
pub use kind::Kind;
pub use location::Location;
pub use lock::{Locked, SchemaLock, hash};
pub use place::Place;
pub use places::Places;
pub use reference::{json_schema, reference};
pub use sections::{
    Balance, BreakerSettings, ByteSize, DEAD_LETTERS, DeadLetterConfig, Delivery, HostAddress, Hosts, Include, KafkaConfig, Key, Latency,
    Mechanism, Millis, OnError, OnIncompatible, Output, Overlay, ParkedConfig, PathOrUrl, Project, ProjectPath, PulledSchema, RateLimit,
    RegistryConfig, Resilience, RetrySettings, Scalar, SchemaChanges, SchemaOrigin, Secret, ServiceConfig, SubjectStrategy, Timeouts,
    Topic, Version,
};
pub use variables::{Environment, process_environment};

use document::Document;
use millrace_model::Code;
use shape::shape;
use tree::{Node, Value};

/// A project that was read and checked.
#[derive(Debug, Clone)]
pub struct Checked<P> {
    /// The project, if its files have the right shape.
    pub project: Option<P>,
    /// Its topics and pipelines with their schemas; whole if there is no error among the findings.
    pub flow: Flow,
    /// What was found.
    pub findings: Findings,
    /// Where its files say what.
    pub places: Places,
}

impl<P> Checked<P> {
    /// The project and its flow, to be run, with nothing worse than warnings; or else what was found.
    pub fn runnable(self) -> Result<(P, Flow, Findings), Findings> {
        match self.project {
            Some(project) if !self.findings.has_errors() => Ok((project, self.flow, self.findings)),
            _ => Err(self.findings),
        }
    }
}

/// Reads a project and types the whole flow. Reads the project's files and nothing else.
pub fn check<'a, C, I, T, L>(location: impl Into<Location<'a>>, environment: &Environment<'_>) -> Checked<Project<C, I, T, L>>
where
    C: DeserializeOwned,
    I: DeserializeOwned + flow::Pipeline<C>,
    T: DeserializeOwned + flow::Pipeline<C>,
    L: DeserializeOwned + flow::Pipeline<C>,
{
    let mut findings = Findings::default();
    let mut flow = Flow::default();
    let mut document = Document::read(location.into(), environment, &mut findings);
    let project = document.as_mut().and_then(|document| {
        let project = project(document, &mut findings)?;
        if !findings.end_here() {
            flow = flow::check(&project, document, &mut findings);
        }
        Some(project)
    });
    findings.sort();
    Checked { project, flow, findings, places: document.map(Places::of).unwrap_or_default() }
}

/// The typed project. Each entry of a section is read by itself, so that one that is wrong hides no other.
fn project<C, I, T, L>(document: &mut Document, findings: &mut Findings) -> Option<Project<C, I, T, L>>
where
    C: DeserializeOwned,
    I: DeserializeOwned,
    T: DeserializeOwned,
    L: DeserializeOwned,
{
    let Document { root, folder } = document;
    take_misfits::<C>(root, "connections", folder, findings);
    take_misfits::<Topic>(root, "topics", folder, findings);
    take_misfits::<PulledSchema>(root, "schemas", folder, findings);
    take_misfits::<I>(root, "ingest", folder, findings);
    take_misfits::<T>(root, "transform", folder, findings);
    take_misfits::<L>(root, "load", folder, findings);
    match shape::<Project<C, I, T, L>>(root, folder) {
        Ok(mut project) => {
            if project.name.is_empty() {
                project.name = folder_name(folder);
            }
            kafka_settings::check(&project.kafka, document, findings);
            registry_settings::check(&project.registry, document, findings);
            service_settings::check(&project.service, document, findings);
            pulled_schemas::check(&project.schemas, &project.connections, document, findings);
            check_listeners(&project.service, document, findings);
            Some(project)
        }
        Err(error) => {
            push_misfit(findings, &error);
            None
        }
    }
}

fn check_listeners(service: &ServiceConfig, document: &Document, findings: &mut Findings) {
    let admin = service.admin();
    if service.http == admin && admin.port() != 0 {
        let message = format!("the push gateway listens on {admin} too");
        let finding = Finding::error(Code::ProjectSyntax, message).kind(Kind::Settings).help("give each a port of its own".to_owned());
        findings.push(finding.at(document.locate(["service", "admin"])));
    }
}

fn take_misfits<V: DeserializeOwned>(root: &mut Node, section: &str, folder: &Path, findings: &mut Findings) {
    let Some(Value::Map(entries)) = root.entry_mut(section).map(|entry| &mut entry.node.value) else { return };
    entries.retain(|entry| match shape::<V>(&entry.node, folder) {
        Ok(_) => true,
        Err(error) => {
            push_misfit(findings, &error.moved(&entry.node.place, entry.place()));
            false
        }
    });
}

/// What a variable without a value does not fit is no news.
fn push_misfit(findings: &mut Findings, error: &shape_error::ShapeError) {
    if !findings.is_unset(error.place.as_ref()) {
        findings.push(error.finding());
    }
}

/// The name of the project's folder, in the characters that a project's name may have.
fn folder_name(folder: &Path) -> String {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let full = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let name = full.file_name().map_or_else(|| "millrace".into(), |name| name.to_string_lossy());
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect()
}
