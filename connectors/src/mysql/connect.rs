//! Connections.

use std::time::Duration;

use millrace_model::{Code, Fault, Result};
use sqlx::ConnectOptions;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlSslMode};

use super::config::Config;
use super::fault::connect_fault;
use crate::postgres::Tls;

/// How long a connection may take to come about.
const CONNECT_WITHIN: Duration = Duration::from_secs(15);

/// - Times are those of UTC, whatever zone the server is in.
/// - A result is read as fast as Kafka takes it: the server waits a day for its client, not a minute.
/// - A lock that does not come is passing trouble.
const SETTINGS: &str = "SET SESSION time_zone = '+00:00', net_write_timeout = 86400, innodb_lock_wait_timeout = 10";

/// Connects with the settings that this module counts on.
pub(super) async fn connect(config: &Config) -> Result<MySqlConnection> {
    let connection = tokio::time::timeout(CONNECT_WITHIN, options(config).connect()).await.map_err(|_| late(config))?;
    let mut connection = connection.map_err(|error| connect_fault(config, error))?;
    sqlx::raw_sql(SETTINGS).execute(&mut connection).await.map_err(|error| connect_fault(config, error))?;
    Ok(connection)
}

fn late(Config { host, port, .. }: &Config) -> Fault {
    Fault::passing(Code::TargetUnavailable, format!("MySQL: connecting to {host}:{port} took longer than {CONNECT_WITHIN:?}"))
}

/// The server's own modes of SQL stay as they are: what a query means is between its author and the server.
fn options(config: &Config) -> MySqlConnectOptions {
    let mut options = MySqlConnectOptions::new()
        .host(&config.host)
        .port(config.port)
        .database(&config.database)
        .username(&config.user)
        .ssl_mode(ssl_mode(config.tls))
        .pipes_as_concat(false)
        .no_engine_substitution(false)
        .timezone(None)
        .disable_statement_logging();
    if let Some(password) = &config.password {
        options = options.password(password.reveal());
    }
    if let Some(ca) = &config.ca {
        options = options.ssl_ca(&**ca);
    }
    options
}

fn ssl_mode(tls: Tls) -> MySqlSslMode {
    match tls {
        Tls::Disable => MySqlSslMode::Disabled,
        Tls::Prefer => MySqlSslMode::Preferred,
        Tls::Require => MySqlSslMode::Required,
        Tls::VerifyCa => MySqlSslMode::VerifyCa,
        Tls::VerifyFull => MySqlSslMode::VerifyIdentity,
    }
}
