//! One path of the gateway: from the request to the pipeline, and the answer back.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode, request};
use axum::response::{IntoResponse, Response};
use futures::StreamExt as _;
use millrace_model::{Code, Fault, Result as Faultless};
use millrace_runtime::inflate::NotInflated;
use millrace_runtime::pipeline::Pipeline;
use millrace_runtime::registry::Registry;
use millrace_runtime::telemetry::{Entry, Outcome, TRACEPARENT};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tracing::Instrument as _;

use super::admission::{Admission, content_length};
use super::answer::{Answer, Refused};
use super::body::encoding::{self, Encoding};
use super::body::text;
use super::keyed::{Entrance, Hop, Key, Way, handed_over, is_elsewhere};
use super::openapi::Described;
use super::reading::{Arrived, Read, Reader};
use super::request::Request;
use crate::config::{Cors, Http};
use crate::service::Ingest;

/// How long a sender waits for its records to be durable.
const DEADLINE: Duration = Duration::from_secs(20);
/// How long a body may stand still while it arrives.
const STALL: Duration = Duration::from_secs(10);
/// A body over the limit is read on for so many bytes, so that its sender gets to reading the answer.
const OVERRUN: usize = 16 << 20;

const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Where the requests to one path go.
pub(super) struct Route {
    path: String,
    max_body: usize,
    body_timeout: Duration,
    pub(super) cors: Option<Cors>,
    admission: Admission,
    reader: Arc<Reader>,
    pub(super) pipeline: Pipeline,
    outlets: Outlets,
}

/// Where requests go from here.
pub(super) struct Outlets {
    /// Those without a key.
    pub(super) requests: mpsc::Sender<Request>,
    /// Those with one.
    pub(super) entrance: Entrance,
}

/// What a request comes to.
enum Taken {
    Answer(Answer),
    /// Another replica has answered.
    Response(Response),
}

impl IntoResponse for Taken {
    fn into_response(self) -> Response {
        match self {
            Self::Answer(answer) => answer.into_response(),
            Self::Response(response) => response,
        }
    }
}

impl Route {
    pub(super) fn new(http: &Http, ingest: &Ingest, registry: &Registry, pipeline: &Pipeline, outlets: Outlets) -> Faultless<Self> {
        let max_body = http.max_body.bytes() as usize;
        Ok(Self {
            path: http.path.clone(),
            max_body,
            body_timeout: http.body_timeout.duration(),
            cors: http.cors.clone(),
            admission: Admission::new(http),
            reader: Arc::new(Reader::new(&http.path, &ingest.config.to.topic, max_body, &ingest.schema, registry)?),
            pipeline: pipeline.clone(),
            outlets,
        })
    }

    /// What its senders are told.
    pub(super) fn described(&self) -> Described<'_> {
        Described {
            path: &self.path,
            pipeline: &self.pipeline.name,
            topic: self.reader.topic(),
            record: self.reader.json_schema(),
            max_body: self.max_body,
            closed: self.admission.is_closed(),
        }
    }

    /// Answers a request.
    pub(super) async fn serve(&self, head: &request::Parts, body: Body) -> Response {
        let mut entry = self.pipeline.hop.entry(text(&head.headers, TRACEPARENT), &self.path);
        let span = entry.log_span().clone();
        let taken = async {
            let taken = self.take(head, body, &mut entry).await;
            tracing::debug!(path = self.path, accepted = taken.is_ok(), "answered");
            taken
        };
        let taken = taken.instrument(span).await;
        let fault = taken.as_ref().err().map(|refused| Fault::passing(refused.code.unwrap_or(Code::JsonInvalid), &refused.message));
        let elsewhere = taken.as_ref().err().is_some_and(is_elsewhere);
        let mut response = taken.into_response();
        Hop::of(&head.headers).sign(&self.pipeline.id, elsewhere, &mut response);
        entry.end(response.status().as_u16(), &fault.as_ref().map_or(Outcome::Committed, Outcome::Failed));
        response
    }

    async fn take(&self, head: &request::Parts, body: Body, entry: &mut Entry) -> Result<Taken, Refused> {
        // Held until the records are durable: they take memory for so long.
        let _room = self.admission.admit(&head.headers)?;
        let key = idempotency_key(&head.headers)?;
        let body = self.arrived(&head.headers, body).await?;
        match key {
            None => self.written(head, body, entry).await.map(Taken::Answer),
            Some(key) => match self.outlets.entrance.way(key, Hop::of(&head.headers), head, &body).await? {
                Way::Here(lane) => self.written_once(&lane, key, (head, body), entry).await.map(Taken::Answer),
                Way::Answered(response) => Ok(Taken::Response(response)),
            },
        }
    }

    async fn written(&self, head: &request::Parts, body: Bytes, entry: &mut Entry) -> Result<Answer, Refused> {
        let body = self.inflated(&head.headers, body).await?;
        let read = self.reader.read(Arrived { head, body, entry }).await?;
        self.reply(&self.outlets.requests, read, None).await?.ok_or_else(|| self.late())
    }

    async fn written_once(
        &self,
        lane: &mpsc::Sender<Request>,
        key: &str,
        (head, body): (&request::Parts, Bytes),
        entry: &mut Entry,
    ) -> Result<Answer, Refused> {
        let body = self.inflated(&head.headers, body).await?;
        let key = Key::new(key, head, &body);
        let read = self.reader.read(Arrived { head, body, entry }).await?;
        self.reply(lane, read, Some(key)).await?.ok_or_else(handed_over)
    }

    async fn arrived(&self, headers: &HeaderMap, body: Body) -> Result<Bytes, Refused> {
        let late =
            || Refused::new(StatusCode::REQUEST_TIMEOUT, None, "the body did not arrive in time; nothing of this request was written");
        match timeout(self.body_timeout, read(body, self.max_body)).await.map_err(|_| late())? {
            Ok(bytes) => Ok(bytes),
            Err(NotRead::TooLarge) => Err(self.too_large(content_length(headers))),
            Err(NotRead::Stalled) => Err(late()),
            Err(NotRead::Broken(error)) => Err(Refused::new(StatusCode::BAD_REQUEST, None, format!("the body broke off: {error}"))),
        }
    }

    async fn inflated(&self, headers: &HeaderMap, body: Bytes) -> Result<Bytes, Refused> {
        let (encoding, limit) = (Encoding::of(headers)?, self.max_body);
        if encoding == Encoding::Identity {
            return Ok(body);
        }
        let inflated = tokio::task::spawn_blocking(move || encoding.inflate(body, limit)).await;
        inflated.map_err(|error| Refused::new(StatusCode::INTERNAL_SERVER_ERROR, Code::Internal, error.to_string()))?.map_err(|why| {
            match why {
                NotInflated::TooLarge => self.too_large(None),
                NotInflated::Broken(why) => {
                    let message = format!("the body is not {}, as Content-Encoding says: {why}", encoding::name(headers));
                    Refused::new(StatusCode::BAD_REQUEST, Code::BodyUnreadable, message)
                }
            }
        })
    }

    fn too_large(&self, length: Option<usize>) -> Refused {
        let length = length.map(|length| format!(" of {length} bytes")).unwrap_or_default();
        let message = format!("the body{length} is over the limit of {} bytes; {}", self.max_body, Code::BodyTooLarge.help());
        Refused::new(StatusCode::PAYLOAD_TOO_LARGE, Code::BodyTooLarge, message)
    }

    /// Gives the request to who writes it and waits until it is durable; `None` says that nobody takes it.
    async fn reply(&self, requests: &mpsc::Sender<Request>, read: Read, key: Option<Key>) -> Result<Option<Answer>, Refused> {
        let (request, reply) = Request::new(read, key);
        let replied = timeout(DEADLINE, async {
            // A pipeline that has ended takes no request, and gives no reply.
            requests.send(request).await.ok();
            reply.await.ok()
        });
        replied.await.map_err(|_| self.late())?.transpose()
    }

    fn late(&self) -> Refused {
        let message = format!(
            "pipeline {} could not make the records durable in time; repeat the request, with an Idempotency-Key so that nothing is doubled",
            self.pipeline.name
        );
        Refused::unavailable(Code::KafkaUnavailable, message)
    }
}

/// Why there is no body.
#[derive(Debug)]
enum NotRead {
    TooLarge,
    /// Nothing came of it for [`STALL`].
    Stalled,
    Broken(axum::Error),
}

/// The body, of at most `limit` bytes.
async fn read(body: Body, limit: usize) -> Result<Bytes, NotRead> {
    let mut stream = body.into_data_stream();
    let (mut bytes, mut length) = (Vec::new(), 0);
    while let Some(chunk) = timeout(STALL, stream.next()).await.map_err(|_| NotRead::Stalled)? {
        let chunk = chunk.map_err(NotRead::Broken)?;
        length += chunk.len();
        if length <= limit {
            bytes.extend_from_slice(&chunk);
        } else if length > limit + OVERRUN {
            break;
        }
    }
    if length <= limit { Ok(bytes.into()) } else { Err(NotRead::TooLarge) }
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, Refused> {
    const LONGEST: usize = 255;
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    match value.to_str() {
        Ok(key) if !key.is_empty() && key.len() <= LONGEST => Ok(Some(key)),
        _ => Err(Refused::new(StatusCode::BAD_REQUEST, None, "an Idempotency-Key has 1 to 255 visible ASCII characters")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_control_characters_or_without_end_is_refused() {
        let key = |value: &str| {
            let headers = HeaderMap::from_iter([(IDEMPOTENCY_KEY.parse().expect("a name"), value.parse().expect("a value"))]);
            idempotency_key(&headers).map(|key| key.map(str::to_owned))
        };
        assert_eq!(key("order-7").expect("taken").as_deref(), Some("order-7"));
        assert!(key(&"x".repeat(256)).is_err());
        assert_eq!(idempotency_key(&HeaderMap::new()).expect("none"), None);
    }

    #[tokio::test]
    async fn a_body_is_taken_up_to_the_limit() {
        assert_eq!(&*read(Body::from("12345"), 5).await.expect("reads"), b"12345");
        assert!(matches!(read(Body::from("123456"), 5).await, Err(NotRead::TooLarge)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_may_be_slow_but_not_stand_still() {
        let chunks = |pause| {
            let chunks = futures::stream::iter(0..3).then(move |_| async move {
                tokio::time::sleep(pause).await;
                Ok::<_, std::io::Error>("1")
            });
            Body::from_stream(chunks)
        };
        assert_eq!(&*read(chunks(STALL / 2), 5).await.expect("reads"), b"111");
        assert!(matches!(read(chunks(STALL * 2), 5).await, Err(NotRead::Stalled)));
    }
}
