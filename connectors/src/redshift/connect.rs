//! Connections.

use std::time::Duration;

use millrace_model::{Code, Fault, Result};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions};

use super::config::Config;
use super::fault::fault;
use crate::postgres::ssl_mode;
use crate::table::quoted;

/// How long a connection may take to come about.
const CONNECT_WITHIN: Duration = Duration::from_secs(30);

/// Connects as `name`, which shows in the cluster's list of sessions.
pub(super) async fn connect(config: &Config, name: &str) -> Result<PgConnection> {
    let Config { host, port, user, .. } = config;
    let late =
        |_| Fault::passing(Code::TargetUnavailable, format!("Redshift: connecting to {host}:{port} took longer than {CONNECT_WITHIN:?}"));
    let connection = tokio::time::timeout(CONNECT_WITHIN, options(config, name).connect()).await.map_err(late)?;
    let failed = |error| fault(&format!("connecting to {host}:{port} as {user:?}"), error);
    let mut connection = connection.map_err(failed)?;
    let path = format!("SET search_path TO {}", quoted(&config.schema));
    sqlx::raw_sql(AssertSqlSafe(path)).execute(&mut connection).await.map_err(failed)?;
    Ok(connection)
}

/// Redshift does not know the setting of digits that PostgreSQL's clients send.
fn options(config: &Config, name: &str) -> PgConnectOptions {
    let mut options = PgConnectOptions::new_without_pgpass()
        .host(&config.host)
        .port(config.port)
        .database(&config.database)
        .username(&config.user)
        .application_name(&format!("millrace {name}"))
        .extra_float_digits(None)
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
