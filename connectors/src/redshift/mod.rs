//! Amazon Redshift: a dialect of PostgreSQL, loaded by files in S3.
//!
//! Rows go to S3 as CSV, by `COPY` into a temporary table of the session, and from there into the target. Positions are in
//! `millrace_positions` in the target's schema. Redshift knows neither savepoints nor `ON CONFLICT` nor locks of rows: rows that it
//! refuses are looked for before the transaction begins, an upsert deletes and inserts, and the table of positions is locked from there to the
//! commit. Keys are not enforced by Redshift; loads that share a table by keys would not see each other's rows.

mod bucket;
mod config;
mod connect;
mod fault;
mod holders;
mod look;
mod merge;
mod parked;
mod positions;
mod rows;
mod session;
mod sink;
mod target;
mod types;

use millrace_model::{Code, Fault, Result, Schema, Sink};

pub use config::{Config, Stage};

use crate::described::{DescribedColumn, Relation};
use crate::table::{Column, Examined, QueryResult, quoted};
use crate::table_config::{Capabilities, Mode, TableConfig};

/// What Redshift can do. Its limits: <https://docs.aws.amazon.com/redshift/latest/dg/r_CREATE_TABLE_usage.html>; the stage has columns of its own.
pub const CAPABILITIES: Capabilities = Capabilities {
    name: "Redshift",
    modes: &[Mode::Append, Mode::Upsert, Mode::InsertIgnore],
    partitions: &[],
    columns: 1600 - merge::MARKS,
    columns_of_stage: 0,
    columns_of_loading: 0,
    grows: false,
};

/// A text as Redshift's SQL has it: a backslash is one only when there are two.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

impl Config {
    /// The columns that the table gets, or what makes it impossible, told from the schema alone.
    pub fn check(&self, table: &TableConfig, schema: &Schema) -> Result<Vec<Column>> {
        self.target(table, schema).columns()
    }

    /// A sink into the table, which is made from the schema when it does not exist.
    pub async fn open(&self, table: &TableConfig, schema: &Schema) -> Result<Box<dyn Sink>> {
        let sink = sink::RedshiftSink::open(self, self.target(table, schema)).await?;
        Ok(Box::new(sink))
    }

    /// Runs SQL that reads, in a transaction that is rolled back.
    pub async fn query(&self, sql: &str) -> Result<QueryResult> {
        look::query(self, sql).await
    }

    /// Compares the database with what the pipeline of `table` needs. Changes nothing. Rights are not looked at.
    pub async fn examine(&self, table: &TableConfig, schema: &Schema) -> Result<Examined> {
        look::examine(self, &self.target(table, schema)).await
    }

    /// Asks whether the cluster is there.
    pub async fn probe(&self) -> Result<()> {
        connect::probe(self).await
    }

    /// Runs statements that define tables: all of them or none.
    pub async fn define(&self, statements: &[String]) -> Result<()> {
        look::define(self, statements).await
    }

    /// Drops a table with its rows.
    pub async fn drop_table(&self, table: &str) -> Result<()> {
        look::define(self, &[format!("DROP TABLE {}", quoted(table))]).await
    }

    /// The columns of a table as Avro: refused, for Redshift's catalogue is read for loading only.
    pub fn describe(&self, _: Relation<'_>) -> Result<Vec<DescribedColumn>> {
        let place = format!("{}:{}/{}", self.host, self.port, self.database);
        Err(Fault::operator(Code::TargetSchema, format!("tables of Redshift ({place}) can't be described: write the schema file by hand")))
    }
}
