//! What an operator sees while a fault lasts: metrics and readiness of the instances.

use std::collections::{BTreeMap, BTreeSet};

use crate::fleet::Fleet;

/// A sign of trouble that an operator's alerts can be made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Sign {
    /// `millrace_<service>_retries_total` has risen.
    Retries,
    /// `millrace_<service>_waiting` is 1.
    Waiting,
    /// `millrace_<service>_halted` is 1.
    Halted,
    /// `millrace_connection_failures_total` of the warehouse or the registry has risen.
    ConnectionFailures,
    /// `millrace_connection_breaker_state` is not 0.
    BreakerOpen,
    /// `millrace_<service>_records_rejected_total` has risen.
    Rejected,
    /// An instance does not answer, or `/health/ready` says 503.
    NotReady,
}

impl Sign {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Retries => "retries_total",
            Self::Waiting => "waiting",
            Self::Halted => "halted",
            Self::ConnectionFailures => "connection_failures_total",
            Self::BreakerOpen => "connection_breaker_state",
            Self::Rejected => "records_rejected_total",
            Self::NotReady => "not ready",
        }
    }
}

const COUNTERS: [(Sign, &str); 3] = [
    (Sign::Retries, "_retries_total"),
    (Sign::ConnectionFailures, "_connection_failures_total"),
    (Sign::Rejected, "_records_rejected_total"),
];

/// The signs since a moment.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// By process and sign the counter's value at first sight.
    first: BTreeMap<(u32, Sign), f64>,
    pub(crate) seen: BTreeSet<Sign>,
}

impl Watch {
    /// From now on. A process that comes later has counted nothing before.
    pub(crate) async fn begin(fleet: &Fleet) -> Self {
        let mut watch = Self::default();
        for (process, metrics) in fleet.metrics().await {
            for (sign, end) in COUNTERS {
                watch.first.insert((process, sign), sum(&metrics, end));
            }
        }
        watch
    }

    /// Looks at the instances as they are now.
    pub(crate) async fn look(&mut self, fleet: &Fleet) {
        for (process, metrics) in fleet.metrics().await {
            self.take(process, &metrics);
        }
        let unready = |said: &Option<serde_json::Value>| said.as_ref().is_none_or(|said| said["ready"] == false);
        if fleet.health().await.iter().any(|(_, said)| unready(said)) {
            self.seen.insert(Sign::NotReady);
        }
    }

    fn take(&mut self, process: u32, metrics: &str) {
        for (sign, end) in COUNTERS {
            if sum(metrics, end) > self.first.get(&(process, sign)).copied().unwrap_or(0.0) {
                self.seen.insert(sign);
            }
        }
        for (sign, end) in [(Sign::Waiting, "_waiting"), (Sign::Halted, "_halted"), (Sign::BreakerOpen, "_connection_breaker_state")] {
            if sum(metrics, end) > 0.0 {
                self.seen.insert(sign);
            }
        }
    }
}

/// The sum of all samples of the families whose names end so.
fn sum(metrics: &str, end: &str) -> f64 {
    let samples = metrics.lines().filter(|line| line.split(['{', ' ']).next().is_some_and(|family| family.ends_with(end)));
    samples.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_that_rises_and_a_gauge_that_is_up_are_signs() {
        let mut watch = Watch { first: BTreeMap::from([((1, Sign::Retries), 3.0)]), ..Watch::default() };
        let metrics = |retries, waiting| {
            format!("millrace_loader_retries_total{{pipeline=\"a\"}} {retries}\nmillrace_loader_waiting{{pipeline=\"a\"}} {waiting}\n")
        };
        watch.take(1, &metrics(3, 0));
        assert_eq!(watch.seen, BTreeSet::new());
        watch.take(1, &metrics(4, 0));
        assert_eq!(watch.seen, BTreeSet::from([Sign::Retries]));
        watch.take(2, &metrics(0, 1));
        assert_eq!(watch.seen, BTreeSet::from([Sign::Retries, Sign::Waiting]));
    }
}
