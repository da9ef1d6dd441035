//! The development registry: Confluent's schema registry API over HTTP, for Avro.
//!
//! What it keeps from Confluent's: the paths, bodies and error codes that producers, consumers and command-line tools use,
//! versions and ids that never change their meaning, and compatibility by Avro's rules. What it has not: other
//! schema types, references between subjects, modes, users.
//!
//! Paths and codes are those of <https://docs.confluent.io/platform/current/schema-registry/develop/api.html>.

mod answer;
mod api;
mod compatibility;
mod keep;
mod store;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Where a development registry listens and what it keeps.
#[derive(Debug, Clone)]
pub struct Config {
    /// The address; port 0 picks a free one.
    pub addr: SocketAddr,
    /// A folder that keeps the schemas in a file, `registry.json`; in memory only when there is none.
    pub data_dir: Option<PathBuf>,
}

/// Why a development registry did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is taken, or not of this machine.
    #[error("the development registry can't listen on {addr}")]
    Listen {
        /// The address asked for.
        addr: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The file of schemas can't be read or written.
    #[error("the development registry can't use {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// A development registry that is serving. Dropping it ends it.
#[derive(Debug)]
pub struct Running {
    addr: SocketAddr,
    stop: CancellationToken,
    serving: Option<JoinHandle<()>>,
}

impl Running {
    /// The address that it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Ends it after the requests it is answering.
    pub async fn stop(mut self) {
        self.stop.cancel();
        if let Some(serving) = self.serving.take()
            && let Err(error) = serving.await
        {
            tracing::warn!(%error, "the development registry ended badly");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(serving) = &self.serving {
            serving.abort();
        }
    }
}

/// Starts a development registry; it serves when this returns.
///
/// # Errors
/// [`Error`] when it can't listen, or can't read what it kept.
pub async fn start(config: Config) -> Result<Running, Error> {
    let kept = keep::Kept::open(config.data_dir).await?;
    let listen = |source| Error::Listen { addr: config.addr, source };
    let listener = TcpListener::bind(config.addr).await.map_err(listen)?;
    let addr = listener.local_addr().map_err(listen)?;
    let stop = CancellationToken::new();
    let server = axum::serve(listener, api::router(kept)).with_graceful_shutdown(stop.clone().cancelled_owned());
    let serving = tokio::spawn(async move {
        if let Err(error) = server.await {
            tracing::error!(%error, "the development registry ended");
        }
    });
    Ok(Running { addr, stop, serving: Some(serving) })
}
