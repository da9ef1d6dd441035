//! How an SQLite database is reached.

use millrace_runtime::project::ProjectPath;
use schemars::JsonSchema;
use serde::Deserialize;

/// An SQLite database: the embedded warehouse.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Sqlite")]
pub struct Config {
    /// The database file, relative to the project's folder; it is created when it does not exist.
    pub path: ProjectPath,
}
