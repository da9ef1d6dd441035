//! How a MySQL or MariaDB database is reached.

use millrace_runtime::project::{Hosts, ProjectPath, Resilience, Secret};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::postgres::Tls;

/// A MySQL or MariaDB database.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Mysql")]
pub struct Config {
    /// The server's name or address, or several with commas between them or as a list, each with a port where it has another
    /// (`db1,db2:3307`): the next one is asked when one does not answer. What loads looks for the one that is not `read_only`.
    pub host: Hosts,
    /// The port of hosts that name none.
    #[serde(default = "standard_port")]
    pub port: u16,
    /// The database.
    pub database: String,
    /// The user; to load, it needs the right to create tables in the database, or the tables must exist.
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
    /// How patient Millrace is with it.
    #[serde(default)]
    pub resilience: Resilience,
}

fn standard_port() -> u16 {
    3306
}
