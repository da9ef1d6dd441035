//! A lake: folders of Parquet files, each a Delta Lake table, on this machine or in an object store.
//!
//! A file is a part of its table when a version of the table's log names it: readers go by the log. A version is put only where there is
//! none (`If-None-Match: *` in S3 and Azure, a generation of 0 in Google Cloud Storage, a link on this machine), with the files of a round,
//! the positions that they reach (`txn`, whose `appId` is `millrace/<project>.<pipeline>/<topic>/<partition>`), and the columns that come
//! with them: that is the transaction, and the fence.

mod clean;
mod config;
mod convert;
mod fault;
mod files;
mod layout;
mod log;
mod look;
mod partition;
mod place;
mod positions;
mod rows;
mod sink;
mod types;

use millrace_model::{Code, Fault, Result, Schema, Sink};

pub use config::{Compression, Config};

use crate::described::{DescribedColumn, Relation};
use crate::table::{Column, Examined, QueryResult};
use crate::table_config::{Capabilities, Mode, Partitioning, TableConfig};

/// What a lake can do. Delta has no limit of columns; this one keeps files readable.
pub const CAPABILITIES: Capabilities = Capabilities {
    name: "a lake",
    modes: &[Mode::Append],
    partitions: &[Partitioning::Day, Partitioning::Month, Partitioning::Year, Partitioning::List],
    columns: 5000,
    columns_of_stage: 0,
    columns_of_loading: 0,
    grows: true,
};

/// Why it keeps no parked keys. A name of `txn` could be one; but no writer of a Delta log may take one out again that others have
/// put into a checkpoint, and each reader reads them all.
pub(crate) const UNPARKABLE: &str =
    "a Delta log keeps one number for each application, for ever: each key that was ever parked would stay in it";

impl Config {
    /// The columns that the table gets, or what makes it impossible, told without I/O.
    pub fn check(&self, table: &TableConfig, schema: &Schema) -> Result<Vec<Column>> {
        self.check_place()?;
        layout::Target::new(table, schema, table.table.clone()).columns()
    }

    /// A sink into the table, which is made from the schema when it does not exist.
    pub async fn open(&self, table: &TableConfig, schema: &Schema) -> Result<Box<dyn Sink>> {
        sink::LakeSink::open(self, table, schema).await
    }

    /// Asks whether the store is there. A folder that does not exist yet is none that is away: the load makes it.
    pub async fn probe(&self) -> Result<()> {
        look::probe(self).await
    }

    /// Compares the lake with what the pipeline of `table` needs. Changes nothing, and makes no file.
    pub async fn examine(&self, table: &TableConfig, schema: &Schema) -> Result<Examined> {
        look::examine(self, table, schema).await
    }

    /// Puts the versions that `examine` found to be missing, one after the other.
    pub async fn define(&self, statements: &[String]) -> Result<()> {
        look::define(self, statements).await
    }

    /// Deletes a table with its files: the log first, so that no reader finds a table without its files.
    pub async fn drop_table(&self, table: &str) -> Result<()> {
        look::drop_table(self, table).await
    }

    /// A lake runs no SQL.
    pub fn query(&self) -> Result<QueryResult> {
        Err(self.without_sql("a lake runs no SQL"))
    }

    /// The columns of a table as Avro: refused.
    pub fn describe(&self, _: Relation<'_>) -> Result<Vec<DescribedColumn>> {
        Err(self.without_sql("tables of a lake can't be described: write the schema file by hand"))
    }

    fn without_sql(&self, what: &str) -> Fault {
        let how =
            format!("any engine that knows Delta Lake reads it, such as DuckDB: SELECT * FROM delta_scan('{}/TABLE')", self.url.as_str());
        Fault::operator(Code::TargetSchema, format!("{what}; {how}"))
    }
}
