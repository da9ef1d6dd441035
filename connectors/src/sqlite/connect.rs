//! Connections.

use std::time::Duration;

use millrace_model::{Code, Fault, Result};
use sqlx::ConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};

use super::config::Config;
use super::fault::fault;

/// How long a statement waits for another writer; longer is passing trouble.
const BUSY: Duration = Duration::from_secs(10);

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
    options.connect().await.map_err(|error| fault(&format!("opening {}", config.path.display()), error))
}
