//! What a pipeline does when the schema of the topic that it reads changes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a pipeline does about later versions of its input's schema.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SchemaChanges {
    /// It reads by the latest version that it can work with, from the first record of that version on, without a restart. What it writes
    /// changes with it.
    #[default]
    Follow,
    /// It reads every record by the project's schema, whatever it was written with, and what it writes stays as it is.
    Pin,
}

/// What becomes of records whose version of the schema the pipeline can't work with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnIncompatible {
    /// The pipeline stops at the first one and waits for an operator.
    #[default]
    Halt,
    /// They are rejected, and the others go on.
    DeadLetter,
}
