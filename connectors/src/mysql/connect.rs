//! Connections.

use std::time::Duration;

use millrace_model::{Code, Fault, Result};
use millrace_runtime::project::HostAddress;
use millrace_runtime::resilience::{Link, System};
use sqlx::ConnectOptions;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlSslMode};

use super::config::Config;
use super::fault::{connect_fault, fault};
use crate::postgres::Tls;
use crate::send_at_once::send_at_once;

/// An answer may take far longer than the largest round does.
static MYSQL: System = System {
    name: "MySQL",
    kind: "mysql",
    unavailable: Code::TargetUnavailable,
    connect: Duration::from_secs(15),
    request: Duration::from_mins(15),
};

/// - Times are those of UTC, whatever zone the server is in.
/// - A result is read as fast as Kafka takes it: the server waits a day for its client, not a minute.
/// - A lock that does not come is passing trouble.
const SETTINGS: &str = "SET SESSION time_zone = '+00:00', net_write_timeout = 86400, innodb_lock_wait_timeout = 10";

/// What a session that loads needs besides:
/// - A value that does not fit is refused, a zero in a column that counts by itself is a zero, and a backslash in a literal is one.
/// - A round sees what others commit meanwhile, and locks the rows that it changes only.
/// - Between rounds a session waits for records, and a statement takes as long as it takes: limits that a server has are not meant for that.
/// - A definition that waits for a table's lock is passing trouble.
const TO_LOAD: &str = "SET SESSION sql_mode = 'NO_BACKSLASH_ESCAPES,STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,\
     ERROR_FOR_DIVISION_BY_ZERO,NO_AUTO_VALUE_ON_ZERO,NO_ENGINE_SUBSTITUTION', autocommit = 1, foreign_key_checks = 1, unique_checks = 1, \
     wait_timeout = 604800, lock_wait_timeout = 10, group_concat_max_len = 16777216 \
     /*M! , max_statement_time = 0, idle_transaction_timeout = 0, idle_write_transaction_timeout = 0, in_predicate_conversion_threshold = 0 */; \
     SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED";

/// Connects to load, or to define tables. Of several hosts the one that takes rows is meant.
pub(super) async fn connect_to_load(config: &Config) -> Result<MySqlConnection> {
    let hosts = config.host.addresses(config.port);
    let several = hosts.len() > 1;
    let open = |host| async move {
        let mut connection = connect_to(config, host).await?;
        sqlx::raw_sql(TO_LOAD).execute(&mut connection).await.map_err(|error| connect_fault(config, host, error))?;
        if several {
            is_writable(&mut connection, host).await?;
        }
        Ok(connection)
    };
    config.link().connect(&hosts, open).await
}

/// That a host is a replica passes: it is promoted, or another one is asked. `super_read_only` implies `read_only`, which MariaDB 12 has
/// words for (`OFF`, `ON`, `NO_LOCK`, …) and others numbers.
async fn is_writable(connection: &mut MySqlConnection, host: &HostAddress) -> Result<()> {
    let read_only = sqlx::query_scalar("SELECT CAST(@@GLOBAL.read_only AS CHAR) NOT IN ('0', 'OFF')").fetch_one(connection).await;
    if read_only.map_err(|error| fault("asking whether the server is a replica", error))? {
        return Err(Fault::passing(Code::TargetUnavailable, format!("MySQL: {host} is read-only, and takes no rows")));
    }
    Ok(())
}

impl Config {
    /// The way to the database.
    pub fn link(&self) -> &Link {
        self.resilience.link(&MYSQL)
    }
}

/// Connects with the settings that this module counts on.
pub(super) async fn connect(config: &Config) -> Result<MySqlConnection> {
    let hosts = config.host.addresses(config.port);
    config.link().connect(&hosts, |host| connect_to(config, host)).await
}

async fn connect_to(config: &Config, host: &HostAddress) -> Result<MySqlConnection> {
    let mut connection = options(config, host).connect().await.map_err(|error| connect_fault(config, host, error))?;
    send_at_once(host.port);
    sqlx::raw_sql(SETTINGS).execute(&mut connection).await.map_err(|error| connect_fault(config, host, error))?;
    Ok(connection)
}

/// Makes the smallest request there is, in a session of its own.
pub(super) async fn probe(config: &Config) -> Result<()> {
    let mut connection = connect(config).await?;
    let answer = sqlx::raw_sql("SELECT 1").execute(&mut connection).await;
    answer.map(drop).map_err(|error| fault("asking whether the server is there", error))
}

/// The server's own modes of SQL stay as they are: what a query means is between its author and the server.
fn options(config: &Config, HostAddress { host, port }: &HostAddress) -> MySqlConnectOptions {
    let mut options = MySqlConnectOptions::new()
        .host(host)
        .port(*port)
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
