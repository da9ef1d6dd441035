//! How a PostgreSQL database is reached.

use millrace_runtime::project::{Hosts, ProjectPath, Resilience, Secret};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A PostgreSQL database.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Postgres")]
pub struct Config {
    /// The server's name or address, or several with commas between them or as a list, each with a port where it has another
    /// (`db1,db2:5433`): the next one is asked when one does not answer. What loads looks for the one that is no standby.
    pub host: Hosts,
    /// The port of hosts that name none.
    #[serde(default = "standard_port")]
    pub port: u16,
    /// The database.
    pub database: String,
    /// The user; it needs the right to create tables in the schema, or the tables must exist.
    pub user: String,
    /// The user's password.
    #[serde(default)]
    pub password: Option<Secret>,
    /// Whether the connection is encrypted, and what is checked.
    #[serde(default)]
    pub tls: Tls,
    /// A PEM file of the certificate authorities to trust; the system's own without it.
    #[serde(default)]
    pub ca: Option<ProjectPath>,
    /// The schema that tables are in.
    #[serde(default = "public_schema")]
    pub schema: String,
    /// How patient Millrace is with it.
    #[serde(default)]
    pub resilience: Resilience,
}

fn standard_port() -> u16 {
    5432
}

fn public_schema() -> String {
    "public".into()
}

/// Whether a connection is encrypted (libpq's `sslmode`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Tls {
    /// Never.
    Disable,
    /// When the server can.
    #[default]
    Prefer,
    /// Always; the server's certificate is not checked.
    Require,
    /// Always; the certificate must come from a trusted authority.
    VerifyCa,
    /// Always; the certificate must come from a trusted authority and be of this host.
    VerifyFull,
}
