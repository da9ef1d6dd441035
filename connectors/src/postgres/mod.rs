//! PostgreSQL: connection, sink and queries.
//!
//! The table's positions are rows of `millrace_positions`, in the same schema as the table. The user needs to read and write
//! both, to create them when they do not exist, and for upserts to create temporary tables. A writer that takes over from another ends that one's session,
//! which a user may do to sessions of the same user; where a pipeline changes its user, grant `pg_signal_backend` and `pg_read_all_stats` to the new one.
//! A writer that lost one partition of several to another, as in a rebalance, loses its session too: it claims what it still has and goes on.
//! Positions name server processes, so a pooler that shares them among clients (`PgBouncer` in transaction mode) can't stand between.

mod answered;
mod catalogue;
mod checks;
mod config;
mod connect;
mod copy;
mod copying;
mod encode;
mod fault;
mod numeric;
mod positions;
mod query;
mod session;
mod sink;
mod stage;
mod staged;
mod target;
mod types;

use millrace_model::{Result, Schema, Sink};

pub use config::{Config, Tls};

use crate::config::TableConfig;
use crate::table::{Column, QueryResult};

impl Config {
    /// The columns that the table gets, or what makes it impossible, told from the schema alone.
    pub fn check(&self, table: &TableConfig, schema: &Schema) -> Result<Vec<Column>> {
        self.target(table, schema).columns()
    }

    /// A sink into the table, which is made from the schema when it does not exist.
    pub async fn open(&self, table: &TableConfig, schema: &Schema) -> Result<Box<dyn Sink>> {
        let sink = sink::PostgresSink::open(self, self.target(table, schema)).await?;
        Ok(Box::new(sink))
    }

    /// Runs SQL that reads, and returns its rows as the server writes them, times in UTC.
    pub async fn query(&self, sql: &str) -> Result<QueryResult> {
        query::query(self, sql).await
    }
}
