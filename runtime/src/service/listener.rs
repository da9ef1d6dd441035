//! HTTP/1.1 served to whoever connects, within limits: what listens outlives those who mean harm.
//!
//! `axum::serve` has no limits. hyper refuses what is no request (RFC 9112: lengths that contradict each other, folded
//! headers, a bare CR); what is left to a server is done here:
//!
//! - no more connections than a number, and never more than a share of the files that the process may open. Who comes later waits in
//!   the system's queue, and so does everybody while the process has no file left;
//! - a time for the head of a request, which is also how long a connection may stand idle between two;
//! - a size for the head, and for what is kept of a connection before it is read;
//! - a peer that takes no bytes of an answer is cut off by the system (`TCP_USER_TIMEOUT`);
//! - a request of HTTP/1.1 names one host (RFC 9112, 3.2);
//! - a request with a `Transfer-Encoding` is the last of its connection. hyper takes a `Content-Length` beside it away without a trace,
//!   and what a proxy counts otherwise must not be read as another sender's request (RFC 9112, 6.1 and 11.2).

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Version, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tracing::{debug, info, warn};

use super::Shutdown;
use super::files::allowed_files;

/// The largest head of a request, its line included; hyper takes up to 100 headers.
const HEAD: usize = 64 << 10;
/// What is kept at most of what a peer has sent and nobody has read yet.
const BUFFER: usize = 128 << 10;
/// How long a peer may take no bytes of an answer.
const UNREAD: Duration = Duration::from_mins(1);
/// After an error that a new try at once would meet again, such as too many open files.
const PAUSE: Duration = Duration::from_millis(200);

/// How often trouble in accepting is told while it lasts.
const TELLING: Duration = Duration::from_mins(1);

/// What those who connect are granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How many connections there are at once.
    pub connections: usize,
    /// Of the files that the process may open, one in so many may be such a connection: the rest is for what the process itself connects to.
    pub one_file_in: usize,
    /// How long the head of a request may take to arrive, and how long a connection may stand idle.
    pub head: Duration,
}

impl Limits {
    /// Of health and metrics: there are few who ask, and each asks little.
    pub(super) const ADMIN: Self = Self { connections: 256, one_file_in: 16, head: Duration::from_secs(10) };

    /// How many connections there may be in a process that may open so many files.
    pub fn connections_of(self, files: usize) -> usize {
        self.connections.min(files / self.one_file_in.max(1)).max(1)
    }
}

/// Serves `router` to those who connect to `listener` until the shutdown; then the requests that are being served are answered.
/// Dropped, it breaks them off. Never fails: a connection's trouble is its own.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, shutdown: Shutdown) {
    let router = router.layer(from_fn(guarded));
    let room = Arc::new(Semaphore::new(limits.connections_of(allowed_files())));
    let (mut connections, mut trouble) = (JoinSet::new(), Trouble::default());
    while let Some((stream, permit)) = shutdown.or(accepted(&listener, &room, &mut trouble)).await {
        while connections.try_join_next().is_some() {}
        connections.spawn(connection(stream, router.clone(), limits.head, shutdown.clone(), permit));
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// The next connection, once there is room for it.
async fn accepted(listener: &TcpListener, room: &Arc<Semaphore>, trouble: &mut Trouble) -> (TcpStream, Option<OwnedSemaphorePermit>) {
    // It is never closed.
    let permit = Arc::clone(room).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                trouble.ends();
                return (stream, permit);
            }
            Err(error) if is_the_peers(error.kind()) => {}
            Err(error) => {
                trouble.goes_on(&error);
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Nobody can be accepted: told when it begins, now and then while it lasts, and when it is over.
#[derive(Debug, Default)]
struct Trouble {
    told: Option<Instant>,
}

impl Trouble {
    fn goes_on(&mut self, error: &std::io::Error) {
        if self.told.is_none_or(|told| told.elapsed() >= TELLING) {
            self.told = Some(Instant::now());
            warn!(%error, "no connection can be accepted; who connects waits");
        }
    }

    fn ends(&mut self) {
        if self.told.take().is_some() {
            info!("connections are accepted again");
        }
    }
}

/// Whether the peer of one connection was gone before it was accepted.
fn is_the_peers(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::ConnectionRefused | ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset)
}

async fn connection(stream: TcpStream, router: Router, head: Duration, shutdown: Shutdown, permit: Option<OwnedSemaphorePermit>) {
    if let Err(error) = prepare(&stream) {
        debug!(%error, "a connection ended as it began");
        return;
    }
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(head).max_header_size(HEAD).max_buf_size(BUFFER);
    let mut served = std::pin::pin!(http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)));
    let ended = if let Some(ended) = shutdown.or(served.as_mut()).await {
        ended
    } else {
        served.as_mut().graceful_shutdown();
        served.await
    };
    if let Err(error) = ended {
        debug!(%error, "a connection broke off");
    }
    drop(permit);
}

fn prepare(stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    SockRef::from(stream).set_tcp_user_timeout(Some(UNREAD))
}

/// What HTTP/1.1 asks of a server and hyper leaves to it.
async fn guarded(request: Request, next: Next) -> Response {
    if request.version() == Version::HTTP_11 && !names_one_host(request.headers()) {
        return (StatusCode::BAD_REQUEST, [(header::CONNECTION, "close")], "a request of HTTP/1.1 has one Host header\n").into_response();
    }
    let last = request.headers().contains_key(header::TRANSFER_ENCODING);
    let mut response = next.run(request).await;
    if last {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn names_one_host(headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    hosts.next().is_some() && hosts.next().is_none()
}

#[cfg(test)]
mod tests;
