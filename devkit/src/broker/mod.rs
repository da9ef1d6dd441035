//! The development broker: the Kafka protocol over TCP, one node, on loopback.
//!
//! It stands in for Apache Kafka on a laptop and in tests: produce (idempotent and transactional), fetch with isolation levels, consumer groups
//! of the classic protocol with static members, transactions with fencing and timeouts, topics and their settings. Records are kept in
//! memory, or in segment files that are opened again. One suite (`tests/compatibility`) runs against it and against Apache Kafka.
//!
//! It is no product: no replication, no security, no compaction, and records never expire.

mod api;
mod groups;
mod journal;
mod log;
mod server;
mod state;
mod topic_configs;
mod topics;
mod transactions;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use state::Broker;

/// How a broker is started.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where it listens: an address of the loopback interface; port 0 picks a free one.
    pub addr: SocketAddr,
    /// Where records and everything else are kept; `None`: in memory.
    pub data_dir: Option<PathBuf>,
    /// Whether a topic is created when a client that allows it asks for its metadata.
    pub auto_create_topics: bool,
    /// Partitions of a topic that is created without a number of its own; at least 1.
    pub default_partitions: i32,
}

impl Default for Config {
    /// On a free port, in memory, topics of one partition created on demand.
    fn default() -> Self {
        Self { addr: SocketAddr::from(([127, 0, 0, 1], 0)), data_dir: None, auto_create_topics: true, default_partitions: 1 }
    }
}

/// Why a broker can't be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address is not of the loopback interface.
    #[error("the development broker has no security and listens on loopback only, not on {0}; beyond this machine use Apache Kafka")]
    NotLoopback(SocketAddr),
    /// Another process listens there.
    #[error("can't listen on {addr}; choose another port, or 0 for a free one")]
    Listen {
        /// Where it should listen.
        addr: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// Another broker has the data directory.
    #[error("{0} is in use by another development broker; stop that one or choose another directory")]
    InUse(PathBuf),
    /// The data directory holds records, but not the journal that says which topics they belong to.
    #[error(
        "{0} holds the records of topics, but its journal.jsonl is lost or empty; put the journal back, or remove the directory to begin anew"
    )]
    NoJournal(PathBuf),
    /// The data directory can't be read or written.
    #[error("the data directory {path} can't be opened")]
    DataDir {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// A broker that runs. Dropping it, or [`Running::stop`], ends it.
#[derive(Debug)]
pub struct Running {
    /// Where it listens; clients bootstrap from here.
    pub addr: SocketAddr,
    task: JoinHandle<()>,
    stop: DropGuard,
}

impl Running {
    /// Ends it, and waits until its connections are closed and its data directory is free.
    pub async fn stop(self) {
        drop(self.stop);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the development broker did not end well");
        }
    }
}

/// Starts a broker on the caller's runtime.
pub async fn start(config: Config) -> Result<Running, Error> {
    if !config.addr.ip().is_loopback() {
        return Err(Error::NotLoopback(config.addr));
    }
    let refused = |source| Error::Listen { addr: config.addr, source };
    let listener = TcpListener::bind(config.addr).await.map_err(refused)?;
    let addr = listener.local_addr().map_err(refused)?;
    let broker = Arc::new(Broker::open(Config { addr, ..config })?);
    let stop = CancellationToken::new();
    let task = tokio::spawn(server::run(broker, listener, stop.clone()));
    Ok(Running { addr, task, stop: stop.drop_guard() })
}
