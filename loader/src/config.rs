//! The project-file section of this service.

use millrace_connectors::{Mode, TableConfig};
use millrace_runtime::project::{DeadLetterConfig, Millis, OnError};
use schemars::JsonSchema;
use serde::Deserialize;

mod flow;

/// A pipeline of the loader service: from a topic into a table.
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
    /// The columns that tell rows apart; `mode: upsert` needs them.
    #[serde(default)]
    pub keys: Vec<String>,
    /// The topic that records which can't be processed go to, and how many may.
    #[serde(default)]
    pub dead_letters: DeadLetterConfig,
    /// What becomes of such a record.
    #[serde(default)]
    pub on_error: OnError,
    /// How often rows are committed, and so become visible: shorter is fresher, longer costs less.
    #[serde(default = "commit_interval")]
    pub commit_interval: Millis,
}

const fn commit_interval() -> Millis {
    Millis::new(1000)
}

/// A table of an outside system.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// The name of a connection under `connections:`.
    pub connection: String,
    /// The table; it is created from the topic's schema when it does not exist.
    pub table: String,
}

impl Pipeline {
    /// What the sink of this pipeline, `name` in the project `project`, needs to know.
    pub fn table(&self, project: &str, name: &str) -> TableConfig {
        TableConfig { pipeline: format!("{project}.{name}"), table: self.to.table.clone(), mode: self.mode, keys: self.keys.clone() }
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
