//! SQLite, the embedded warehouse: connection, sink and queries.
//!
//! | Avro | column | value |
//! |---|---|---|
//! | boolean | `INTEGER` | 0 or 1 |
//! | int, long | `INTEGER` | |
//! | float, double | `REAL` | |
//! | string, enum | `TEXT` | |
//! | bytes, fixed | `BLOB` | |
//! | uuid | `TEXT` | with hyphens |
//! | decimal | `TEXT` | `-12.50`: `REAL` would round it |
//! | date | `TEXT` | `2013-01-31` |
//! | time-* | `TEXT` | `05:30:00.000` |
//! | timestamp-* | `TEXT` | `2013-01-31T05:30:00.000Z`; as many digits as the unit has, so that order of text is order of time |
//! | local-timestamp-* | `TEXT` | `2013-01-31T05:30:00.000` |
//! | duration | `TEXT` | `1 mons 2 days 3.000000000 secs` |
//! | array, map, record | `TEXT` | JSON |
//!
//! SQLite keeps no NaN: it would become null, so the record is rejected.
//!
//! The database is in WAL mode: readers don't wait for the writer. There is one writer at a time, and no SQL ends the session of
//! another: a process that stands still (SIGSTOP) inside a round keeps the file's lock until it goes on or is killed. Meanwhile others
//! wait, as passing trouble; when it goes on, the compared position decides which one's round counts.

mod bulk;
mod config;
mod connect;
mod describe;
mod examine;
mod fault;
mod order;
mod parked;
mod positions;
mod query;
mod replacing;
mod session;
mod source;
mod statements;
mod target;
mod types;
mod values;

use millrace_model::{Result, Schema, Sink};

pub use config::Config;

use crate::described::{DescribedColumn, Relation};
use crate::table::{BufferedSink, Column, Examined, LOADING_MARKS, QueryResult};
use crate::table_config::{Capabilities, Mode, TableConfig};

/// What SQLite can do. Its limits: <https://www.sqlite.org/limits.html>, 2.
pub const CAPABILITIES: Capabilities = Capabilities {
    name: "SQLite",
    modes: &[Mode::Append, Mode::Upsert, Mode::InsertIgnore, Mode::Mirror, Mode::Replace],
    partitions: &[],
    columns: 2000,
    columns_of_stage: 0,
    columns_of_loading: LOADING_MARKS,
    grows: true,
};

impl Config {
    /// The columns that the table gets, or what makes it impossible, told from the schema alone.
    pub fn check(&self, table: &TableConfig, schema: &Schema) -> Result<Vec<Column>> {
        target::target(table, schema).columns()
    }

    /// A sink into the table; database and table are made when they do not exist.
    pub async fn open(&self, table: &TableConfig, schema: &Schema) -> Result<Box<dyn Sink>> {
        BufferedSink::<session::Session>::open(self, table, schema).await
    }

    /// Asks whether the database is there.
    pub async fn probe(&self) -> Result<()> {
        connect::probe(self).await
    }

    /// Runs SQL that reads.
    pub async fn query(&self, sql: &str) -> Result<QueryResult> {
        query::query(self, sql).await
    }

    /// Compares the database with what the pipeline of `table` needs. Changes nothing, and makes no file.
    pub async fn examine(&self, table: &TableConfig, schema: &Schema) -> Result<Examined> {
        examine::examine(self, &target::target(table, schema)).await
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
