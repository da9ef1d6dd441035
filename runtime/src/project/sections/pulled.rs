//! Schemas that are pulled from where they are decided.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A schema file that `millrace schema pull` writes, as `schemas/NAME.avsc`: where it comes from.
///
/// Exactly one of `subject`, `table` and `query`; the last two with a `connection`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(try_from = "Written")]
#[schemars(with = "Written", rename = "PulledSchema")]
pub struct PulledSchema {
    /// Where it comes from.
    pub origin: SchemaOrigin,
    /// The columns that are never null although nothing says so.
    pub not_null: Vec<String>,
}

/// Where a schema comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum SchemaOrigin {
    /// A subject of the registry: a version, or the latest.
    Subject {
        /// The subject.
        name: String,
        /// The version; the latest without it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<u32>,
    },
    /// A table or view of a connection.
    Table {
        /// The connection's name.
        connection: String,
        /// The table.
        table: String,
    },
    /// A query on a connection.
    Query {
        /// The connection's name.
        connection: String,
        /// The SQL.
        query: String,
    },
}

impl SchemaOrigin {
    /// The connection that it comes from, if it comes from one.
    pub fn connection(&self) -> Option<&str> {
        match self {
            Self::Subject { .. } => None,
            Self::Table { connection, .. } | Self::Query { connection, .. } => Some(connection),
        }
    }

    /// What it is, for people.
    pub fn title(&self) -> String {
        match self {
            Self::Subject { name, version: None } => format!("the subject {name}"),
            Self::Subject { name, version: Some(version) } => format!("version {version} of the subject {name}"),
            Self::Table { connection, table } => format!("the table {table} in {connection}"),
            Self::Query { connection, .. } => format!("a query on {connection}"),
        }
    }
}

/// Where the files of pulled schemas are, relative to the project's folder.
const FOLDER: &str = "schemas";

impl PulledSchema {
    /// The file of the schema `name`, in the project's folder.
    pub fn file(folder: &Path, name: &str) -> PathBuf {
        folder.join(FOLDER).join(format!("{name}.avsc"))
    }

    /// The file that says what was pulled, in the project's folder.
    pub fn lock_file(folder: &Path) -> PathBuf {
        folder.join(FOLDER).join("millrace.lock")
    }
}

/// The same as it is written.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Written {
    /// A subject of the schema registry.
    #[serde(default)]
    subject: Option<String>,
    /// The subject's version; the latest without it.
    #[serde(default)]
    #[schemars(range(min = 1))]
    version: Option<u32>,
    /// The name of a connection under `connections:`.
    #[serde(default)]
    connection: Option<String>,
    /// A table or view of the connection.
    #[serde(default)]
    table: Option<String>,
    /// A query on the connection. Its columns may be null, except those that `not_null` names.
    #[serde(default)]
    query: Option<String>,
    /// Columns of the table or query that are never null although the database doesn't say so.
    #[serde(default)]
    not_null: Vec<String>,
}

impl TryFrom<Written> for PulledSchema {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        let Written { subject, version, connection, table, query, not_null } = written;
        let origin = match (subject, connection, table, query) {
            (Some(_), None, None, None) if !not_null.is_empty() => return Err("expected no `not_null`: a subject's schema says it"),
            (Some(name), None, None, None) => SchemaOrigin::Subject { name, version },
            _ if version.is_some() => return Err("expected `version` with `subject` only"),
            (None, Some(connection), Some(table), None) => SchemaOrigin::Table { connection, table },
            (None, Some(connection), None, Some(query)) => SchemaOrigin::Query { connection, query },
            _ => return Err("expected `subject`, or `connection` with either `table` or `query`"),
        };
        Ok(Self { origin, not_null })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json};

    fn read(written: serde_json::Value) -> Result<PulledSchema, String> {
        from_value(written).map_err(|error| error.to_string())
    }

    #[test]
    fn a_schema_comes_from_one_place() {
        let subject = read(json!({ "subject": "orders-value", "version": 3 })).expect("reads");
        assert_eq!(subject.origin, SchemaOrigin::Subject { name: "orders-value".into(), version: Some(3) });
        let query = read(json!({ "connection": "shop", "query": "SELECT 1 AS one", "not_null": ["one"] })).expect("reads");
        assert_eq!((query.origin.connection(), query.not_null), (Some("shop"), vec!["one".to_owned()]));
        for wrong in [
            json!({}),
            json!({ "connection": "shop" }),
            json!({ "table": "orders" }),
            json!({ "subject": "s", "table": "t" }),
            json!({ "connection": "shop", "table": "t", "query": "q" }),
            json!({ "connection": "shop", "table": "t", "version": 1 }),
        ] {
            assert!(read(wrong.clone()).expect_err("is unclear").contains("expected"), "{wrong}");
        }
    }
}
