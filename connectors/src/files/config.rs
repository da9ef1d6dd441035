//! Which files are read, and how.

use millrace_runtime::project::ProjectPath;
use schemars::JsonSchema;
use serde::Deserialize;

/// Files that are read once each, in the order of their names; a file that grows is read on.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Files")]
pub struct Config {
    /// A path, relative to the project's folder, or a pattern: `*` for any part of a name, `**` for any folders.
    pub path: ProjectPath,
    /// What the files are. Without it the extension says: `.csv`, or `.ndjson` and `.jsonl`.
    #[serde(default)]
    pub format: Option<Format>,
    /// Texts that stand for null in CSV, such as `NA`. An unquoted empty field is null too, where the schema allows it.
    #[serde(default)]
    pub null: Vec<String>,
    /// What stands between the fields of a CSV line.
    #[serde(default = "comma")]
    #[schemars(length(equal = 1))]
    pub delimiter: char,
    /// The names of the columns of CSV files that have no header line. Without it the first line has them.
    #[serde(default)]
    pub columns: Option<Vec<String>>,
}

fn comma() -> char {
    ','
}

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Comma-separated values (RFC 4180).
    Csv,
    /// One JSON object on each line.
    Ndjson,
}
