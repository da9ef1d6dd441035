//! Connections.

use std::time::Duration;

use millrace_model::{Code, Fault, Result};
use millrace_runtime::project::ProjectPath;
use millrace_runtime::resilience::{Link, System};
use sqlx::ConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};

use super::config::Config;
use super::fault::fault;

/// A file needs no connection; its disk may be far away, and a statement may be long.
static SQLITE: System = System {
    name: "SQLite",
    kind: "sqlite",
    unavailable: Code::TargetUnavailable,
    connect: Duration::from_secs(30),
    request: Duration::from_mins(15),
};

/// The pages that a writer keeps, in KiB, negative as the pragma wants it: rows come in the order of their topic's partitions, so that they go all over the
/// end of an index; with the 2 MiB that SQLite keeps by itself most pages are written and read many times in one transaction.
const CACHE: &str = "-16384";
/// How long a statement waits for another writer; longer is passing trouble.
const BUSY: Duration = Duration::from_secs(10);

impl Config {
    /// The way to the database.
    pub fn link(&self) -> &Link {
        self.resilience.link(&SQLITE)
    }
}

/// Opens the database to write, and makes it when it does not exist.
pub(super) async fn connect(config: &Config) -> Result<SqliteConnection> {
    if let Some(folder) = config.path.parent() {
        let made = tokio::fs::create_dir_all(folder).await;
        made.map_err(|error| {
            Fault::operator(Code::TargetDenied, format!("SQLite: the folder {} can't be made", folder.display())).because(error)
        })?;
    }
    // Done is durable: in WAL mode anything less may lose the last commits when the machine fails.
    let options = options(config).create_if_missing(true).journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full);
    let options = options.pragma("cache_size", CACHE);
    open(config, &options).await
}

/// Opens the database to read.
pub(super) async fn connect_read_only(config: &Config) -> Result<SqliteConnection> {
    open(config, &options(config).read_only(true)).await
}

fn options(config: &Config) -> SqliteConnectOptions {
    SqliteConnectOptions::new().filename(&*config.path).busy_timeout(BUSY).disable_statement_logging()
}

async fn open(config: &Config, options: &SqliteConnectOptions) -> Result<SqliteConnection> {
    let open = |path: &'_ ProjectPath| {
        let doing = format!("opening {}", path.display());
        async move { options.connect().await.map_err(|error| fault(&doing, error)) }
    };
    config.link().connect(std::slice::from_ref(&config.path), open).await
}

/// Makes the smallest request there is. A file that does not exist yet is none that is away: the load makes it.
pub(super) async fn probe(config: &Config) -> Result<()> {
    if !config.path.exists() {
        return Ok(());
    }
    let mut connection = connect_read_only(config).await?;
    let answer = sqlx::raw_sql("SELECT 1").execute(&mut connection).await;
    answer.map(drop).map_err(|error| fault("asking whether the database is there", error))
}
