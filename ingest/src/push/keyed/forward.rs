//! Requests with a key that belong to another replica, sent on to it.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, StatusCode, header, request};
use axum::response::{IntoResponse as _, Response};
use millrace_model::{Code, Fault, Result as Faultless};
use millrace_runtime::tls;
use sha2::{Digest as _, Sha256};

use super::super::answer::Refused;
use super::super::body::text;

/// Says of a request that a replica has sent it on, and of the answer that a gateway of the same pipeline has given it.
const FORWARDED: HeaderName = HeaderName::from_static("millrace-forwarded");
/// In an answer: the replica is not the owner.
const ELSEWHERE: &str = "elsewhere";

/// How long a replica has to be reached; it is close by.
const CONNECT: Duration = Duration::from_secs(1);
/// How long it has to answer: a little longer than it takes to give up itself.
const ANSWER: Duration = Duration::from_secs(25);

/// What an `Idempotency-Key` says of its request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) text: String,
    /// Of all that the records are made of.
    pub(crate) fingerprint: u128,
}

impl Key {
    /// Of a request whose body is not compressed any more: how it was is no part of it.
    pub(crate) fn new(text: &str, head: &request::Parts, body: &[u8]) -> Self {
        let mut hash = Sha256::new();
        let query = head.uri.query().unwrap_or_default();
        let mut said: Vec<(&str, &[u8])> = head.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        said.retain(|(name, _)| shapes_records(name));
        said.sort_unstable();
        for part in said.iter().flat_map(|(name, value)| [name.as_bytes(), value]).chain([query.as_bytes(), body]) {
            // With its length, so that no two requests run together into the same bytes.
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let digest: [u8; 32] = hash.finalize().into();
        let fingerprint = u128::from_be_bytes(std::array::from_fn(|place| digest[place]));
        Self { text: text.to_owned(), fingerprint }
    }
}

fn shapes_records(header: &str) -> bool {
    header == "content-type" || header.starts_with("ce-") || header.starts_with("schema-")
}

/// Which hop a request has come by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hop {
    Sender,
    /// From another replica; it is not sent on again.
    Replica,
}

impl Hop {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        if headers.contains_key(FORWARDED) { Self::Replica } else { Self::Sender }
    }

    /// Signs the answer to a request that came from a replica, which must know whom it has met.
    pub(crate) fn sign(self, pipeline: &str, elsewhere: bool, response: &mut Response) {
        if self == Self::Replica
            && let Ok(said) = if elsewhere { ELSEWHERE } else { pipeline }.parse()
        {
            response.headers_mut().insert(FORWARDED, said);
        }
    }
}

/// What sends requests on.
#[derive(Debug, Clone)]
pub(crate) struct Forwarder(reqwest::Client);

/// That the owner was not at the address.
#[derive(Debug)]
pub(crate) struct NotThere;

impl Forwarder {
    /// Straight to the replicas, whatever proxy the environment names.
    pub(crate) fn new() -> Faultless<Self> {
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls::unused()?)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT)
            .timeout(ANSWER)
            .build();
        client.map(Self).map_err(|error| Fault::fatal(Code::Internal, "the client for other replicas can't be set up").because(error))
    }

    /// The owner's answer. Sending twice is harmless: the request has a key.
    pub(crate) async fn send(&self, address: &str, pipeline: &str, head: &request::Parts, body: Bytes) -> Result<Response, NotThere> {
        let path = head.uri.path_and_query().map_or(head.uri.path(), |path| path.as_str());
        let request = self.0.post(format!("{address}{path}")).headers(carried(&head.headers)).header(FORWARDED, "1").body(body);
        let answer = request.send().await.map_err(|error| not_there(address, &error))?;
        if text(answer.headers(), FORWARDED.as_str()) != Some(pipeline) {
            return Err(NotThere);
        }
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = answer.bytes().await.map_err(|error| not_there(address, &error))?;
        Ok(passed_on(status, &headers, body))
    }
}

fn not_there(address: &str, error: &reqwest::Error) -> NotThere {
    tracing::debug!(address, %error, "the owner of a key's partition does not answer");
    NotThere
}

/// All but what speaks of the connection (RFC 9110, 7.6.1) and of the body's length, which is said anew.
fn carried(headers: &HeaderMap) -> HeaderMap {
    const LEFT: [&str; 10] = [
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "transfer-encoding",
        "upgrade",
    ];
    let kept = headers.iter().filter(|(name, _)| !LEFT.contains(&name.as_str()) && **name != FORWARDED);
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn passed_on(status: StatusCode, headers: &HeaderMap, body: Bytes) -> Response {
    let mut response = (status, Body::from(body)).into_response();
    response.headers_mut().remove(header::CONTENT_TYPE);
    for name in [header::CONTENT_TYPE, header::RETRY_AFTER, header::WWW_AUTHENTICATE, header::ACCEPT_ENCODING] {
        if let Some(value) = headers.get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response
}

/// The owner is changing.
pub(crate) fn handed_over() -> Refused {
    let message = format!("the owner of this Idempotency-Key is changing; {}", Code::KeyHandedOver.help());
    Refused::new(StatusCode::SERVICE_UNAVAILABLE, Code::KeyHandedOver, message).retry_after(super::lane::SOON)
}

/// Whether a request was refused because the key belongs to another replica, or soon will.
pub(crate) fn is_elsewhere(refused: &Refused) -> bool {
    refused.code == Some(Code::KeyHandedOver)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(uri: &str, headers: &[(&'static str, &'static str)]) -> request::Parts {
        let request = headers.iter().fold(request::Request::post(uri), |request, (name, value)| request.header(*name, *value));
        request.body(()).expect("a request").into_parts().0
    }

    #[test]
    fn a_request_is_known_by_what_its_records_are_made_of() {
        let of = |uri: &str, headers: &[(&'static str, &'static str)], body: &str| {
            Key::new("k", &head(uri, headers), body.as_bytes()).fingerprint
        };
        let first = of("/o", &[("content-type", "application/json"), ("ce-id", "1")], "{}");
        let again = [("ce-id", "1"), ("content-encoding", "gzip"), ("traceparent", "00-1"), ("content-type", "application/json")];
        assert_eq!(of("/o", &again, "{}"), first, "neither the order of headers nor the way is a part of it");
        assert_ne!(of("/o", &[("content-type", "application/json"), ("ce-id", "2")], "{}"), first);
        assert_ne!(of("/o?subject=s", &[("content-type", "application/json"), ("ce-id", "1")], "{}"), first);
        assert_ne!(of("/o", &[("content-type", "application/json"), ("ce-id", "1")], "[]"), first);
    }

    #[test]
    fn keys_go_with_a_request_and_the_connection_does_not() {
        let head = head("/o", &[("authorization", "Bearer k"), ("host", "h"), ("connection", "close"), ("millrace-forwarded", "1")]);
        let carried = carried(&head.headers);
        assert_eq!(carried.len(), 1);
        assert!(carried.contains_key("authorization"));
    }
}
