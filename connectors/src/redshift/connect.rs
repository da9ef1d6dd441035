//! Connections.

use std::time::Duration;

use millrace_model::{Code, Result};
use millrace_runtime::project::HostAddress;
use millrace_runtime::resilience::{Link, System};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions};

use super::config::Config;
use super::fault::fault;
use crate::postgres::ssl_mode;
use crate::table::quoted;

/// A cluster that was paused takes its time.
static REDSHIFT: System = System {
    name: "Redshift",
    kind: "redshift",
    unavailable: Code::TargetUnavailable,
    connect: Duration::from_secs(30),
    request: Duration::from_mins(15),
};

impl Config {
    /// The way to the cluster.
    pub fn link(&self) -> &Link {
        self.resilience.link(&REDSHIFT)
    }
}

/// Connects as `name`, which shows in the cluster's list of sessions.
pub(super) async fn connect(config: &Config, name: &str) -> Result<PgConnection> {
    let hosts = config.host.addresses(config.port);
    config.link().connect(&hosts, |host| connect_to(config, host, name)).await
}

async fn connect_to(config: &Config, host: &HostAddress, name: &str) -> Result<PgConnection> {
    let failed = |error| fault(&format!("connecting to {host} as {:?}", config.user), error);
    let mut connection = options(config, host, name).connect().await.map_err(failed)?;
    let path = format!("SET search_path TO {}", quoted(&config.schema));
    sqlx::raw_sql(AssertSqlSafe(path)).execute(&mut connection).await.map_err(failed)?;
    Ok(connection)
}

/// Makes the smallest request there is, in a session of its own.
pub(super) async fn probe(config: &Config) -> Result<()> {
    let mut connection = connect(config, "health").await?;
    let answer = sqlx::raw_sql("SELECT 1").execute(&mut connection).await;
    answer.map(drop).map_err(|error| fault("asking whether the cluster is there", error))
}

/// Redshift does not know the setting of digits that PostgreSQL's clients send.
fn options(config: &Config, HostAddress { host, port }: &HostAddress, name: &str) -> PgConnectOptions {
    let mut options = PgConnectOptions::new_without_pgpass()
        .host(host)
        .port(*port)
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
