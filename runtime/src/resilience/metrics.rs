//! What is counted of the calls to a system: `millrace_connection_<what>_<unit>`, by the system's `connection` and `kind`.

use std::sync::LazyLock;
use std::time::Duration;

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use super::BreakerState;
use crate::telemetry::metrics::{counters, gauges, histograms};

/// Seconds: from a cache's answer to a large COPY.
const DURATIONS: &[f64] = &[0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];

const LABELS: &[&str] = &["connection", "kind"];

struct Families {
    requests: IntCounterVec,
    failures: IntCounterVec,
    retries: IntCounterVec,
    turned_away: IntCounterVec,
    duration: HistogramVec,
    breaker: IntGaugeVec,
}

static FAMILIES: LazyLock<Families> = LazyLock::new(|| Families {
    requests: counters("connection_requests_total", "Requests made.", LABELS),
    failures: counters("connection_failures_total", "Requests that met passing trouble.", LABELS),
    retries: counters("connection_retries_total", "Calls that were repeated at once.", LABELS),
    turned_away: counters("connection_turned_away_total", "Calls that the open breaker turned away.", LABELS),
    duration: histograms("connection_request_duration_seconds", "How long a request took, answered or not.", LABELS, DURATIONS),
    breaker: gauges("connection_breaker_state", "0 when the breaker is closed, 1 when it is half open, 2 when it is open.", LABELS),
});

/// Those of one system.
#[derive(Debug)]
pub(super) struct LinkMetrics {
    requests: IntCounter,
    failures: IntCounter,
    pub(super) retries: IntCounter,
    pub(super) turned_away: IntCounter,
    duration: Histogram,
    breaker: IntGauge,
}

impl LinkMetrics {
    pub(super) fn new(connection: &str, kind: &str) -> Self {
        let labels = &[connection, kind];
        Self {
            requests: FAMILIES.requests.with_label_values(labels),
            failures: FAMILIES.failures.with_label_values(labels),
            retries: FAMILIES.retries.with_label_values(labels),
            turned_away: FAMILIES.turned_away.with_label_values(labels),
            duration: FAMILIES.duration.with_label_values(labels),
            breaker: FAMILIES.breaker.with_label_values(labels),
        }
    }

    pub(super) fn requested(&self, took: Duration, failed: bool) {
        self.requests.inc();
        self.failures.inc_by(u64::from(failed));
        self.duration.observe(took.as_secs_f64());
    }

    pub(super) fn breaker(&self, state: BreakerState) {
        self.breaker.set(match state {
            BreakerState::Closed => 0,
            BreakerState::HalfOpen => 1,
            BreakerState::Open => 2,
        });
    }
}
