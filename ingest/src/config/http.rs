//! What a path of the push gateway takes, and from whom.

use std::num::NonZeroU32;

use millrace_runtime::project::{ByteSize, Millis, Secret};
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{Deserializer, Error};

/// A path of the push gateway, for `POST` of JSON (one object, an array of them, or one on each line), Avro (one value or a
/// container file) and CloudEvents; gzip and zstd are taken off.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// The path, such as `/flights`; each pipeline has its own.
    #[schemars(regex(pattern = "^/"))]
    pub path: String,
    /// The largest body that is taken, also after its compression is taken off; a larger one is answered with 413.
    #[serde(default = "max_body")]
    pub max_body: ByteSize,
    /// How many bytes of bodies this path holds at once, and at most a quarter of its pipeline's part of the `memory` of `service:`; a request
    /// beyond it is answered with 429.
    #[serde(default = "max_in_flight")]
    pub max_in_flight: ByteSize,
    /// How long a body may take to arrive; a slower one, and one of which nothing comes for 10 seconds, is answered with 408.
    #[serde(default = "body_timeout")]
    pub body_timeout: Millis,
    /// Keys of which a request must bring one, as `Authorization: Bearer KEY` or `X-API-Key: KEY`; several, so that one can take
    /// the place of another. Without them the path is open to whoever reaches it.
    #[serde(default)]
    pub api_keys: Option<ApiKeys>,
    /// How many requests the path takes from all senders together; each replica counts its own.
    #[serde(default)]
    pub rate: Option<Rate>,
    /// What is remembered of requests with an `Idempotency-Key`.
    #[serde(default)]
    pub idempotency: Idempotency,
    /// Which web pages may send from a browser; without it none of another origin.
    #[serde(default)]
    pub cors: Option<Cors>,
}

impl Http {
    /// The same where a path may hold no more than so many bytes of bodies; the largest body has room in any case.
    #[must_use]
    pub(crate) fn within(self, bytes: usize) -> Self {
        let room = (bytes as u64).max(self.max_body.bytes());
        Self { max_in_flight: ByteSize::new(self.max_in_flight.bytes().min(room)), ..self }
    }
}

const fn max_body() -> ByteSize {
    ByteSize::new(1 << 20)
}

const fn max_in_flight() -> ByteSize {
    ByteSize::new(64 << 20)
}

const fn body_timeout() -> Millis {
    Millis::new(60_000)
}

/// The keys of a path: at least one, and none of them empty.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(inline)]
pub struct ApiKeys(#[schemars(length(min = 1))] Vec<Secret>);

impl ApiKeys {
    /// The keys.
    pub fn keys(&self) -> &[Secret] {
        &self.0
    }
}

/// By hand: an empty list, or a key from a variable that is empty, would open what was to be closed.
impl<'de> Deserialize<'de> for ApiKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let keys = Vec::<Secret>::deserialize(deserializer)?;
        if keys.is_empty() || keys.iter().any(|key| key.reveal().trim().is_empty()) {
            return Err(D::Error::custom("expected at least one key, and none that is empty"));
        }
        Ok(Self(keys))
    }
}

/// A rate of requests; one beyond it is answered with 429.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// How many in a second, in the long run.
    pub requests_per_second: NonZeroU32,
    /// How many may come at once after a pause; as many as in a second without it.
    #[serde(default)]
    pub burst: Option<NonZeroU32>,
}

/// What is remembered of requests with an `Idempotency-Key`: one that is repeated is not written again and gets the first answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Idempotency {
    /// For how long after the first answer.
    pub window: Millis,
    /// How much memory a replica uses for it. When it is full, requests with a new key are answered with 429 until the oldest
    /// are forgotten; a key takes about 300 bytes.
    pub memory: ByteSize,
}

impl Default for Idempotency {
    fn default() -> Self {
        Self { window: Millis::new(24 * 3_600_000), memory: ByteSize::new(256 << 20) }
    }
}

/// What browsers are told of a path (Fetch standard, CORS).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cors {
    /// The origins that may send, such as `https://shop.example`; `*` for all.
    #[schemars(length(min = 1))]
    pub origins: Vec<String>,
    /// How long a browser may go by what it was told.
    #[serde(default = "max_age")]
    pub max_age: Millis,
}

const fn max_age() -> Millis {
    Millis::new(600_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, from_value, json};

    fn http(more: &Value) -> Result<Http, String> {
        let mut settings = json!({ "path": "/orders" });
        settings.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
        from_value(settings).map_err(|error| error.to_string())
    }

    #[test]
    fn a_path_is_open_and_limited_where_nothing_is_said() {
        let http = http(&json!({})).expect("reads");
        assert_eq!((http.max_body.bytes(), http.max_in_flight.bytes()), (1 << 20, 64 << 20));
        assert_eq!((http.api_keys, http.rate, http.cors), (None, None, None));
        assert_eq!(http.idempotency.window.duration(), std::time::Duration::from_hours(24));
    }

    #[test]
    fn bodies_stay_within_the_budget_and_the_largest_has_room() {
        let held = |bytes| http(&json!({})).expect("reads").within(bytes).max_in_flight.bytes();
        assert_eq!((held(1 << 30), held(8 << 20), held(1000)), (64 << 20, 8 << 20, 1 << 20));
    }

    #[test]
    fn keys_that_would_leave_the_path_open_are_refused_and_never_shown() {
        for keys in [json!([]), json!([""]), json!(["hunter2", " "])] {
            let error = http(&json!({ "api_keys": keys })).expect_err("is refused");
            assert!(error.contains("at least one key") && !error.contains("hunter2"), "{error}");
        }
        assert!(!format!("{:?}", http(&json!({ "api_keys": ["hunter2"] }))).contains("hunter2"));
    }
}
