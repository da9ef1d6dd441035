//! What a server says of itself, and what that means for a load.

use millrace_model::{Code, Fault, Result};
use millrace_runtime::project::HostAddress;
use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, FromRedisValue, InfoDict, RedisError, RedisResult, ServerErrorKind, Value, cmd};

use super::config::Config;
use super::fault::fault;
use super::key::OWN;
use crate::table::Advice;

/// What a server says, as far as the connection's user may ask for it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Server {
    /// Whether it is one node of a cluster.
    is_cluster: bool,
    /// Whether it follows another server, and takes no rows.
    is_replica: bool,
    /// What it does when it is out of memory: `maxmemory-policy`.
    eviction: Option<String>,
    /// Its `appendonly` and `appendfsync`.
    appends: Option<(String, String)>,
}

/// Asks the server.
pub(super) async fn ask(connection: &mut MultiplexedConnection) -> Result<Server> {
    let failed = |error| fault("asking the server for its settings", error);
    let info: Option<InfoDict> = allowed(cmd("INFO").query_async(connection).await).map_err(failed)?;
    let said = |name: &str| info.as_ref().and_then(|info| info.get::<String>(name));
    let is_cluster = said("cluster_enabled").as_deref() == Some("1");
    let is_replica = match said("role") {
        Some(role) => role == "slave",
        None => refuses_writes(connection).await.map_err(failed)?,
    };
    let eviction = said("maxmemory_policy");
    let only = setting(connection, "appendonly").await.map_err(failed)?;
    let fsync = setting(connection, "appendfsync").await.map_err(failed)?;
    Ok(Server { is_cluster, is_replica, eviction, appends: only.zip(fsync) })
}

/// What a server that does not say its role says to a write which changes nothing.
async fn refuses_writes(connection: &mut MultiplexedConnection) -> RedisResult<bool> {
    match allowed::<Value>(cmd("UNLINK").arg(format!("{OWN}leader")).query_async(connection).await) {
        Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly) => Ok(true),
        answer => answer.map(|_| false),
    }
}

async fn setting(connection: &mut MultiplexedConnection, name: &str) -> RedisResult<Option<String>> {
    let answer: Option<Vec<String>> = allowed(cmd("CONFIG").arg("GET").arg(name).query_async(connection).await)?;
    Ok(answer.and_then(|answer| answer.into_iter().nth(1)))
}

/// Nothing where the user may not ask, or where the server has no such command.
fn allowed<T: FromRedisValue>(answer: RedisResult<T>) -> RedisResult<Option<T>> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if is_refusal(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_refusal(error: &RedisError) -> bool {
    match error.kind() {
        ErrorKind::Server(ServerErrorKind::NoPerm) => true,
        ErrorKind::Server(ServerErrorKind::ResponseError) => error.to_string().contains("unknown"),
        _ => false,
    }
}

impl Server {
    /// Whether rows can be loaded into it.
    pub(super) fn check(&self, config: &Config, HostAddress { host, port }: &HostAddress) -> Result<()> {
        if self.is_cluster {
            let message = "is a node of a cluster, whose transactions do not reach over its nodes: name a server of its own";
            return Err(Fault::operator(Code::TargetSchema, format!("Redis: {host}:{port} {message}")));
        }
        if self.is_replica {
            let message = "follows another server and takes no rows: name the one that leads, or wait until this one does";
            return Err(Fault::passing(Code::TargetUnavailable, format!("Redis: {host}:{port} {message}")));
        }
        if config.durable && !self.is_durable() {
            let message = format!(
                "Redis: {host}:{port} is not `durable`: {}; set `appendonly yes` and `appendfsync always` there, or leave `durable` out",
                self.persistence()
            );
            return Err(Fault::operator(Code::TargetSchema, message));
        }
        Ok(())
    }

    /// What its owner should know.
    pub(super) fn advice(&self, config: &Config) -> Vec<Advice> {
        let forgets = (!config.durable && !self.is_durable()).then(|| Advice {
            what: format!("may go back when it crashes, rows and positions together: {}", self.persistence()),
            remedy: "keep the topic's records for longer than that; or set `appendonly yes` and `appendfsync always` there".into(),
        });
        let evicts = self.eviction.as_deref().filter(|policy| policy.starts_with("allkeys")).map(|policy| Advice {
            what: format!("may evict the positions of loads, which then begin anew: maxmemory-policy is {policy}"),
            remedy: "set a volatile policy and give rows a `ttl`, or set noeviction".into(),
        });
        forgets.into_iter().chain(evicts).collect()
    }

    fn is_durable(&self) -> bool {
        self.appends.as_ref().is_some_and(|(only, fsync)| only == "yes" && fsync == "always")
    }

    fn persistence(&self) -> String {
        match &self.appends {
            Some((only, fsync)) => format!("appendonly is {only}, appendfsync is {fsync}"),
            None => "its user may not ask for appendonly and appendfsync".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millrace_model::Retry;
    use serde_json::json;

    fn config(durable: bool) -> Config {
        serde_json::from_value(json!({ "host": "cache", "durable": durable })).expect("reads")
    }

    fn host() -> HostAddress {
        HostAddress { host: "cache".into(), port: 6379 }
    }

    fn server(only: &str, fsync: &str) -> Server {
        Server { appends: Some((only.into(), fsync.into())), eviction: Some("noeviction".into()), ..Server::default() }
    }

    #[test]
    fn a_cluster_is_refused_and_a_replica_is_waited_for() {
        let fault = Server { is_cluster: true, ..Server::default() }.check(&config(false), &host()).expect_err("is refused");
        assert_eq!((fault.code(), fault.retry()), (Code::TargetSchema, Retry::Operator));
        let fault = Server { is_replica: true, ..Server::default() }.check(&config(false), &host()).expect_err("is not ready");
        assert_eq!((fault.code(), fault.retry()), (Code::TargetUnavailable, Retry::BackOff));
    }

    #[test]
    fn a_server_that_is_said_to_be_durable_has_to_be() {
        assert!(server("yes", "always").check(&config(true), &host()).is_ok());
        assert!(server("yes", "everysec").check(&config(false), &host()).is_ok());
        for (only, fsync) in [("no", "always"), ("yes", "everysec")] {
            let fault = server(only, fsync).check(&config(true), &host()).expect_err("is not");
            assert!(fault.message().contains(fsync) && fault.retry() == Retry::Operator, "{fault}");
        }
        let fault = Server::default().check(&config(true), &host()).expect_err("is not known");
        assert!(fault.message().contains("may not ask"), "{fault}");
    }

    #[test]
    fn a_server_that_may_forget_is_told_of() {
        assert!(server("yes", "always").advice(&config(true)).is_empty());
        assert!(server("yes", "everysec").advice(&config(false))[0].what.contains("appendfsync is everysec"));
        let evicting = Server { eviction: Some("allkeys-lru".into()), ..server("yes", "always") };
        assert!(evicting.advice(&config(true))[0].what.contains("allkeys-lru"));
    }
}
