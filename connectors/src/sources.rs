//! Sources by their configuration: a line for each in each function.

use std::sync::Arc;
use std::time::Duration;

use millrace_model::{Position, Records, Result, Schema, Source};
use millrace_runtime::formats::Parsed;
use millrace_runtime::resilience::Probe;

use crate::config::{Connection, Connections, SourceConfig};
use crate::{files, query};

/// A part of a source that is read by itself, such as a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// Its name: the key of its position.
    pub name: String,
    /// Changes whenever there may be something new in it. A split that is complete is not asked again while it stays the same;
    /// without a version it is.
    pub version: Option<String>,
    /// How much there is to read, where that is known.
    pub bytes: Option<u64>,
}

impl SourceConfig {
    /// The connection that the source names, if it needs one.
    pub fn connection(&self) -> Option<&str> {
        match self {
            Self::Files(_) => None,
            Self::Query(query) => Some(&query.connection),
        }
    }

    /// What asks whether the system is there that the source reads, if it is one to ask.
    pub fn prober(&self, connections: &Connections) -> Option<Probe> {
        match self {
            Self::Files(files) => files.prober(),
            Self::Query(query) => connections.get(&query.connection).map(Connection::prober),
        }
    }

    /// Whether the source can bring records of `schema`, as far as can be said without I/O.
    pub fn check(&self, schema: &Schema, connections: &Connections) -> Result<()> {
        match self {
            Self::Files(files) => files.check(schema),
            Self::Query(query) => query.check(schema, connections),
        }
    }

    /// How long after listing the splits that is due again; `None` when those that were there are all.
    pub fn listing_interval(&self) -> Option<Duration> {
        match self {
            Self::Files(files) => files.listing_interval(),
            Self::Query(_) => Some(query::LISTING),
        }
    }

    /// The topic that tells which splits were read to their end, if there is one.
    pub fn manifest(&self) -> Option<&str> {
        match self {
            Self::Files(files) => files.manifest.as_deref(),
            Self::Query(_) => None,
        }
    }

    /// Whether a split that was read to its end is opened again all the same: something may be left to do with it.
    pub fn reopens_what_it_read(&self) -> bool {
        match self {
            Self::Files(files) => files.after != files::After::Keep,
            Self::Query(_) => false,
        }
    }

    /// The splits there are now, in their order.
    pub async fn splits(&self) -> Result<Vec<Split>> {
        match self {
            Self::Files(files) => files.splits().await,
            Self::Query(query) => Ok(query.splits()),
        }
    }

    /// Reads records once more that had been rejected, as they are or mended. `name` is what their topic names: a split, or a part
    /// of it; `position` is how far the split has been read.
    pub fn reread(&self, name: &str, schema: &Schema, position: Option<&Position>, records: &Arc<Records>) -> Result<Parsed> {
        match self {
            Self::Files(files) => files.reread(name, schema, position, records),
            Self::Query(_) => query::reread(schema, records),
        }
    }

    /// Opens a split at `position`, or at its beginning.
    pub async fn open(
        &self,
        split: &str,
        schema: &Schema,
        position: Option<&Position>,
        connections: &Connections,
    ) -> Result<Box<dyn Source>> {
        match self {
            Self::Files(files) => Ok(Box::new(files.open(split, schema, position)?)),
            Self::Query(query) => Ok(Box::new(query.open(split, schema, position, connections).await?)),
        }
    }
}
