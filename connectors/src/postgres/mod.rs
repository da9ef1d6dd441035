//! PostgreSQL: connection, sink and queries.
//!
//! The table's positions are rows of `millrace_positions`, in the same schema as the table. The user needs to read and write
//! both, to create them when they do not exist, and for upserts to create temporary tables. A writer that takes over from another ends that one's session,
//! which a user may do to sessions of the same user; where a pipeline changes its user, grant `pg_signal_backend` and `pg_read_all_stats` to the new one.
//! A writer that gives a partition back in order, as in a rebalance, takes its name off it and keeps its session. One that lost a partition of several without that
//! loses its session too: it claims what it still has and goes on.
//! Positions name server processes, so a pooler that shares them among clients (`PgBouncer` in transaction mode) can't stand between.

mod catalogue;
mod checks;
mod config;
mod connect;
mod copy;
mod copying;
mod decode;
mod describe;
mod encode;
mod examine;
mod fault;
mod fold;
mod growth;
mod numeric;
mod parked;
mod partitions;
mod positions;
mod query;
mod replacing;
mod rows;
mod screen;
mod session;
mod shape;
mod sink;
mod source;
mod stage;
mod staged;
mod target;
mod types;

use millrace_model::{Result, Schema, Sink};

pub use config::{Config, Tls};
pub(crate) use connect::ssl_mode;
pub(crate) use fault::{classify, refusal};
pub use rows::CopyBody;
pub(crate) use staged::{Change, Staged};

use crate::described::{DescribedColumn, Relation};
use crate::table::{Column, Examined, LOADING_MARKS, QueryResult, behind};
use crate::table_config::{Capabilities, Mode, Partitioning, TableConfig};

/// What PostgreSQL can do. Its limits: <https://www.postgresql.org/docs/current/limits.html>; the stage of a load with keys has
/// columns of its own.
pub const CAPABILITIES: Capabilities = Capabilities {
    name: "PostgreSQL",
    modes: &[Mode::Append, Mode::Upsert, Mode::InsertIgnore, Mode::Mirror, Mode::Replace],
    partitions: Partitioning::ALL,
    columns: 1600,
    columns_of_stage: stage::MARKS,
    columns_of_loading: LOADING_MARKS,
    grows: true,
};

impl Config {
    /// The columns that the table gets, or what makes it impossible, told from the schema alone.
    pub fn check(&self, table: &TableConfig, schema: &Schema) -> Result<Vec<Column>> {
        self.target(table, schema).columns()
    }

    /// A sink into the table, which is made from the schema when it does not exist.
    pub async fn open(&self, table: &TableConfig, schema: &Schema) -> Result<Box<dyn Sink>> {
        let sink = sink::PostgresSink::open(self, self.target(table, schema)).await?;
        let present = sink.present().clone();
        Ok(behind(sink, &present, schema))
    }

    /// Asks whether the server is there.
    pub async fn probe(&self) -> Result<()> {
        connect::probe(self).await
    }

    /// Runs SQL that reads, and returns its rows as the server writes them, times in UTC.
    pub async fn query(&self, sql: &str) -> Result<QueryResult> {
        query::query(self, sql).await
    }

    /// Compares the database with what the pipeline of `table` needs. Changes nothing.
    pub async fn examine(&self, table: &TableConfig, schema: &Schema) -> Result<Examined> {
        examine::examine(self, &self.target(table, schema)).await
    }

    /// Runs statements that define tables: all of them or none.
    pub async fn define(&self, statements: &[String]) -> Result<()> {
        examine::define(self, statements).await
    }

    /// Drops a table with its rows.
    pub async fn drop_table(&self, table: &str) -> Result<()> {
        examine::drop_table(self, table).await
    }

    /// The columns of a table or query as Avro. Nothing is run.
    pub async fn describe(&self, relation: Relation<'_>) -> Result<Vec<DescribedColumn>> {
        describe::describe(self, relation).await
    }
}
