//! What a project needs of its servers.

use std::collections::BTreeSet;

use millrace_connectors::{Connection, TableConfig};
use millrace_model::Schema;
use millrace_runtime::kafka::topics::{Declared, Operation};

/// The keys that lead to a place of the project file, such as `topics`, `orders`.
pub type Path = Vec<String>;

/// All that a project needs.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// The topics that its pipelines read and write.
    pub topics: Vec<WantedTopic>,
    /// The consumer groups that its pipelines are members of.
    pub groups: Vec<WantedGroup>,
    /// The transactional ids that its pipelines write with.
    pub transactions: Vec<WantedTransactions>,
    /// The subjects that its pipelines register.
    pub subjects: Vec<WantedSubject>,
    /// The tables that its pipelines load.
    pub tables: Vec<WantedTable>,
}

/// A topic, and what pipelines do with it.
#[derive(Debug, Clone)]
pub struct WantedTopic {
    /// As it is to be; what is not declared is left to the broker.
    pub declared: Declared,
    /// What the user must be allowed to do with it.
    pub operations: BTreeSet<Operation>,
    /// Where the project file speaks of it.
    pub path: Path,
}

/// A consumer group. Its members read, and so does who commits its offsets: that is the right they need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedGroup {
    /// Its name.
    pub name: String,
    /// Where the project file declares the pipeline.
    pub path: Path,
}

/// The transactional ids of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedTransactions {
    /// What all of them begin with: what follows is a replica's name or the number of a share.
    pub prefix: String,
    /// Where the project file declares the pipeline.
    pub path: Path,
}

impl WantedTransactions {
    /// An id of the pipeline that none of its producers has.
    pub(crate) fn unused_id(&self) -> String {
        format!("{}millrace-check", self.prefix)
    }
}

/// A subject, and the schema that is registered under it.
#[derive(Debug, Clone)]
pub struct WantedSubject {
    /// Its name.
    pub name: String,
    /// The schema.
    pub schema: Schema,
    /// Where the project file decides it.
    pub path: Path,
}

/// A table that a pipeline loads.
#[derive(Debug, Clone)]
pub struct WantedTable {
    /// The name of its connection.
    pub connection: String,
    /// How that is reached.
    pub target: Connection,
    /// What the pipeline does with it.
    pub table: TableConfig,
    /// The schema of its rows.
    pub schema: Schema,
    /// Where the project file names it.
    pub path: Path,
}
