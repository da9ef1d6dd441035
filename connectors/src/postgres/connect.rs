//! Connections.

use std::time::Duration;

use millrace_model::{Code, Fault, Result};
use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};

use super::config::{Config, Tls};
use super::fault::connect_fault;

/// How long a connection may take to come about.
const CONNECT_WITHIN: Duration = Duration::from_secs(15);

/// - A lock that does not come is passing trouble, and the next claim looks for its holder.
/// - A server that finds its client gone ends the session within a minute and a half.
/// - Nothing reads what the server says during a COPY: a trigger's warnings would fill the way back until neither side could go on.
/// - A COPY lasts as long as its round, and between rounds a session waits for records: limits that a user or a database has
///   are not meant for that. Older servers do not know all of them.
const SETTINGS: &str = "SET lock_timeout = '10s'; \
     SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 6; \
     SET client_min_messages = error; \
     SELECT set_config(name, '0', false) FROM pg_settings \
     WHERE name IN ('statement_timeout', 'transaction_timeout', 'idle_in_transaction_session_timeout', 'idle_session_timeout')";

/// Connects as `name`, which shows in `pg_stat_activity`.
pub(super) async fn connect(config: &Config, name: &str) -> Result<PgConnection> {
    let connection = tokio::time::timeout(CONNECT_WITHIN, options(config, name).connect()).await.map_err(|_| late(config))?;
    let mut connection = connection.map_err(|error| connect_fault(config, error))?;
    sqlx::raw_sql(SETTINGS).execute(&mut connection).await.map_err(|error| connect_fault(config, error))?;
    Ok(connection)
}

fn late(Config { host, port, .. }: &Config) -> Fault {
    Fault::passing(Code::TargetUnavailable, format!("PostgreSQL: connecting to {host}:{port} took longer than {CONNECT_WITHIN:?}"))
}

fn options(config: &Config, name: &str) -> PgConnectOptions {
    let mut options = PgConnectOptions::new_without_pgpass()
        .host(&config.host)
        .port(config.port)
        .database(&config.database)
        .username(&config.user)
        .application_name(&format!("millrace {name}"))
        .ssl_mode(ssl_mode(config.tls))
        .disable_statement_logging();
    if let Some(password) = &config.password {
        options = options.password(password.reveal());
    }
    if let Some(ca) = &config.ca {
        options = options.ssl_root_cert(&**ca);
    }
    options
}

pub(crate) fn ssl_mode(tls: Tls) -> PgSslMode {
    match tls {
        Tls::Disable => PgSslMode::Disable,
        Tls::Prefer => PgSslMode::Prefer,
        Tls::Require => PgSslMode::Require,
        Tls::VerifyCa => PgSslMode::VerifyCa,
        Tls::VerifyFull => PgSslMode::VerifyFull,
    }
}
