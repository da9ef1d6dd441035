//! What is to be destroyed: told by name, and by nothing else.

use std::str::FromStr;

use millrace_connectors::{Connection, Relation};
use millrace_model::{Code, Fault, Result};
use millrace_runtime::kafka::{Cluster, topics};
use millrace_runtime::own_topics::is_own;

/// What someone named: `topic:NAME`, `table:NAME` or `table:CONNECTION/NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destroy {
    /// A topic.
    Topic(String),
    /// A table, in the named connection or the project's only one.
    Table {
        /// The connection.
        connection: Option<String>,
        /// The table.
        table: String,
    },
}

/// What is destroyed, its place known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doomed {
    /// A topic.
    Topic(String),
    /// A table.
    Table {
        /// The connection's name.
        connection: String,
        /// The table.
        table: String,
    },
}

impl FromStr for Destroy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = |name: &str| if name.is_empty() { None } else { Some(name.to_owned()) };
        let parsed = match text.split_once(':') {
            Some(("topic", name)) => named(name).map(Self::Topic),
            Some(("table", name)) => {
                let (connection, table) = name.split_once('/').map_or((None, name), |(connection, table)| (named(connection), table));
                named(table).map(|table| Self::Table { connection, table })
            }
            _ => None,
        };
        parsed.ok_or_else(|| "expected topic:NAME, table:NAME or table:CONNECTION/NAME".to_owned())
    }
}

impl Destroy {
    /// What it means in a project of these connections.
    ///
    /// # Errors
    /// [`Code::ProjectFlow`], for an operator, when it does not say which connection, or names what exactly-once rests on.
    pub fn resolve(&self, connections: &[&str]) -> Result<Doomed> {
        match self {
            Self::Topic(topic) if is_own(topic) || topic.starts_with("__") => {
                let message = format!("the topic {topic} holds what has been done: without it records would be lost or doubled");
                Err(Fault::operator(Code::ProjectFlow, message))
            }
            Self::Topic(topic) => Ok(Doomed::Topic(topic.clone())),
            Self::Table { connection, table } => {
                let connection = chosen(connection.as_deref(), connections)?;
                Ok(Doomed::Table { connection, table: table.clone() })
            }
        }
    }
}

fn chosen(wanted: Option<&str>, connections: &[&str]) -> Result<String> {
    let known = connections.join(", ");
    match (wanted, connections) {
        (Some(wanted), _) if connections.contains(&wanted) => Ok(wanted.to_owned()),
        (Some(wanted), _) => Err(Fault::operator(Code::ProjectFlow, format!("the project has no connection {wanted}; it has: {known}"))),
        (None, [only]) => Ok((*only).to_owned()),
        (None, _) => {
            Err(Fault::operator(Code::ProjectFlow, format!("say which connection the table is in, as table:CONNECTION/NAME: {known}")))
        }
    }
}

impl Doomed {
    /// Whether it is still there. `connection` finds a connection by its name.
    pub async fn exists(&self, cluster: &Cluster, connection: impl Fn(&str) -> Option<Connection>) -> Result<bool> {
        match self {
            Self::Topic(topic) => Ok(!topics::describe(cluster, std::slice::from_ref(topic)).await?.is_empty()),
            Self::Table { connection: name, table } => {
                let Some(connection) = connection(name) else { return Ok(false) };
                match connection.describe(Relation::Table(table)).await {
                    Ok(_) => Ok(true),
                    // It is there, with columns that Avro has no type for.
                    Err(fault) if fault.code() == Code::SchemaUnsupported => Ok(true),
                    Err(fault) if fault.code() == Code::TargetSchema => Ok(false),
                    Err(fault) => Err(fault),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_be_destroyed_is_told_by_kind_and_name() {
        assert_eq!("topic:a.b".parse(), Ok(Destroy::Topic("a.b".into())));
        let table = Destroy::Table { connection: Some("shop".into()), table: "orders".into() };
        assert_eq!("table:shop/orders".parse(), Ok(table));
        for wrong in ["orders", "topic:", "table:shop/", "subject:orders-value"] {
            assert!(wrong.parse::<Destroy>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_table_is_in_the_only_connection_or_in_the_named_one() {
        let table: Destroy = "table:orders".parse().expect("reads");
        assert_eq!(table.resolve(&["shop"]).expect("is clear"), Doomed::Table { connection: "shop".into(), table: "orders".into() });
        assert!(table.resolve(&["shop", "lake"]).is_err());
        assert!("table:lke/orders".parse::<Destroy>().expect("reads").resolve(&["shop", "lake"]).is_err());
    }

    #[test]
    fn what_exactly_once_rests_on_is_not_destroyed() {
        for topic in ["millrace.positions", "millrace.gateways", "millrace.dead-letters.resolved", "__consumer_offsets"] {
            assert!(Destroy::Topic(topic.into()).resolve(&[]).is_err(), "{topic}");
        }
    }
}
