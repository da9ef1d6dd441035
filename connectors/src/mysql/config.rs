//! How a MySQL or MariaDB database is reached.

use millrace_runtime::project::{ProjectPath, Secret};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::postgres::Tls;

/// A MySQL or MariaDB database.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Mysql")]
pub struct Config {
    /// The server's name or address.
    pub host: String,
    /// The server's port.
    #[serde(default = "standard_port")]
    pub port: u16,
    /// The database.
    pub database: String,
    /// The user.
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
}

fn standard_port() -> u16 {
    3306
}
