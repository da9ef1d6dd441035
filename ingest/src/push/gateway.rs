//! The HTTP side: which pipeline a request is for, its body, its answer.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, header, request};
use axum::response::{IntoResponse, Response};
use futures::StreamExt as _;
use jiff::Timestamp;
use millrace_model::{Code, Fault, Header, Record, Records, RecordsBuilder, Result};
use millrace_runtime::formats::{JsonReader, Parsed};
use millrace_runtime::pipeline::Pipeline;
use millrace_runtime::service::Shutdown;
use millrace_runtime::telemetry::{Entry, Outcome, TRACEPARENT};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, SemaphorePermit, mpsc};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::Instrument as _;

use super::answer::{Answer, Refused};
use super::body;
use super::group::Inbox;
use super::request::Request;
use crate::config::Http;
use crate::service::Ingest;

/// How long a sender waits for its records to be durable.
const DEADLINE: Duration = Duration::from_secs(20);
/// How long a body may take to arrive.
const ARRIVAL: Duration = Duration::from_mins(1);
/// How long requests that are being served have after the shutdown.
pub(super) const GRACE: Duration = Duration::from_secs(10);
/// How many requests wait for one pipeline; further senders wait for a place.
const WAITING: usize = 256;
/// How much memory, in KiB, bodies may take at once; further senders wait before their body is read.
const BODIES: u32 = 64 * 1024;
/// A body over the limit is read on for so many bytes, so that its sender gets to reading the answer.
const OVERRUN: usize = 16 << 20;
/// The largest record: with its headers it still fits Kafka's default limit as a dead letter.
const RECORD: usize = 900_000;

const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// The routes of the push pipelines.
#[derive(Default)]
pub(crate) struct Gateway {
    routes: BTreeMap<String, Arc<Route>>,
}

/// Where the requests to one path go.
struct Route {
    path: String,
    max_body: usize,
    reader: JsonReader,
    /// The name of the source, in records and dead letters.
    source: Arc<str>,
    topic: String,
    pipeline: Pipeline,
    requests: mpsc::Sender<Request>,
}

impl Gateway {
    /// Leads `http.path` to a pipeline; what comes out is for [`super::run`].
    pub(crate) fn route(&mut self, http: &Http, ingest: &Ingest, pipeline: &Pipeline) -> Result<Inbox> {
        let (requests, inbox) = mpsc::channel(WAITING);
        let route = Route {
            path: http.path.clone(),
            max_body: http.max_body.bytes() as usize,
            reader: JsonReader::new(&ingest.schema)?,
            source: format!("http:{}", http.path).into(),
            topic: ingest.config.to.topic.clone(),
            pipeline: pipeline.clone(),
            requests,
        };
        match self.routes.insert(http.path.clone(), Arc::new(route)) {
            None => Ok(Inbox::new(inbox)),
            Some(other) => {
                let message = format!("ingest pipelines {} and {} have the same path {}", other.pipeline.name, pipeline.name, http.path);
                Err(Fault::operator(Code::ProjectFlow, message))
            }
        }
    }

    /// Whether no pipeline is pushed to.
    pub(crate) fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }

    /// Listens on `address` until the shutdown.
    pub(crate) async fn serve(self, address: SocketAddr, shutdown: &Shutdown) -> Result<Serving> {
        let taken = |error| {
            let message = format!("can't listen on {address} for the push gateway; choose another with MILLRACE_HTTP");
            Fault::operator(Code::Io, message).because(error)
        };
        let listener = TcpListener::bind(address).await.map_err(taken)?;
        let address = listener.local_addr().map_err(taken)?;
        let shared = Arc::new(Shared { routes: self.routes, bodies: Semaphore::new(BODIES as usize) });
        let router = Router::new().fallback(handle).with_state(shared);
        let requested = shutdown.clone();
        let server = axum::serve(listener, router).with_graceful_shutdown(async move { requested.requested().await });
        let task = tokio::spawn(async move {
            if let Err(error) = server.await {
                tracing::error!(%error, "the push gateway broke off");
            }
        });
        Ok(Serving { address, task, shutdown: shutdown.clone() })
    }
}

/// The push gateway, listening.
#[derive(Debug)]
pub(crate) struct Serving {
    address: SocketAddr,
    task: JoinHandle<()>,
    shutdown: Shutdown,
}

impl Serving {
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until all requests are answered, after the shutdown; those that take too long are broken off.
    pub(crate) async fn ended(mut self) {
        self.shutdown.requested().await;
        if timeout(GRACE, &mut self.task).await.is_err() {
            tracing::warn!("requests to the push gateway were broken off");
            self.task.abort();
        }
    }
}

struct Shared {
    routes: BTreeMap<String, Arc<Route>>,
    bodies: Semaphore,
}

async fn handle(State(shared): State<Arc<Shared>>, request: axum::extract::Request) -> Response {
    let (head, body) = request.into_parts();
    match shared.route(&head) {
        Ok(route) => shared.serve(route, &head, body).await,
        Err(refused) => refused.into_response(),
    }
}

impl Shared {
    fn route(&self, head: &request::Parts) -> Result<Arc<Route>, Refused> {
        let Some(route) = self.routes.get(head.uri.path()) else {
            let paths = Some(self.routes.keys().cloned().collect());
            let refused = Refused::new(StatusCode::NOT_FOUND, None, format!("no pipeline has the path {}", head.uri.path()));
            return Err(Refused { paths, ..refused });
        };
        if head.method != Method::POST {
            return Err(Refused::new(StatusCode::METHOD_NOT_ALLOWED, None, "records are sent with POST"));
        }
        Ok(Arc::clone(route))
    }

    async fn serve(&self, route: Arc<Route>, head: &request::Parts, body: Body) -> Response {
        let mut entry = route.pipeline.hop.entry(text(&head.headers, TRACEPARENT), &route.path);
        let span = entry.log_span().clone();
        let taken = async {
            let taken = self.take(&route, &head.headers, body, &mut entry).await;
            tracing::debug!(path = route.path, accepted = taken.is_ok(), "answered");
            taken
        };
        let taken = taken.instrument(span).await;
        let fault = taken.as_ref().err().map(|refused| Fault::passing(refused.code.unwrap_or(Code::JsonInvalid), &refused.message));
        let response = taken.into_response();
        entry.end(response.status().as_u16(), &fault.as_ref().map_or(Outcome::Committed, Outcome::Failed));
        response
    }

    async fn take(&self, route: &Arc<Route>, headers: &HeaderMap, body: Body, entry: &mut Entry) -> Result<Answer, Refused> {
        let idempotency_key = idempotency_key(headers)?;
        refuse_compressed(headers)?;
        let room = self.room(route, headers).await?;
        let body = route.body(headers, body).await?;
        let records = route.records(headers, &body, entry)?;
        let parsed = parse(Arc::clone(route), records).await?;
        let answer = route.hand_over(parsed, idempotency_key).await;
        drop(room);
        answer
    }

    /// Room in memory for the body.
    async fn room(&self, route: &Route, headers: &HeaderMap) -> Result<SemaphorePermit<'_>, Refused> {
        let bytes = content_length(headers).unwrap_or(route.max_body).min(route.max_body);
        let wanted = u32::try_from(bytes / 1024 + 1).unwrap_or(BODIES).min(BODIES);
        match timeout(DEADLINE, self.bodies.acquire_many(wanted)).await {
            Ok(Ok(room)) => Ok(room),
            _ => Err(Refused::unavailable(Code::KafkaUnavailable, "too many requests are waiting")),
        }
    }
}

impl Route {
    async fn body(&self, headers: &HeaderMap, body: Body) -> Result<Bytes, Refused> {
        match timeout(ARRIVAL, read(body, self.max_body)).await {
            Ok(Ok(Some(bytes))) => Ok(bytes),
            Ok(Ok(None)) => Err(self.too_large(content_length(headers))),
            Ok(Err(error)) => Err(Refused::new(StatusCode::BAD_REQUEST, None, format!("the body broke off: {error}"))),
            Err(_) => Err(Refused::new(StatusCode::REQUEST_TIMEOUT, None, "the body did not arrive in time")),
        }
    }

    fn too_large(&self, length: Option<usize>) -> Refused {
        let length = length.map(|length| format!(" of {length} bytes")).unwrap_or_default();
        let message = format!("the body{length} is over the limit of {} bytes; {}", self.max_body, Code::BodyTooLarge.help());
        Refused::new(StatusCode::PAYLOAD_TOO_LARGE, Code::BodyTooLarge, message)
    }

    /// The records of the body, each with the trace context that it takes along.
    fn records(&self, headers: &HeaderMap, body: &Bytes, entry: &mut Entry) -> Result<Records, Refused> {
        if body.trim_ascii().is_empty() {
            return Err(Refused::new(StatusCode::BAD_REQUEST, Code::JsonInvalid, "the body is empty"));
        }
        let lines = text(headers, header::CONTENT_TYPE.as_str()).is_some_and(body::means_lines);
        let values = body::records(body, lines);
        let (first, timestamp) = (offsets(values.len()), Timestamp::now().as_millisecond());
        let mut records = RecordsBuilder::new(Arc::clone(&self.source), values.len());
        for (index, value) in values.into_iter().enumerate() {
            refuse_too_large(index, value)?;
            let offset = first + index as i64;
            let record = Record { topic: &self.source, partition: 0, offset, timestamp, key: None, value: Some(value), headers: &[] };
            let context = entry.record(&self.topic).or_else(|| text(headers, TRACEPARENT).map(str::to_owned));
            records.push_with_headers(&record, context.map(traceparent).into_iter().collect());
        }
        Ok(records.finish())
    }

    /// Gives the request to the pipeline and waits until it is durable.
    async fn hand_over(&self, parsed: Parsed, idempotency_key: Option<String>) -> Result<Answer, Refused> {
        let (request, reply) = Request::new(parsed, idempotency_key);
        let replied = timeout(DEADLINE, async {
            // A pipeline that has ended takes no request, and gives no reply.
            self.requests.send(request).await.ok();
            reply.await.ok()
        });
        match replied.await {
            Ok(Some(reply)) => reply,
            _ => Err(Refused::unavailable(Code::KafkaUnavailable, self.why_not())),
        }
    }

    fn why_not(&self) -> String {
        format!(
            "pipeline {} could not make the records durable in time; repeat the request, with an Idempotency-Key so that nothing is doubled",
            self.pipeline.name
        )
    }
}

async fn parse(route: Arc<Route>, records: Records) -> Result<Parsed, Refused> {
    let broken = |message: String| Refused::new(StatusCode::INTERNAL_SERVER_ERROR, Code::Internal, message);
    let parsed = tokio::task::spawn_blocking(move || route.reader.read(&Arc::new(records))).await;
    parsed.map_err(|error| broken(error.to_string()))?.map_err(|fault| broken(fault.message().to_owned()))
}

/// The body, or `None` when it is over the limit.
async fn read(body: Body, limit: usize) -> Result<Option<Bytes>, axum::Error> {
    let mut stream = body.into_data_stream();
    let (mut bytes, mut length) = (Vec::new(), 0);
    while let Some(chunk) = stream.next().await {
        let chunk = chunk?;
        length += chunk.len();
        if length <= limit {
            bytes.extend_from_slice(&chunk);
        } else if length > limit + OVERRUN {
            break;
        }
    }
    Ok((length <= limit).then(|| bytes.into()))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn content_length(headers: &HeaderMap) -> Option<usize> {
    text(headers, header::CONTENT_LENGTH.as_str())?.parse().ok()
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Refused> {
    const LONGEST: usize = 255;
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    match value.to_str() {
        Ok(key) if !key.is_empty() && key.len() <= LONGEST => Ok(Some(key.to_owned())),
        _ => Err(Refused::new(StatusCode::BAD_REQUEST, None, "an Idempotency-Key has 1 to 255 visible ASCII characters")),
    }
}

fn refuse_compressed(headers: &HeaderMap) -> Result<(), Refused> {
    match text(headers, header::CONTENT_ENCODING.as_str()) {
        None | Some("identity") => Ok(()),
        Some(other) => Err(Refused::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, None, format!("bodies compressed with {other} are not taken"))),
    }
}

fn refuse_too_large(index: usize, value: &[u8]) -> Result<(), Refused> {
    if value.len() <= RECORD {
        return Ok(());
    }
    let message =
        format!("record {index} has {} bytes, the largest that is taken {RECORD}; nothing of this request was written", value.len());
    Err(Refused::new(StatusCode::PAYLOAD_TOO_LARGE, Code::KafkaTooLarge, message))
}

fn traceparent(context: String) -> Header {
    Header { key: TRACEPARENT.to_owned(), value: Some(context.into_bytes()) }
}

/// The first of `count` offsets that no other record of this process has or had: an offset is part of a
/// dead letter's identity. They start at the time in microseconds, so that a restart gives none of them again.
fn offsets(count: usize) -> i64 {
    static NEXT: AtomicI64 = AtomicI64::new(0);
    let now = Timestamp::now().as_microsecond();
    let next = |next: i64| Some(next.max(now) + count as i64);
    NEXT.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).unwrap_or_else(|unchanged| unchanged).max(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_records_have_the_same_offset() {
        let (first, second) = (offsets(3), offsets(1));
        assert!(second >= first + 3);
    }

    #[test]
    fn a_key_of_control_characters_or_without_end_is_refused() {
        let key = |value: &str| {
            idempotency_key(&HeaderMap::from_iter([(IDEMPOTENCY_KEY.parse().expect("a name"), value.parse().expect("a value"))]))
        };
        assert_eq!(key("order-7").expect("taken").as_deref(), Some("order-7"));
        assert!(key(&"x".repeat(256)).is_err());
        assert_eq!(idempotency_key(&HeaderMap::new()).expect("none").as_deref(), None);
    }

    #[tokio::test]
    async fn a_body_is_taken_up_to_the_limit() {
        assert_eq!(read(Body::from("12345"), 5).await.expect("reads").as_deref(), Some(b"12345".as_slice()));
        assert_eq!(read(Body::from("123456"), 5).await.expect("reads"), None);
    }
}
