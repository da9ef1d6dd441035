//! Which session writes a partition of a pipeline, in the target: whoever takes the partition over ends that session, where it lives.
//!
//! A table of its own, that nobody locks. One that stands in the midst of a round has the table of positions locked, and a locked table of Redshift can't be
//! read: <https://docs.aws.amazon.com/redshift/latest/dg/r_LOCK.html>. Each statement here is a transaction by itself, so none of them waits for one that stands.
//! That a second writer changes nothing is the work of the positions; this is to have its locks away.

use millrace_model::{Code, Fault, Result};
use sqlx::postgres::PgConnection;

use super::literal;
use super::positions::Place;
use super::session::{execute, texts};

/// Their table.
pub(super) const TABLE: &str = "millrace_holders";
/// What makes it.
pub(super) const DEFINITION: &str = "CREATE TABLE IF NOT EXISTS millrace_holders (pipeline varchar(512) NOT NULL, topic varchar(256) NOT NULL, \
     \"partition\" integer NOT NULL, backend_pid integer NOT NULL, backend_start varchar(64) NOT NULL)";

const DOING: &str = "ending the session of a former writer";

/// A session. Numbers of processes come again; with the time of its start it is one.
#[derive(PartialEq, Eq)]
struct Holder {
    pid: String,
    /// As the cluster writes it.
    start: String,
}

impl Holder {
    fn condition(&self) -> String {
        format!("backend_pid = {} AND backend_start = {}", self.pid, literal(&self.start))
    }
}

/// Puts this session in the place of those that had partitions, and ends them. It is there before it has any lock: the next one finds it.
pub(super) async fn replace(connection: &mut PgConnection, places: &[Place]) -> Result<()> {
    let own = own(connection).await?;
    for place in places {
        let found = of(connection, place).await?;
        if !found.contains(&own) {
            let row = format!("{}, {}, {}", place.values, own.pid, literal(&own.start));
            execute(connection, DOING, &format!("INSERT INTO {TABLE} VALUES ({row})")).await?;
        }
        for former in found.iter().filter(|holder| **holder != own) {
            end(connection, former).await?;
            execute(connection, DOING, &format!("DELETE FROM {TABLE} WHERE {} AND {}", place.condition, former.condition())).await?;
        }
    }
    Ok(())
}

/// This session.
async fn own(connection: &mut PgConnection) -> Result<Holder> {
    let pid = texts(connection, DOING, "SELECT pg_backend_pid()").await?.into_iter().flatten().flatten().next();
    let own = live(connection, &pid.unwrap_or_default()).await?;
    own.ok_or_else(|| Fault::passing(Code::TargetUnavailable, "Redshift: stv_sessions does not show the loader's own session"))
}

async fn of(connection: &mut PgConnection, place: &Place) -> Result<Vec<Holder>> {
    let sql = format!("SELECT backend_pid, backend_start FROM {TABLE} WHERE {}", place.condition);
    Ok(texts(connection, DOING, &sql).await?.into_iter().filter_map(holder).collect())
}

fn holder(row: Vec<Option<String>>) -> Option<Holder> {
    let [pid, start] = <[_; 2]>::try_from(row).ok()?;
    Some(Holder { pid: pid?, start: start?.trim().to_owned() })
}

/// The session that lives under a number.
async fn live(connection: &mut PgConnection, pid: &str) -> Result<Option<Holder>> {
    let sql = format!("SELECT process, starttime::varchar FROM stv_sessions WHERE process = {pid}");
    Ok(texts(connection, DOING, &sql).await?.into_iter().find_map(holder))
}

/// Functions of the leader node take no columns, so each session is told by its number.
async fn end(connection: &mut PgConnection, former: &Holder) -> Result<()> {
    if live(connection, &former.pid).await?.as_ref() == Some(former) {
        texts(connection, DOING, &format!("SELECT pg_terminate_backend({})", former.pid)).await?;
    }
    Ok(())
}
