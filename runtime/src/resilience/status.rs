//! How a system is, as far as the calls to it tell.

use std::time::Duration;

use serde::Serialize;

/// What is known of a system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkState {
    /// It was not asked yet.
    Unknown,
    /// It answered the last call.
    Up,
    /// It did not answer the last calls.
    Failing,
    /// It is left alone, or on trial after that.
    Open,
}

/// How a system is, as an operator sees it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LinkStatus {
    /// What it is: `postgres`, `registry`.
    pub kind: &'static str,
    /// What is known of it.
    pub state: LinkState,
    /// What the breaker does: `closed`, `open`, `half_open`.
    pub breaker: &'static str,
    /// How many calls failed since one was answered.
    pub failures: u32,
    /// How long the last answer took, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<f64>,
    /// How long ago that was, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answered_s: Option<u64>,
    /// When it is asked again, in milliseconds, while it is left alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked_again_ms: Option<u64>,
    /// Why the last call failed, as long as none was answered since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Milliseconds with what a person reads of them.
pub(super) fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 10_000.0).round() / 10.0
}
