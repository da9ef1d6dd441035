//! The outside systems that a project file can name: a line for each in each list.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

use crate::{files, lake, mysql, postgres, query, redis, redshift, sqlite};

/// An outside system and how it is reached. `type` says which one; the other settings are its own.
#[derive(Debug, Clone, PartialEq, JsonSchema)]
#[schemars(tag = "type", rename_all = "snake_case")]
pub enum Connection {
    /// A PostgreSQL database, or one that speaks its protocol.
    Postgres(postgres::Config),
    /// A MySQL or MariaDB database.
    Mysql(mysql::Config),
    /// An Amazon Redshift cluster, loaded by files in S3.
    Redshift(Box<redshift::Config>),
    /// An SQLite database file.
    Sqlite(sqlite::Config),
    /// Parquet files in a folder or an object store, as Delta Lake tables.
    Lake(Box<lake::Config>),
    /// A Redis server, or one that speaks its protocol, such as Valkey. A cluster is refused: a round is one transaction, and those do not reach
    /// over the nodes of a cluster.
    Redis(redis::Config),
}

/// A project's connections by name.
pub type Connections = BTreeMap<String, Connection>;

/// The values of `type`.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Postgres,
    Mysql,
    Redshift,
    Sqlite,
    Lake,
    Redis,
}

impl Connection {
    fn read<'de, A: MapAccess<'de>>(kind: &Kind, settings: A) -> Result<Self, A::Error> {
        let settings = MapAccessDeserializer::new(settings);
        match kind {
            Kind::Postgres => postgres::Config::deserialize(settings).map(Self::Postgres),
            Kind::Mysql => mysql::Config::deserialize(settings).map(Self::Mysql),
            Kind::Redshift => redshift::Config::deserialize(settings).map(|config| Self::Redshift(Box::new(config))),
            Kind::Sqlite => sqlite::Config::deserialize(settings).map(Self::Sqlite),
            Kind::Lake => lake::Config::deserialize(settings).map(|config| Self::Lake(Box::new(config))),
            Kind::Redis => redis::Config::deserialize(settings).map(Self::Redis),
        }
    }
}

/// Serde's own `tag` keeps the settings in a buffer that knows no line of the file; here they are read in place,
/// which needs `type` to come first. The project file's reader puts it first.
impl<'de> Deserialize<'de> for Connection {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ConnectionVisitor)
    }
}

struct ConnectionVisitor;

impl<'de> Visitor<'de> for ConnectionVisitor {
    type Value = Connection;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the settings of a connection, `type` first")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Connection, A::Error> {
        match map.next_key::<String>()? {
            Some(key) if key == "type" => Connection::read(&map.next_value()?, map),
            _ => Err(A::Error::missing_field("type")),
        }
    }
}

/// Where an ingest pipeline pulls records from.
#[derive(Debug, Clone, PartialEq, JsonSchema)]
#[schemars(rename = "Source", rename_all = "snake_case")]
pub enum SourceConfig {
    /// Files on this machine.
    Files(files::Config),
    /// The rows of a SQL query.
    Query(query::Config),
}

impl SourceConfig {
    /// The sources by the key that a pipeline's `from` names them with.
    pub const KINDS: &[&str] = &["files", "query"];

    /// The key that names this source.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Files(_) => "files",
            Self::Query(_) => "query",
        }
    }

    /// The source that `kind` names, whose settings are the value that `map` has next.
    pub fn read<'de, A: MapAccess<'de>>(kind: &str, map: &mut A) -> Result<Self, A::Error> {
        match kind {
            "files" => map.next_value().map(Self::Files),
            "query" => map.next_value().map(Self::Query),
            other => Err(A::Error::unknown_variant(other, Self::KINDS)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn connection(settings: &str) -> Result<Connection, String> {
        serde_json::from_str(settings).map_err(|error| error.to_string())
    }

    #[test]
    fn the_type_of_a_connection_decides_its_settings() {
        let sqlite = connection(r#"{"type": "sqlite", "path": "warehouse.db"}"#);
        assert!(matches!(sqlite, Ok(Connection::Sqlite(config)) if config.path.ends_with("warehouse.db")));
        let message = connection(r#"{"type": "oracle"}"#).expect_err("no such type");
        assert!(
            message.starts_with("unknown variant `oracle`, expected one of `postgres`, `mysql`, `redshift`, `sqlite`, `lake`, `redis`"),
            "{message}"
        );
        assert!(connection(r#"{"path": "warehouse.db"}"#).expect_err("no type").starts_with("missing field `type`"));
    }

    #[test]
    fn the_schema_of_a_connection_has_its_type() {
        let schema = schemars::schema_for!(Connection);
        let types: Vec<&Value> =
            schema.as_value()["oneOf"].as_array().expect("a choice").iter().map(|one| &one["properties"]["type"]["const"]).collect();
        assert_eq!(types, [&json!("postgres"), &json!("mysql"), &json!("redshift"), &json!("sqlite"), &json!("lake"), &json!("redis")]);
    }

    #[test]
    fn a_connection_shows_no_password() {
        let shown = connection(r#"{"type": "postgres", "host": "h", "database": "d", "user": "u", "password": "hunter2"}"#).expect("reads");
        assert!(!format!("{shown:?}").contains("hunter2"));
    }
}
