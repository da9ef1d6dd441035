//! Redis, as the cache of a topic's rows: connection and sink.
//!
//! | key | type | value |
//! |---|---|---|
//! | `<table>:<keys>`, or as `redis.key` says | hash or string | a row |
//! | `millrace:position:<project>.<pipeline>:<topic>:<partition>` | string | the next offset |
//! | `millrace:parked:<project>.<pipeline>:<topic>:<partition>` | hash | with `on_error: park_key`: for the SHA-256 of each parked key the offset that it waits for |
//! | `millrace:rows:<project>.<pipeline>` | set | the keys of all rows, in `mode: mirror` only: what a truncation deletes |
//!
//! A round is one `MULTI`/`EXEC` with the positions that it reaches, under `WATCH` of the positions as they were: the compared position is the
//! fence. Redis rolls nothing back: a transaction runs to its end whatever its commands answer, and a position would pass by a row whose
//! command failed. So rows are written by commands that can't fail, whatever is at their keys by then: each key is written anew. What holds
//! a value of another type is found before, and left as it is.
//!
//! No writer holds a lock, so that one which stands still keeps nobody from anything.

mod changes;
mod config;
mod connect;
mod fault;
mod found;
mod json;
mod key;
mod parked;
mod positions;
mod rows;
mod server;
mod session;
mod sink;
mod staged;
mod target;

use millrace_model::{Code, Fault, Result, Schema, Sink};

pub use config::{Config, Form, Rows, Tls};

use crate::described::{DescribedColumn, Relation};
use crate::table::{Column, Examined};
use crate::table_config::{Capabilities, Mode, TableConfig};
use target::Target;

pub(crate) use target::{keys_of, misfit};

/// What Redis can do. It has no limit of columns that matters; this one is ours.
pub const CAPABILITIES: Capabilities = Capabilities {
    name: "Redis",
    modes: &[Mode::Upsert, Mode::InsertIgnore, Mode::Mirror],
    partitions: &[],
    columns: 4096,
    columns_of_stage: 0,
    columns_of_loading: 0,
    grows: true,
};

impl Config {
    /// What is kept of a row, or what makes that impossible, told from the schema alone.
    pub fn check(&self, table: &TableConfig, schema: &Schema) -> Result<Vec<Column>> {
        Target::new(table, schema).map(|target| target.columns())
    }

    /// A sink of rows.
    pub async fn open(&self, table: &TableConfig, schema: &Schema) -> Result<Box<dyn Sink>> {
        let sink = sink::RedisSink::open(self, Target::new(table, schema)?).await?;
        Ok(Box::new(sink))
    }

    /// Asks whether the server is there.
    pub async fn probe(&self) -> Result<()> {
        connect::probe(self).await
    }

    /// Looks at the server. Changes nothing. There is nothing to be made.
    pub async fn examine(&self, table: &TableConfig, schema: &Schema) -> Result<Examined> {
        Target::new(table, schema)?;
        let (_, server) = connect::connect(self).await?;
        Ok(Examined { table: keys_of(table), advice: server.advice(self), ..Examined::default() })
    }

    /// What the owner of a load should know before any server is asked.
    pub fn advice(&self) -> Option<(&'static str, &'static str)> {
        let what = "a Redis server that crashes may go back by seconds, rows and positions together, and loads them again from the topic";
        (!self.durable)
            .then_some((what, "keep the topic's records for longer than that; or set `appendfsync always` there and `durable: true` here"))
    }

    /// Why it can't keep parked keys: those that wait are in Kafka, which does not go back with the server.
    pub(crate) fn unparkable(&self) -> Option<&'static str> {
        let why = "a Redis server that is not `durable` may go back when it crashes, to keys whose records do not wait any more: \
                   set `appendfsync always` there and `durable: true` in its connection";
        (!self.durable).then_some(why)
    }

    /// That tables are neither made nor dropped.
    pub(crate) fn no_definitions() -> Fault {
        Fault::operator(Code::ProjectFlow, "a connection of `type: redis` has no tables: delete keys with redis-cli")
    }

    /// That there is no SQL.
    pub(crate) fn no_queries() -> Fault {
        Fault::operator(Code::ProjectFlow, "a connection of `type: redis` answers no SQL: look at its keys with redis-cli")
    }

    /// That there is nothing to be described.
    pub(crate) fn describe(_: Relation<'_>) -> Result<Vec<DescribedColumn>> {
        Err(Self::no_queries())
    }
}
