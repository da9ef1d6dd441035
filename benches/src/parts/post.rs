//! The load of jobs I1 and I2: orders as JSON over HTTP/1.1, on connections that are kept. All bodies are made before it says that it
//! is ready, and everything runs on one thread, so that it takes as little as it can from what is measured.

use std::io::{BufRead as _, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use clap::Parser;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::Part;
use crate::measured::Latency;
use crate::orders::Order;

pub(crate) const PART: Part = Part { name: "post", run: post };

/// What is sent, and over how many connections.
#[derive(Debug, Clone, Parser)]
struct Load {
    address: SocketAddr,
    path: String,
    connections: usize,
    /// How many records a request has: one is a JSON object, more are lines.
    per_request: u64,
    /// How many records there are in all; after the last one the first is sent again.
    records: u64,
}

/// A stretch of the load, as it is told on a line.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Stretch {
    pub(crate) requests: u64,
    /// Requests per second; `None` for as many as are answered.
    pub(crate) rate: Option<f64>,
}

/// What came of a stretch, as it is answered.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// From when a request was due to its answer.
    pub(crate) latency: Latency,
}

/// Says `ready`; then answers each [`Stretch`] that it is told with an [`Outcome`].
fn post(arguments: &[String]) -> anyhow::Result<()> {
    let arguments = std::iter::once(PART.name).chain(arguments.iter().map(String::as_str));
    let load = Load::try_parse_from(arguments)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut sender = runtime.block_on(Sender::open(load))?;
    let mut out = std::io::stdout();
    writeln!(out, "ready")?;
    for line in std::io::stdin().lock().lines() {
        let outcome = runtime.block_on(sender.send(serde_json::from_str(&line?)?))?;
        writeln!(out, "{}", serde_json::to_string(&outcome)?)?;
    }
    Ok(())
}

struct Sender {
    connections: Vec<SendRequest<Full<Bytes>>>,
    requests: Arc<Requests>,
}

/// What all connections take their requests from.
struct Requests {
    uri: String,
    host: String,
    content_type: &'static str,
    bodies: Vec<Bytes>,
    next: AtomicU64,
}

impl Sender {
    async fn open(load: Load) -> anyhow::Result<Self> {
        let mut connections = Vec::with_capacity(load.connections);
        for _ in 0..load.connections {
            connections.push(connect(load.address).await?);
        }
        let numbers: Vec<u64> = (0..load.records).collect();
        let bodies = numbers.chunks(load.per_request as usize).map(body).collect();
        let content_type = if load.per_request == 1 { "application/json" } else { "application/x-ndjson" };
        let requests = Requests { uri: load.path, host: load.address.to_string(), content_type, bodies, next: AtomicU64::new(0) };
        Ok(Self { connections, requests: Arc::new(requests) })
    }

    async fn send(&mut self, stretch: Stretch) -> anyhow::Result<Outcome> {
        let first = self.requests.next.load(Ordering::Relaxed);
        let pace = Pace { first, end: first + stretch.requests, began: Instant::now(), rate: stretch.rate };
        let mut tasks = JoinSet::new();
        for connection in self.connections.drain(..) {
            tasks.spawn(on_one(connection, Arc::clone(&self.requests), pace));
        }
        let mut latencies = Vec::new();
        while let Some(ended) = tasks.join_next().await {
            let (connection, took) = ended??;
            self.connections.push(connection);
            latencies.extend(took);
        }
        // Each connection took one past the end, to see that there is none.
        self.requests.next.store(pace.end, Ordering::Relaxed);
        ensure!(latencies.len() as u64 == stretch.requests, "{} of {} requests were answered", latencies.len(), stretch.requests);
        Ok(Outcome { latency: Latency::of(latencies).context("no request")? })
    }
}

async fn connect(address: SocketAddr) -> anyhow::Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(async move {
        // What breaks it off fails the request that is on it.
        connection.await.ok();
    });
    Ok(sender)
}

/// Orders of these numbers, a line each.
fn body(numbers: &[u64]) -> Bytes {
    let mut text = String::new();
    for &number in numbers {
        Order::number(number).json(&mut text);
        text.push('\n');
    }
    text.into()
}

/// Which requests a stretch has, and when each is due.
#[derive(Debug, Clone, Copy)]
struct Pace {
    first: u64,
    end: u64,
    began: Instant,
    rate: Option<f64>,
}

impl Pace {
    fn due(&self, number: u64) -> Option<Instant> {
        self.rate.map(|rate| self.began + Duration::from_secs_f64((number - self.first) as f64 / rate))
    }
}

/// Sends what is next over a connection until there is nothing; gives it back, with the milliseconds that each request took.
async fn on_one(
    mut connection: SendRequest<Full<Bytes>>,
    requests: Arc<Requests>,
    pace: Pace,
) -> anyhow::Result<(SendRequest<Full<Bytes>>, Vec<f64>)> {
    let mut took = Vec::new();
    loop {
        let number = requests.next.fetch_add(1, Ordering::Relaxed);
        if number >= pace.end {
            return Ok((connection, took));
        }
        let due = match pace.due(number) {
            Some(due) => {
                sleep_until(due).await;
                due
            }
            None => Instant::now(),
        };
        answered(&mut connection, requests.request(number)?).await?;
        took.push(due.elapsed().as_secs_f64() * 1_000.0);
    }
}

impl Requests {
    fn request(&self, number: u64) -> anyhow::Result<Request<Full<Bytes>>> {
        let body = self.bodies[(number % self.bodies.len() as u64) as usize].clone();
        let request = Request::post(&self.uri).header("host", &self.host).header("content-type", self.content_type);
        Ok(request.body(Full::new(body))?)
    }
}

async fn answered(connection: &mut SendRequest<Full<Bytes>>, request: Request<Full<Bytes>>) -> anyhow::Result<()> {
    connection.ready().await?;
    let response = connection.send_request(request).await?;
    let status = response.status();
    let answer = response.into_body().collect().await?.to_bytes();
    ensure!(status.is_success(), "a request was answered with {status}: {}", String::from_utf8_lossy(&answer));
    Ok(())
}
