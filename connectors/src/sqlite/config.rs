//! How an SQLite database is reached.

use std::path::Path;

use millrace_runtime::project::{ProjectPath, Resilience};
use schemars::JsonSchema;
use serde::Deserialize;

/// An SQLite database: the embedded warehouse.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Sqlite")]
pub struct Config {
    /// The database file, relative to the project's folder; it is created when it does not exist.
    pub path: ProjectPath,
    /// How patient Millrace is with it, where it is on a disk that others share.
    #[serde(default)]
    pub resilience: Resilience,
}

impl Config {
    /// The database in that file.
    pub fn at(path: impl AsRef<Path>) -> Self {
        Self { path: ProjectPath::new(path.as_ref()), resilience: Resilience::default() }
    }
}
