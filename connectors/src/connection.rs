//! What can be asked of any connection.

use millrace_model::{Result, Schema, Sink};
use millrace_runtime::project::Resilience;
use millrace_runtime::resilience::{Link, Probe};

use crate::config::Connection;
use crate::described::{DescribedColumn, Relation};
use crate::table::{Column, Examined, QueryResult, partition_misfit};
use crate::table_config::{Capabilities, TableConfig};
use crate::{lake, mysql, postgres, redis, redshift, sqlite};

impl Connection {
    /// How patient Millrace is with it.
    const fn resilience(&self) -> &Resilience {
        match self {
            Self::Postgres(config) => &config.resilience,
            Self::Mysql(config) => &config.resilience,
            Self::Redshift(config) => &config.resilience,
            Self::Sqlite(config) => &config.resilience,
            Self::Lake(config) => &config.resilience,
            Self::Redis(config) => &config.resilience,
        }
    }

    /// The way to it, which all clones share.
    pub fn link(&self) -> &Link {
        match self {
            Self::Postgres(config) => config.link(),
            Self::Mysql(config) => config.link(),
            Self::Redshift(config) => config.link(),
            Self::Sqlite(config) => config.link(),
            Self::Lake(config) => config.link(),
            Self::Redis(config) => config.link(),
        }
    }

    /// Gives it the name that the project file has for it, in health and metrics; before its first use.
    pub fn name(&self, name: &str) {
        self.resilience().name(name);
    }

    /// Asks whether it is there.
    pub async fn probe(&self) -> Result<()> {
        match self {
            Self::Postgres(config) => config.probe().await,
            Self::Mysql(config) => config.probe().await,
            Self::Redshift(config) => config.probe().await,
            Self::Sqlite(config) => config.probe().await,
            Self::Lake(config) => config.probe().await,
            Self::Redis(config) => config.probe().await,
        }
    }

    /// What asks whether it is there, for health.
    pub fn prober(&self) -> Probe {
        let connection = self.clone();
        Probe::new(self.link(), move || {
            let connection = connection.clone();
            async move { connection.probe().await }
        })
    }

    /// What this kind of target can do.
    pub const fn capabilities(&self) -> &'static Capabilities {
        match self {
            Self::Postgres(_) => &postgres::CAPABILITIES,
            Self::Mysql(_) => &mysql::CAPABILITIES,
            Self::Redshift(_) => &redshift::CAPABILITIES,
            Self::Sqlite(_) => &sqlite::CAPABILITIES,
            Self::Lake(_) => &lake::CAPABILITIES,
            Self::Redis(_) => &redis::CAPABILITIES,
        }
    }

    /// Why it can't keep parked keys beside its positions (`on_error: park_key`); `None` where it can.
    pub fn unparkable(&self) -> Option<&'static str> {
        match self {
            Self::Postgres(_) | Self::Mysql(_) | Self::Redshift(_) | Self::Sqlite(_) => None,
            Self::Redis(config) => config.unparkable(),
            Self::Lake(_) => Some(lake::UNPARKABLE),
        }
    }

    /// Why the table can't have the partitions that it is to have, and what to do about it.
    pub fn partition_misfit(&self, table: &TableConfig, schema: &Schema) -> Option<String> {
        partition_misfit(table, schema, self.capabilities())
    }

    /// The setting of `redis` that the table can't have, and why.
    pub fn redis_misfit(&self, table: &TableConfig, schema: &Schema) -> Option<(Option<&'static str>, String)> {
        match self {
            Self::Redis(_) => redis::misfit(table, schema).map(|(setting, reason)| (Some(setting), reason)),
            _ => table.redis.as_ref().map(|_| (None, format!("{} keeps tables, not keys: leave `redis` out", self.capabilities().name))),
        }
    }

    /// Where the rows of a table are, for people: two tables of one place are one.
    pub fn rows_of(&self, table: &TableConfig) -> String {
        match self {
            Self::Redis(_) => format!("the key `{}`", redis::keys_of(table)),
            _ => format!("the table `{}`", table.table),
        }
    }

    /// What the owner of a load should know before any server is asked, and what can be done about it.
    pub fn advice(&self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Redis(config) => config.advice(),
            _ => None,
        }
    }

    /// The columns that a table for the schema gets, or what makes it impossible. Asks no server.
    pub fn check(&self, table: &TableConfig, schema: &Schema) -> Result<Vec<Column>> {
        match self {
            Self::Postgres(config) => config.check(table, schema),
            Self::Mysql(config) => config.check(table, schema),
            Self::Redshift(config) => config.check(table, schema),
            Self::Sqlite(config) => config.check(table, schema),
            Self::Lake(config) => config.check(table, schema),
            Self::Redis(config) => config.check(table, schema),
        }
    }

    /// A sink into the table, which is made from the schema when it does not exist.
    pub async fn open(&self, table: &TableConfig, schema: &Schema) -> Result<Box<dyn Sink>> {
        match self {
            Self::Postgres(config) => config.open(table, schema).await,
            Self::Mysql(config) => config.open(table, schema).await,
            Self::Redshift(config) => config.open(table, schema).await,
            Self::Sqlite(config) => config.open(table, schema).await,
            Self::Lake(config) => config.open(table, schema).await,
            Self::Redis(config) => config.open(table, schema).await,
        }
    }

    /// Runs SQL that reads; the answer is text.
    pub async fn query(&self, sql: &str) -> Result<QueryResult> {
        match self {
            Self::Postgres(config) => config.query(sql).await,
            Self::Mysql(config) => config.query(sql).await,
            Self::Redshift(config) => config.query(sql).await,
            Self::Sqlite(config) => config.query(sql).await,
            Self::Lake(config) => config.query(),
            Self::Redis(_) => Err(redis::Config::no_queries()),
        }
    }

    /// Compares the target with what the pipeline of `table` needs. Changes nothing, and makes no file.
    pub async fn examine(&self, table: &TableConfig, schema: &Schema) -> Result<Examined> {
        match self {
            Self::Postgres(config) => config.examine(table, schema).await,
            Self::Mysql(config) => config.examine(table, schema).await,
            Self::Redshift(config) => config.examine(table, schema).await,
            Self::Sqlite(config) => config.examine(table, schema).await,
            Self::Lake(config) => config.examine(table, schema).await,
            Self::Redis(config) => config.examine(table, schema).await,
        }
    }

    /// Runs statements that define tables: all of them or none, where the target's definitions do not commit by themselves.
    pub async fn define(&self, statements: &[String]) -> Result<()> {
        match self {
            Self::Postgres(config) => config.define(statements).await,
            Self::Mysql(config) => config.define(statements).await,
            Self::Redshift(config) => config.define(statements).await,
            Self::Sqlite(config) => config.define(statements).await,
            Self::Lake(config) => config.define(statements).await,
            Self::Redis(_) => Err(redis::Config::no_definitions()),
        }
    }

    /// Drops a table with its rows.
    pub async fn drop_table(&self, table: &str) -> Result<()> {
        match self {
            Self::Postgres(config) => config.drop_table(table).await,
            Self::Mysql(config) => config.drop_table(table).await,
            Self::Redshift(config) => config.drop_table(table).await,
            Self::Sqlite(config) => config.drop_table(table).await,
            Self::Lake(config) => config.drop_table(table).await,
            Self::Redis(_) => Err(redis::Config::no_definitions()),
        }
    }

    /// The columns of a table or query as Avro. Nothing is run.
    pub async fn describe(&self, relation: Relation<'_>) -> Result<Vec<DescribedColumn>> {
        match self {
            Self::Postgres(config) => config.describe(relation).await,
            Self::Mysql(config) => config.describe(relation).await,
            Self::Redshift(config) => config.describe(relation),
            Self::Sqlite(config) => config.describe(relation).await,
            Self::Lake(config) => config.describe(relation),
            Self::Redis(_) => redis::Config::describe(relation),
        }
    }
}
