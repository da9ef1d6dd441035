//! The name that a loading session goes by, and the end of the sessions that had its partitions before.
//!
//! A session takes a lock of that name (`GET_LOCK`), which the server gives back when the session has ended, however that came about. So whoever
//! knows the name finds out whether the session lives and which connection it is (`IS_USED_LOCK`), and ends it (`KILL`). Numbers of connections
//! come again when a server has been restarted; names never do.

use std::time::Duration;

use millrace_model::{Code, Fault, Result};
use sqlx::AssertSqlSafe;
use sqlx::mysql::MySqlConnection;
use tokio::time::Instant;
use uuid::Uuid;

use super::fault::{fault, number};

/// How long an ended session may take to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// There is no such connection (any more).
const NO_SUCH_CONNECTION: u16 = 1094;

/// A session's name, which no other has had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lease(String);

impl Lease {
    /// Names the session of the connection.
    pub(super) async fn take(connection: &mut MySqlConnection) -> Result<Self> {
        let name = format!("millrace {}", Uuid::new_v4());
        let taken: Result<Option<i64>, _> =
            sqlx::query_scalar("SELECT CAST(GET_LOCK(?, 0) AS SIGNED)").bind(&name).fetch_one(connection).await;
        match taken.map_err(|error| fault("naming a session", error))? {
            Some(1) => Ok(Self(name)),
            _ => Err(Fault::passing(Code::TargetUnavailable, "MySQL: the server did not give the lock that names a session")),
        }
    }

    /// Its name.
    pub(super) fn name(&self) -> &str {
        &self.0
    }
}

/// Ends sessions, by their names, and waits until they are gone.
pub(super) async fn end(connection: &mut MySqlConnection, sessions: &[String], pipeline: &str) -> Result<()> {
    let deadline = Instant::now() + GONE_WITHIN;
    for session in sessions {
        while let Some(id) = living(connection, session).await? {
            kill(connection, id).await?;
            if Instant::now() > deadline {
                let message = format!("MySQL: a former writer of {pipeline} does not end its session; waiting");
                return Err(Fault::passing(Code::TargetUnavailable, message));
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
    Ok(())
}

/// The number of the connection that a session has, while it lives.
async fn living(connection: &mut MySqlConnection, session: &str) -> Result<Option<i64>> {
    let found = sqlx::query_scalar("SELECT CAST(IS_USED_LOCK(?) AS SIGNED)").bind(session).fetch_one(connection).await;
    found.map_err(|error| fault("looking for the session of a former writer", error))
}

async fn kill(connection: &mut MySqlConnection, id: i64) -> Result<()> {
    match sqlx::raw_sql(AssertSqlSafe(format!("KILL CONNECTION {id}"))).execute(connection).await {
        Err(error) if number(&error) != Some(NO_SUCH_CONNECTION) => Err(fault("ending the session of a former writer", error)),
        _ => Ok(()),
    }
}
