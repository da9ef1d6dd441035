//! What can be asked of any connection.

use millrace_model::{Result, Schema, Sink};

use crate::config::{Connection, TableConfig};
use crate::table::{Column, QueryResult};

impl Connection {
    /// The columns that a table for the schema gets, or what makes it impossible. Asks no server.
    pub fn check(&self, table: &TableConfig, schema: &Schema) -> Result<Vec<Column>> {
        match self {
            Self::Postgres(config) => config.check(table, schema),
            Self::Sqlite(config) => config.check(table, schema),
        }
    }

    /// A sink into the table, which is made from the schema when it does not exist.
    pub async fn open(&self, table: &TableConfig, schema: &Schema) -> Result<Box<dyn Sink>> {
        match self {
            Self::Postgres(config) => config.open(table, schema).await,
            Self::Sqlite(config) => config.open(table, schema).await,
        }
    }

    /// Runs SQL that reads; the answer is text.
    pub async fn query(&self, sql: &str) -> Result<QueryResult> {
        match self {
            Self::Postgres(config) => config.query(sql).await,
            Self::Sqlite(config) => config.query(sql).await,
        }
    }
}
