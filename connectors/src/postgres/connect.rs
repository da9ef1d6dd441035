//! Connections.

use std::time::Duration;

use millrace_model::{Code, Fault, Result};
use millrace_runtime::project::HostAddress;
use millrace_runtime::resilience::{Link, System};
use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};

use super::config::{Config, Tls};
use super::fault::{connect_fault, fault};
use crate::send_at_once::send_at_once;

/// An answer may take far longer than the largest round does.
static POSTGRES: System = System {
    name: "PostgreSQL",
    kind: "postgres",
    unavailable: Code::TargetUnavailable,
    connect: Duration::from_secs(15),
    request: Duration::from_mins(15),
};

/// - A lock that does not come is passing trouble, and the next claim looks for its holder.
/// - A server that finds its client gone ends the session within a minute and a half.
/// - Nothing reads what the server says during a COPY: a trigger's warnings would fill the way back until neither side could go on.
/// - A COPY lasts as long as its round, and between rounds a session waits for records: limits that a user or a database has
///   are not meant for that. Older servers do not know all of them.
/// - A merge sorts the rows of its round by key, which takes less than 64 MB: in memory, where the server's usual 4 MB would have it write them to disk.
const SETTINGS: &str = "SET lock_timeout = '10s'; \
     SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 6; \
     SET client_min_messages = error; \
     SELECT set_config('work_mem', '64MB', false) WHERE pg_size_bytes(current_setting('work_mem')) < 67108864; \
     SELECT set_config(name, '0', false) FROM pg_settings \
     WHERE name IN ('statement_timeout', 'transaction_timeout', 'idle_in_transaction_session_timeout', 'idle_session_timeout')";

/// What a session is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// It reads: a standby is as good.
    Read,
    /// It writes: of several hosts the primary is meant.
    Write,
}

impl Config {
    /// The way to the database.
    pub fn link(&self) -> &Link {
        self.resilience.link(&POSTGRES)
    }
}

/// Connects as `name`, which shows in `pg_stat_activity`.
pub(super) async fn connect(config: &Config, name: &str, access: Access) -> Result<PgConnection> {
    let hosts = config.host.addresses(config.port);
    let several = hosts.len() > 1;
    let open = |host| async move {
        let mut connection = connect_to(config, host, name).await?;
        if several && access == Access::Write {
            is_writable(&mut connection, host).await?;
        }
        Ok(connection)
    };
    config.link().connect(&hosts, open).await
}

async fn connect_to(config: &Config, host: &HostAddress, name: &str) -> Result<PgConnection> {
    let mut connection = options(config, host, name).connect().await.map_err(|error| connect_fault(config, host, error))?;
    send_at_once(host.port);
    sqlx::raw_sql(SETTINGS).execute(&mut connection).await.map_err(|error| connect_fault(config, host, error))?;
    Ok(connection)
}

/// That a host is a standby passes: it is promoted, or another one is asked. So does that it is set to read only, as some fail-overs have it
/// (libpq's `target_session_attrs=read-write`).
async fn is_writable(connection: &mut PgConnection, host: &HostAddress) -> Result<()> {
    let asked = "SELECT pg_is_in_recovery() OR current_setting('default_transaction_read_only')::boolean";
    let read_only = sqlx::query_scalar(asked).fetch_one(connection).await;
    if read_only.map_err(|error| fault("asking whether the server is a standby", error))? {
        return Err(Fault::passing(Code::TargetUnavailable, format!("PostgreSQL: {host} is a standby, or read-only, and takes no rows")));
    }
    Ok(())
}

/// Makes the smallest request there is, in a session of its own.
pub(super) async fn probe(config: &Config) -> Result<()> {
    let mut connection = connect(config, "health", Access::Read).await?;
    let answer = sqlx::raw_sql("SELECT 1").execute(&mut connection).await;
    answer.map(drop).map_err(|error| fault("asking whether the server is there", error))
}

fn options(config: &Config, HostAddress { host, port }: &HostAddress, name: &str) -> PgConnectOptions {
    let mut options = PgConnectOptions::new_without_pgpass()
        .host(host)
        .port(*port)
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
