//! Dead letters, looked at and settled.
//!
//! ```text
//!  dead-letter topics ──► letters ──► condition ──► patch ──► replay ─► the pipeline's own way ─┐ one transaction
//!  export files ──────────┘                └──► stats, export, discard ──────────► marks ◄─────┘
//! ```
//!
//! A dead letter is never changed or deleted. What settles one is a mark (`millrace_runtime::dead_letters::Resolution`), written
//! in the transaction of what it speaks of. It is no service: `millrace dead-letters` runs it, once, on one machine.

pub mod condition;
pub mod crash_points;
pub mod discard;
pub mod export;
mod facts;
pub mod id;
pub mod import;
pub mod letters;
pub mod patch;
pub mod positions;
pub mod rate;
pub mod replay;
pub mod stats;
mod values;

use std::collections::BTreeMap;

use millrace_ingest::Ingest;
use millrace_loader::service::Load;
use millrace_runtime::kafka::Cluster;
use millrace_runtime::registry::Registry;
use millrace_transform::service::Transform;

/// What surgery works with.
pub struct Theatre {
    /// Where the letters are.
    pub cluster: Cluster,
    /// Where the schemas of their values are.
    pub registry: Registry,
    /// The pipelines of the project, by their id (`<project>.<pipeline>`).
    pub routes: BTreeMap<String, Route>,
}

/// A pipeline that a record can go through again.
#[derive(Clone)]
pub enum Route {
    /// The record is read by schema, and written to the pipeline's topic.
    Ingest(Box<Ingest>),
    /// The record is taken through the pipeline's steps, and what comes out is written to its topic.
    Transform(Box<Transform>),
    /// The record is loaded into the pipeline's table.
    Load(Box<Load>),
}

impl Route {
    /// The topic or table that records go to.
    pub fn end(&self) -> &str {
        match self {
            Self::Ingest(ingest) => &ingest.config.to.topic,
            Self::Transform(transform) => &transform.config.to.topic,
            Self::Load(load) => &load.table.table,
        }
    }
}
