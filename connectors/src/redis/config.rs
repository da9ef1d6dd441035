//! How a Redis server is reached, and how rows are kept in it.

use millrace_runtime::project::{Hosts, Millis, ProjectPath, Resilience, Secret};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A Redis server, or one that speaks its protocol, such as Valkey. A cluster is refused: a round is one transaction, and those do not
/// reach over the nodes of a cluster.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Redis")]
pub struct Config {
    /// The server's name or address, or several with commas between them or as a list, each with a port where it has another
    /// (`cache1,cache2:6380`): the next one is asked when one does not answer, or follows another.
    pub host: Hosts,
    /// The port of hosts that name none.
    #[serde(default = "standard_port")]
    pub port: u16,
    /// The number of the database.
    #[serde(default)]
    pub database: u16,
    /// The user; without one the password is that of the user `default`.
    #[serde(default)]
    pub user: Option<String>,
    /// The user's password.
    #[serde(default)]
    pub password: Option<Secret>,
    /// Whether the connection is encrypted, and what is checked.
    #[serde(default)]
    pub tls: Tls,
    /// A PEM file of the certificate authorities to trust; the system's own without it.
    #[serde(default)]
    pub ca: Option<ProjectPath>,
    /// That the server has every commit on disk before it answers (`appendonly yes`, `appendfsync always`). It is asked for its settings
    /// before rows are loaded, and loading halts where they are others. Without it the server may go back by seconds when it crashes:
    /// rows and positions together, and they are loaded again from the topic.
    #[serde(default)]
    pub durable: bool,
    /// How patient Millrace is with it.
    #[serde(default)]
    pub resilience: Resilience,
}

fn standard_port() -> u16 {
    6379
}

/// Whether a connection is encrypted. The server listens for TLS on a port of its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "RedisTls")]
pub enum Tls {
    /// It is not.
    #[default]
    Disable,
    /// It is; nothing is checked.
    Require,
    /// It is, and the server's certificate is checked.
    VerifyCa,
    /// It is, and the server's certificate and name are checked.
    VerifyFull,
}

/// How the rows of a table are kept in Redis.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RedisRows")]
pub struct Rows {
    /// What the value of a row's key is.
    #[serde(default, rename = "as")]
    pub form: Form,
    /// The key of a row, with each of `keys` in braces: `customer:{id}`. `{{` and `}}` stand for the braces themselves. Without it: the
    /// table's name and the values of `keys`, with colons between them.
    #[serde(default)]
    pub key: Option<String>,
    /// How long a row stays after it was last written; for ever without it.
    #[serde(default)]
    pub ttl: Option<Millis>,
}

/// What the value of a row's key is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "RedisForm")]
pub enum Form {
    /// A hash with a field for each column that is not null.
    #[default]
    Hash,
    /// A string: the row as a JSON object.
    Json,
    /// A string: the value of one column.
    Column(String),
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json};

    #[test]
    fn a_row_is_a_hash_unless_it_is_said_otherwise() {
        assert_eq!(from_value::<Rows>(json!({})).expect("reads"), Rows::default());
        let rows: Rows = from_value(json!({ "as": { "column": "payload" }, "ttl": "2h" })).expect("reads");
        assert_eq!((rows.form, rows.ttl), (Form::Column("payload".into()), Some(Millis::new(7_200_000))));
        assert_eq!(from_value::<Rows>(json!({ "as": "json" })).expect("reads").form, Form::Json);
        assert!(from_value::<Rows>(json!({ "as": "list" })).is_err());
    }
}
