//! MySQL and MariaDB: connection, sink and queries.
//!
//! Sessions are in UTC: a `TIMESTAMP` is an instant, a `DATETIME` what a clock on the wall shows.
//!
//! Definitions commit by themselves: a column that a new schema brings is there before the first row that has it. A session of a loader has a
//! name that is locked (`GET_LOCK`) as long as it lives; its successor ends it by that, which a user may do to its own sessions, and to those
//! of others with `CONNECTION ADMIN`. Such locks are of one server: in a cluster loaders of a table connect to the same one, and a pooler that
//! shares sessions among clients can't stand between.

mod checks;
mod config;
mod connect;
mod describe;
mod examine;
mod fault;
mod growth;
mod lease;
mod parked;
mod positions;
mod query;
mod replacing;
mod server;
mod session;
mod shape;
mod source;
mod statements;
mod target;
mod types;
mod values;
mod work;

use std::collections::BTreeMap;

use millrace_model::{Result, Schema, Sink};

pub use config::Config;

use crate::described::{DescribedColumn, Relation};
use crate::table::{BufferedSink, Column, Examined, LOADING_MARKS, QueryResult, unfit};
use crate::table_config::{Capabilities, Mode, TableConfig};

/// What MySQL can do, with tables of `InnoDB` (<https://mariadb.com/kb/en/innodb-limitations/>).
pub const CAPABILITIES: Capabilities = Capabilities {
    name: "MySQL",
    modes: &[Mode::Append, Mode::Upsert, Mode::InsertIgnore, Mode::Mirror, Mode::Replace],
    partitions: &[],
    columns: 1017,
    columns_of_stage: 0,
    columns_of_loading: LOADING_MARKS,
    grows: true,
};

impl Config {
    /// Asks whether the server is there.
    pub async fn probe(&self) -> Result<()> {
        connect::probe(self).await
    }

    /// The columns that the table gets, or what makes it impossible, told from the schema alone.
    pub fn check(&self, table: &TableConfig, schema: &Schema) -> Result<Vec<Column>> {
        let columns = target::target(table, schema).columns()?;
        let mut names: BTreeMap<String, &str> = BTreeMap::new();
        for column in &columns {
            if let Some(other) = names.insert(column.name.to_lowercase(), &column.name) {
                let message = format!("the columns {other:?} and {:?} are one to MySQL, which knows no case: rename one", column.name);
                return Err(unfit(message));
            }
        }
        Ok(columns)
    }

    /// A sink into the table, which is made from the schema when it does not exist.
    pub async fn open(&self, table: &TableConfig, schema: &Schema) -> Result<Box<dyn Sink>> {
        BufferedSink::<session::Session>::open(self, table, schema).await
    }

    /// Compares the database with what the pipeline of `table` needs. Changes nothing.
    pub async fn examine(&self, table: &TableConfig, schema: &Schema) -> Result<Examined> {
        examine::examine(self, &target::target(table, schema)).await
    }

    /// Runs statements that define tables, one after the other: each commits by itself.
    pub async fn define(&self, statements: &[String]) -> Result<()> {
        examine::define(self, statements).await
    }

    /// Drops a table with its rows.
    pub async fn drop_table(&self, table: &str) -> Result<()> {
        examine::drop_table(self, table).await
    }

    /// Runs SQL that reads, and returns its rows as the server writes them, times in UTC.
    pub async fn query(&self, sql: &str) -> Result<QueryResult> {
        query::query(self, sql).await
    }

    /// The columns of a table or query as Avro. No row is read.
    pub async fn describe(&self, relation: Relation<'_>) -> Result<Vec<DescribedColumn>> {
        describe::describe(self, relation).await
    }
}
