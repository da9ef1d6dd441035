//! The project-file section of this service.

use std::time::Duration;

use millrace_runtime::project::{
    DeadLetterConfig, Delivery, Latency, Millis, OnError, OnIncompatible, Output, ParkedConfig, Scalar, SchemaChanges,
};
use schemars::JsonSchema;
use serde::Deserialize;

mod flow;

/// A pipeline of the transform service: from a topic through steps to a topic.
///
/// ```yaml
/// transform:
///   delays:
///     from: flights
///     steps:
///       - validate: { rules: [ { not_null: [carrier] } ] }
///       - filter: dep_delay IS NOT NULL
///       - sql: SELECT carrier, flight, dep_delay > 15 AS late FROM input
///     to: { topic: flights.delays }
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "TransformPipeline")]
pub struct Pipeline {
    /// The topic that is read.
    pub from: String,
    /// What is done to each record, in this order; nothing without it.
    #[serde(default)]
    pub steps: Vec<StepConfig>,
    /// The topic that the records go to.
    pub to: Output,
    /// The topic that records which can't be processed go to, and how many may.
    #[serde(default)]
    pub dead_letters: DeadLetterConfig,
    /// What becomes of such a record.
    #[serde(default)]
    pub on_error: OnError,
    /// How much may wait behind such records, with `on_error: park_key`.
    #[serde(default)]
    pub parked: ParkedConfig,
    /// What a crash may do to the output.
    #[serde(default)]
    pub delivery: Delivery,
    /// What it does about later versions of the input's schema.
    #[serde(default)]
    pub schema_changes: SchemaChanges,
    /// What becomes of records whose version of the schema it can't work with.
    #[serde(default)]
    pub on_incompatible: OnIncompatible,
    /// How often output is committed, and so becomes visible: shorter is fresher, longer costs less. Without it `100ms`, and with
    /// `latency: low` under `service:` as often as there is something.
    #[serde(default)]
    pub commit_interval: Option<Millis>,
}

impl Pipeline {
    const COMMIT_INTERVAL: Duration = Duration::from_millis(100);

    /// How long after its first record a transaction is committed.
    pub fn commit_interval(&self, latency: Latency) -> Duration {
        self.commit_interval.map_or(latency.commit_interval(Self::COMMIT_INTERVAL), Millis::duration)
    }
}

/// One step of a transform pipeline.
///
/// ```yaml
/// steps:
///   - filter: dep_delay IS NOT NULL
///   - sql: SELECT carrier, flight, dep_delay FROM input
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[schemars(rename = "Step")]
pub enum StepConfig {
    /// One SELECT over the table `input`, row by row: its columns become the record.
    Sql(String),
    /// A condition in SQL; records of which it is not true are dropped.
    Filter(String),
    /// Rules that every record must keep; one that breaks a rule is rejected.
    Validate {
        /// The rules.
        rules: Vec<Rule>,
    },
}

impl StepConfig {
    /// The step's kind, as the project file names it.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Sql(_) => "sql",
            Self::Filter(_) => "filter",
            Self::Validate { .. } => "validate",
        }
    }
}

/// A rule that a record must keep. Except for `not_null`, null keeps every rule.
///
/// ```yaml
/// rules:
///   - not_null: [carrier, flight]
///   - range: { column: dep_delay, min: -120, max: 2000 }
///   - one_of: { column: carrier, values: [AA, UA, DL] }
///   - pattern: { column: tailnum, matches: "^N[0-9A-Z]+$" }
///   - expression: dep_time <= arr_time
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Rule {
    /// These columns are not null.
    NotNull(Vec<String>),
    /// A number is between two bounds, both included.
    Range {
        /// The column.
        column: String,
        /// The least value allowed.
        #[serde(default)]
        min: Option<f64>,
        /// The greatest value allowed.
        #[serde(default)]
        max: Option<f64>,
    },
    /// A value is one of a list.
    OneOf {
        /// The column.
        column: String,
        /// The values allowed, as text, numbers or booleans.
        values: Vec<Scalar>,
    },
    /// A text matches a regular expression (the syntax of the Rust crate `regex`), anywhere in it unless anchored by `^` and `$`.
    Pattern {
        /// The column.
        column: String,
        /// The regular expression.
        matches: String,
    },
    /// A condition in SQL is true.
    Expression(String),
}

impl Rule {
    /// The rule's kind, as the project file names it.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::NotNull(_) => "not_null",
            Self::Range { .. } => "range",
            Self::OneOf { .. } => "one_of",
            Self::Pattern { .. } => "pattern",
            Self::Expression(_) => "expression",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json};

    #[test]
    fn steps_and_rules_are_named_by_their_kind() {
        let pipeline: Pipeline = from_value(json!({
            "from": "a",
            "steps": [
                { "sql": "SELECT * FROM input" },
                { "validate": { "rules": [
                    { "not_null": ["x"] },
                    { "range": { "column": "x", "min": -1 } },
                    { "one_of": { "column": "x", "values": [1, "two"] } },
                ] } },
            ],
            "to": { "topic": "b" },
        }))
        .expect("reads");
        assert_eq!(pipeline.steps.iter().map(StepConfig::kind).collect::<Vec<_>>(), ["sql", "validate"]);
        let commits = |latency| pipeline.commit_interval(latency).as_millis();
        assert_eq!((commits(Latency::Balanced), commits(Latency::Low)), (100, 0));
        assert_eq!(pipeline.dead_letters.topic, "millrace.dead-letters");
    }

    #[test]
    fn an_unknown_setting_is_refused_at_every_depth() {
        let pipeline = |step| from_value::<Pipeline>(json!({ "from": "a", "steps": [step], "to": { "topic": "b" } }));
        assert!(pipeline(json!({ "validate": { "rules": [], "rule": [] } })).is_err());
        assert!(pipeline(json!({ "validate": { "rules": [{ "range": { "column": "x", "least": 1 } }] } })).is_err());
        assert!(pipeline(json!({ "sort": "x" })).is_err());
    }
}
