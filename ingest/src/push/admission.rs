//! Who may send to a path, and how much.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, StatusCode, header};
use governor::clock::{Clock as _, MonotonicClock};
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use millrace_model::Code;
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::answer::Refused;
use super::body::encoding::Encoding;
use super::body::text;
use crate::config::{ApiKeys, Http, Rate};

const API_KEY: &str = "x-api-key";
/// Memory is given out in so many bytes.
const UNIT: usize = 1024;
/// How long a sender that found no room should wait.
const NO_ROOM: Duration = Duration::from_secs(1);

/// What a path asks of a request before its body is read.
pub(super) struct Admission {
    /// The digests of the keys: what is compared has one length, whatever was sent.
    keys: Vec<[u8; 32]>,
    rate: Option<RateLimiter<NotKeyed, InMemoryState, MonotonicClock, NoOpMiddleware<std::time::Instant>>>,
    max_body: usize,
    room: Arc<Semaphore>,
}

/// Memory for a body, until it is dropped.
#[derive(Debug)]
pub(super) struct Room(#[expect(dead_code, reason = "held, and given back by its drop")] OwnedSemaphorePermit);

impl Admission {
    pub(super) fn new(http: &Http) -> Self {
        let keys = http.api_keys.iter().flat_map(ApiKeys::keys).map(|key| digest(key.reveal().as_bytes())).collect();
        let rate = http.rate.map(|rate| RateLimiter::direct_with_clock(quota(rate), MonotonicClock));
        let room = Arc::new(Semaphore::new(units(http.max_in_flight.bytes() as usize)));
        Self { keys, rate, max_body: http.max_body.bytes() as usize, room }
    }

    /// Whether a request must bring a key.
    pub(super) fn is_closed(&self) -> bool {
        !self.keys.is_empty()
    }

    /// Lets the request in, and reserves the memory that its body takes.
    pub(super) fn admit(&self, headers: &HeaderMap) -> Result<Room, Refused> {
        self.authorise(headers)?;
        self.slow_down()?;
        self.reserve(headers)
    }

    /// Looks at every key, however early one fits, so that the time taken says nothing of them.
    fn authorise(&self, headers: &HeaderMap) -> Result<(), Refused> {
        if !self.is_closed() {
            return Ok(());
        }
        let sent = digest(sent_key(headers).unwrap_or_default().as_bytes());
        let fits = self.keys.iter().fold(Choice::from(0), |fits, key| fits | key.ct_eq(&sent));
        if fits.into() { Ok(()) } else { Err(Refused::new(StatusCode::UNAUTHORIZED, Code::ApiKeyRefused, Code::ApiKeyRefused.help())) }
    }

    fn slow_down(&self) -> Result<(), Refused> {
        let Some(rate) = &self.rate else { return Ok(()) };
        rate.check().map_err(|until| too_many("the path's rate of requests is used up", until.wait_time_from(rate.clock().now())))
    }

    fn reserve(&self, headers: &HeaderMap) -> Result<Room, Refused> {
        let room = Arc::clone(&self.room).try_acquire_many_owned(units(self.size(headers)) as u32);
        room.map(Room).map_err(|_| too_many("the path holds as many bytes of bodies as it may", NO_ROOM))
    }

    /// How large the body may get. What is compressed may get as large as any.
    fn size(&self, headers: &HeaderMap) -> usize {
        let said = content_length(headers).filter(|_| Encoding::of(headers).is_ok_and(|encoding| encoding == Encoding::Identity));
        said.unwrap_or(self.max_body).min(self.max_body)
    }
}

/// The length that the body says to have.
pub(super) fn content_length(headers: &HeaderMap) -> Option<usize> {
    text(headers, header::CONTENT_LENGTH.as_str())?.parse().ok()
}

fn too_many(why: &str, wait: Duration) -> Refused {
    let message = format!("{why}; nothing of this request was written");
    Refused::new(StatusCode::TOO_MANY_REQUESTS, Code::TooManyRequests, message).retry_after(wait)
}

fn units(bytes: usize) -> usize {
    (bytes / UNIT + 1).min(u32::MAX as usize >> 3)
}

fn quota(rate: Rate) -> Quota {
    Quota::per_second(rate.requests_per_second).allow_burst(rate.burst.unwrap_or(rate.requests_per_second))
}

fn sent_key(headers: &HeaderMap) -> Option<&str> {
    let bearer = text(headers, header::AUTHORIZATION.as_str()).and_then(|value| {
        let (scheme, key) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
    });
    bearer.or_else(|| text(headers, API_KEY))
}

fn digest(key: &[u8]) -> [u8; 32] {
    Sha256::digest(key).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, from_value, json};

    fn admission(more: &Value) -> Admission {
        let mut settings = json!({ "path": "/orders" });
        settings.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
        Admission::new(&from_value(settings).expect("reads"))
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (header::HeaderName::from_static(name), value.parse().expect("a value"))).collect()
    }

    fn status(admitted: Result<Room, Refused>) -> Option<u16> {
        admitted.err().map(|refused| refused.status.as_u16())
    }

    #[test]
    fn each_of_the_keys_opens_the_path_and_nothing_else_does() {
        let admission = admission(&json!({ "api_keys": ["old-key", "new-key"] }));
        for good in [("authorization", "Bearer old-key"), ("authorization", "bearer new-key"), ("x-api-key", "new-key")] {
            assert_eq!(status(admission.admit(&headers(&[good]))), None, "{good:?}");
        }
        for bad in [("authorization", "Basic old-key"), ("authorization", "Bearer old-ke"), ("x-api-key", ""), ("x-api-key", "old-key ,")] {
            assert_eq!(status(admission.admit(&headers(&[bad]))), Some(401), "{bad:?}");
        }
        assert_eq!(status(admission.admit(&HeaderMap::new())), Some(401));
    }

    #[test]
    fn a_burst_is_taken_and_what_comes_after_it_is_told_to_wait() {
        let admission = admission(&json!({ "rate": { "requests_per_second": 1, "burst": 3 } }));
        let answers: Vec<_> = (0..4).map(|_| status(admission.admit(&HeaderMap::new()))).collect();
        assert_eq!(answers, [None, None, None, Some(429)]);
        let wait = admission.admit(&HeaderMap::new()).expect_err("is refused").retry_after;
        assert!(wait.is_some_and(|wait| wait > Duration::ZERO && wait <= Duration::from_secs(1)), "{wait:?}");
    }

    #[test]
    fn bodies_take_room_until_they_are_done_with() {
        let admission = admission(&json!({ "max_body": "4KiB", "max_in_flight": "8KiB" }));
        let body = |length: &'static str| headers(&[("content-length", length)]);
        let first = admission.admit(&body("4000")).expect("has room");
        let chunked = admission.admit(&HeaderMap::new()).expect("has room for the largest");
        assert_eq!(status(admission.admit(&body("2000"))), Some(429));
        drop(first);
        assert_eq!(status(admission.admit(&headers(&[("content-length", "10"), ("content-encoding", "gzip")]))), Some(429), "may grow");
        drop(chunked);
        assert_eq!(status(admission.admit(&headers(&[("content-length", "10"), ("content-encoding", "gzip")]))), None);
    }
}
