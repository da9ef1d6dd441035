//! The project-file section of this service.

use std::collections::BTreeMap;

use millrace_connectors::{Mode, PartitionBy, TableConfig, redis};
use millrace_model::{Result, Schema};
use millrace_runtime::project::{DeadLetterConfig, Millis, OnError, OnIncompatible, ParkedConfig, Scalar, SchemaChanges};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::intake;

mod columns;
mod flow;

pub use columns::{ColumnConfig, ColumnSource, Metadata};

/// A pipeline of the loader service: from a topic into a table.
///
/// ```yaml
/// load:
///   flights_table:
///     from: flights
///     to: { connection: warehouse, table: flights }
///     mode: upsert
///     keys: [carrier, flight, time_hour]
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "LoadPipeline")]
pub struct Pipeline {
    /// The topic that is read.
    pub from: String,
    /// The table that rows are loaded into.
    pub to: Target,
    /// What a record does to the table.
    #[serde(default)]
    pub mode: Mode,
    /// The columns of the table that tell its rows apart; every mode but `append` needs them.
    #[serde(default)]
    pub keys: Vec<String>,
    /// How the topic's records tell changes; only `mode: mirror` goes by it.
    #[serde(default)]
    pub envelope: Envelope,
    /// The table's columns in their order: names of the topic's columns, or what a column is filled from. `"*"` stands for all of the
    /// topic's columns that are not named here. Without it: all of the topic's columns.
    #[serde(default)]
    pub columns: Vec<ColumnConfig>,
    /// Columns of the topic that the table does not get.
    #[serde(default)]
    pub omit: Vec<String>,
    /// What becomes of a column that is a record.
    #[serde(default)]
    pub nested: Nested,
    /// What stands between the names of a flattened column.
    #[serde(default = "underscore")]
    pub separator: String,
    /// What a column of the table holds where the record has null.
    #[serde(default)]
    pub defaults: BTreeMap<String, Scalar>,
    /// A column of the table that gets the time at which its row was loaded.
    #[serde(default)]
    pub loaded_at: Option<String>,
    /// How a new table is cut into partitions, which are made as rows need them.
    #[serde(default)]
    pub partition_by: Option<PartitionBy>,
    /// The topic that records which can't be processed go to, and how many may.
    #[serde(default)]
    pub dead_letters: DeadLetterConfig,
    /// What becomes of such a record.
    #[serde(default)]
    pub on_error: OnError,
    /// How much may wait behind such records, with `on_error: park_key`.
    #[serde(default)]
    pub parked: ParkedConfig,
    /// What it does about later versions of the topic's schema: where it follows them, the table gets the columns that come.
    #[serde(default)]
    pub schema_changes: SchemaChanges,
    /// What becomes of records whose version of the schema load or table can't work with.
    #[serde(default)]
    pub on_incompatible: OnIncompatible,
    /// How often rows are committed, and so become visible: shorter is fresher, longer costs less. Without it `1s`, with `latency: low` under
    /// `service:` as often as there is something, and into a lake `1m` always: each commit begins new files.
    #[serde(default)]
    pub commit_interval: Option<Millis>,
}

fn underscore() -> String {
    "_".to_owned()
}

/// How a record tells a change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Envelope {
    /// As Debezium does: the columns `before`, `after` and `op`.
    #[default]
    Debezium,
    /// The record is the row; its header `millrace.op` (or `__op`) says what was done to it, `u` without one.
    Flat,
}

/// What becomes of a column that is a record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Nested {
    /// One column of JSON.
    #[default]
    Json,
    /// A column for each of its fields, at any depth.
    Flatten,
}

/// A table of an outside system.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// The name of a connection under `connections:`.
    pub connection: String,
    /// The table; it is created from the topic's schema when it does not exist.
    pub table: String,
    /// How rows are kept, where the connection is to a Redis server.
    #[serde(default)]
    pub redis: Option<redis::Rows>,
}

impl Pipeline {
    /// The schema of the table's rows, for records of the schema `records`.
    ///
    /// # Errors
    /// [`Code::ProjectFlow`] where the settings do not fit the records.
    ///
    /// [`Code::ProjectFlow`]: millrace_model::Code::ProjectFlow
    pub fn table_schema(&self, records: &Schema) -> Result<Schema> {
        intake::mapping(self, records).map(|mapping| mapping.schema().clone()).map_err(intake::unfit)
    }

    /// What the sink of this pipeline, `name` in the project `project`, needs to know.
    pub fn table(&self, project: &str, name: &str) -> TableConfig {
        TableConfig {
            pipeline: format!("{project}.{name}"),
            table: self.to.table.clone(),
            mode: self.mode,
            keys: self.keys.clone(),
            partition_by: self.partition_by.clone(),
            redis: self.to.redis.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json};

    #[test]
    fn a_pipeline_appends_unless_it_says_otherwise() {
        let pipeline: Pipeline = from_value(json!({ "from": "a", "to": { "connection": "warehouse", "table": "t" } })).expect("reads");
        assert_eq!(pipeline.mode, Mode::Append);
        assert_eq!(pipeline.table("shop", "orders").pipeline, "shop.orders");
    }

    #[test]
    fn an_upsert_names_its_keys() {
        let settings = json!({ "from": "a", "to": { "connection": "w", "table": "t" }, "mode": "upsert", "keys": ["id"] });
        let pipeline: Pipeline = from_value(settings).expect("reads");
        assert_eq!((pipeline.mode, pipeline.keys), (Mode::Upsert, vec!["id".to_owned()]));
    }
}
