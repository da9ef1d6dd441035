//! MySQL and MariaDB: connection and queries.
//!
//! Sessions are in UTC: a `TIMESTAMP` is an instant, a `DATETIME` what a clock on the wall shows.

mod config;
mod connect;
mod describe;
mod fault;
mod query;
mod source;

use millrace_model::{Code, Fault, Result};

pub use config::Config;

use crate::described::{DescribedColumn, Relation};
use crate::table::QueryResult;
use crate::table_config::Capabilities;

/// Nothing: it is read from only.
pub const CAPABILITIES: Capabilities =
    Capabilities { name: "MySQL", modes: &[], partitions: &[], columns: 4096, columns_of_stage: 0, columns_of_loading: 0 };

impl Config {
    /// Asks whether the server is there.
    pub async fn probe(&self) -> Result<()> {
        connect::probe(self).await
    }

    /// Runs SQL that reads, and returns its rows as the server writes them, times in UTC.
    pub async fn query(&self, sql: &str) -> Result<QueryResult> {
        query::query(self, sql).await
    }

    /// The columns of a table or query as Avro. No row is read.
    pub async fn describe(&self, relation: Relation<'_>) -> Result<Vec<DescribedColumn>> {
        describe::describe(self, relation).await
    }

    /// That tables of MySQL are not loaded into.
    pub(crate) fn no_sink() -> Fault {
        Fault::operator(Code::ProjectFlow, "a connection of `type: mysql` is one to read from; name another one to load into")
    }
}
