//! Connections that need no server: what `millrace dev` loads into.

use std::path::Path;

use crate::config::Connection;
use crate::sqlite;

impl Connection {
    /// A warehouse in a file of this machine.
    pub fn embedded(path: &Path) -> Self {
        Self::Sqlite(sqlite::Config::at(path))
    }

    /// Whether it needs no server.
    pub fn is_embedded(&self) -> bool {
        matches!(self, Self::Sqlite(_))
    }

    /// Where it is, for people; without credentials.
    pub fn place(&self) -> String {
        match self {
            Self::Postgres(config) => format!("postgresql://{}/{}", config.host, config.database),
            Self::Mysql(config) => format!("mysql://{}/{}", config.host, config.database),
            Self::Redshift(config) => format!("redshift://{}/{}", config.host, config.database),
            Self::Sqlite(config) => config.path.display().to_string(),
            Self::Lake(config) => config.url.as_str().to_owned(),
            Self::Redis(config) => format!("redis://{}/{}", config.host, config.database),
        }
    }
}
