//! How patient Millrace is with an outside system, alike under every connection and for the registry.

use std::num::NonZeroU32;
use std::time::Duration;

use schemars::JsonSchema;
use serde::de::{Deserializer, Error, Unexpected};
use serde::{Deserialize, Serialize};

use super::Millis;
use crate::resilience::{Link, LinkCell, System};

/// How patient Millrace is with an outside system, and how it treats one that is in trouble.
///
/// ```yaml
/// registry:
///   url: http://registry-1:8081,http://registry-2:8081
///   resilience:
///     timeouts: { connect: 5s, request: 1m }
///     retry: { attempts: 5, initial: 200ms, max: 10s, budget: 20 }
///     breaker: { failures: 10, open_for: 30s }
///     rate_limit: { requests_per_second: 50 }
///     balance: spread
/// ```
///
/// All pipelines of a process that name one connection share its breaker, budget and limits.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Resilience {
    /// How long it may take.
    pub timeouts: Timeouts,
    /// How a call that failed with passing trouble is repeated at once. Beyond that the pipeline starts anew, after 100 ms at first and
    /// at most 5 s, for as long as the trouble lasts.
    pub retry: RetrySettings,
    /// When a system that does not answer is left alone. Its pipelines wait meanwhile, and `/health/ready` says so.
    pub breaker: BreakerSettings,
    /// How many requests a process makes at most; no limit without it. What is beyond waits.
    pub rate_limit: Option<RateLimit>,
    /// Which of several hosts is asked first.
    pub balance: Balance,
    /// What the clones of this configuration have in common.
    #[serde(skip)]
    cell: LinkCell,
}

/// How long an outside system may take.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Timeouts {
    /// To come to terms with one host: name, network, encryption, credentials. Without it 15 s, for Redshift 30 s.
    #[serde(deserialize_with = "some_time")]
    pub connect: Option<Millis>,
    /// To answer one request. Without it 15 m for a database, whose requests last as long as the largest statement, 30 s of silence for an
    /// object store, 10 s for the registry.
    #[serde(deserialize_with = "some_time")]
    pub request: Option<Millis>,
}

/// How a call that failed with passing trouble is repeated.
///
/// Only calls that may be made twice are: connecting, reading, registering schemas. A round of rows that breaks off is loaded anew by its
/// pipeline, from the positions that the target has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Retry")]
pub struct RetrySettings {
    /// How often a call is made at most; 1 repeats nothing.
    pub attempts: NonZeroU32,
    /// How long to wait before the first repetition. Each further wait is twice as long, and each has up to as much again by chance.
    pub initial: Millis,
    /// The longest wait.
    pub max: Millis,
    /// How many repetitions may be made beyond a tenth of what was answered, by all pipelines of the process together. With it used up nothing
    /// is repeated at once, so that a system in trouble is not asked all the more.
    pub budget: u32,
}

impl Default for RetrySettings {
    fn default() -> Self {
        Self { attempts: NonZeroU32::MIN.saturating_add(2), initial: Millis::new(100), max: Millis::new(5_000), budget: 10 }
    }
}

/// When a system that does not answer is left alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Breaker")]
pub struct BreakerSettings {
    /// After so many failures in a row, of all pipelines of the process; 0 for never. A refusal is an answer, and no failure.
    pub failures: u32,
    /// For how long. Then one call is made on trial: when it is answered all go on, else it is left alone for as long again.
    pub open_for: Millis,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self { failures: 5, open_for: Millis::new(10_000) }
    }
}

/// How many requests a process makes of a system.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// How many in a second, by all pipelines of the process together. In a database each round of rows is a few requests, whatever its size.
    pub requests_per_second: NonZeroU32,
    /// How many may come at once after a pause; as many as in a second without it.
    #[serde(default)]
    pub burst: Option<NonZeroU32>,
}

/// Which of several hosts is asked first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Balance {
    /// The first that is named, until it fails; then the one that answered last.
    #[default]
    InOrder,
    /// Each in turn.
    Spread,
}

impl Resilience {
    /// Of a system that is never left alone: one that is asked for health only.
    pub(crate) fn without_breaker() -> Self {
        Self { breaker: BreakerSettings { failures: 0, ..BreakerSettings::default() }, ..Self::default() }
    }

    /// Gives the system the name that it goes by in health and metrics. To be called before the first use; later names change nothing.
    pub fn name(&self, name: &str) {
        self.cell.name(name);
    }

    /// The way to the system, which all clones of this configuration share.
    pub fn link(&self, system: &'static System) -> &Link {
        self.cell.link(|name| Link::new(name, system, self))
    }

    pub(crate) fn connect_within(&self, system: &System) -> Duration {
        self.timeouts.connect.map_or(system.connect, Millis::duration)
    }

    pub(crate) fn answer_within(&self, system: &System) -> Duration {
        self.timeouts.request.map_or(system.request, Millis::duration)
    }
}

/// Nothing is done in no time.
fn some_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Millis>, D::Error> {
    let time = Option::<Millis>::deserialize(deserializer)?;
    match time {
        Some(time) if time.duration().is_zero() => Err(D::Error::invalid_value(Unexpected::Str("0"), &"a time above zero, such as 5s")),
        time => Ok(time),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json};

    #[test]
    fn what_is_not_said_has_a_default_and_no_time_is_refused() {
        let read: Resilience = from_value(json!({ "timeouts": { "connect": "2s" }, "breaker": { "failures": 0 } })).expect("reads");
        assert_eq!((read.timeouts.connect, read.timeouts.request), (Some(Millis::new(2_000)), None));
        assert_eq!((read.breaker.open_for, read.retry.attempts.get()), (Millis::new(10_000), 3));
        let refused = from_value::<Resilience>(json!({ "timeouts": { "request": "0s" } })).expect_err("no time");
        assert!(refused.to_string().contains("above zero"), "{refused}");
        assert!(from_value::<Resilience>(json!({ "retry": { "attempts": 0 } })).is_err());
    }
}
