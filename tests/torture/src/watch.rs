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
    /// `millrace_<service>_records_rejected_total` has risen for values that are no records, of which nobody else brings any.
    Unreadable,
    /// The same for records that no topic takes.
    TooLarge,
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
            Self::Unreadable => "records_rejected_total of values that are no records",
            Self::TooLarge => "records_rejected_total of records that are too large",
            Self::NotReady => "not ready",
        }
    }
}

/// Samples of the families whose names end so, of these codes; of all where none is named.
struct Samples {
    family: &'static str,
    codes: &'static [&'static str],
}

impl Samples {
    const fn of(family: &'static str) -> Self {
        Self { family, codes: &[] }
    }

    fn sum(&self, metrics: &str) -> f64 {
        let values = metrics.lines().filter(|line| self.has(line)).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        values.sum()
    }

    fn has(&self, line: &str) -> bool {
        let of_family = line.split(['{', ' ']).next().is_some_and(|family| family.ends_with(self.family));
        of_family && (self.codes.is_empty() || self.codes.iter().any(|code| line.contains(&format!("code=\"{code}\""))))
    }
}

const COUNTERS: [(Sign, Samples); 4] = [
    (Sign::Retries, Samples::of("_retries_total")),
    (Sign::ConnectionFailures, Samples::of("_connection_failures_total")),
    (Sign::Unreadable, Samples { family: "_records_rejected_total", codes: &["MR0303", "MR0310", "MR0311"] }),
    (Sign::TooLarge, Samples { family: "_records_rejected_total", codes: &["MR0207"] }),
];
const GAUGES: [(Sign, Samples); 3] = [
    (Sign::Waiting, Samples::of("_waiting")),
    (Sign::Halted, Samples::of("_halted")),
    (Sign::BreakerOpen, Samples::of("_connection_breaker_state")),
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
            for (sign, samples) in COUNTERS {
                watch.first.insert((process, sign), samples.sum(&metrics));
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
        for (sign, samples) in COUNTERS {
            if samples.sum(metrics) > self.first.get(&(process, sign)).copied().unwrap_or(0.0) {
                self.seen.insert(sign);
            }
        }
        for (sign, samples) in GAUGES {
            if samples.sum(metrics) > 0.0 {
                self.seen.insert(sign);
            }
        }
    }
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

    #[test]
    fn what_was_rejected_is_told_by_its_code() {
        let seen = |code: &str| {
            let mut watch = Watch::default();
            watch.take(1, &format!("millrace_transform_records_rejected_total{{code=\"{code}\",pipeline=\"a\"}} 1\n"));
            watch.seen
        };
        assert_eq!(seen("MR0311"), BTreeSet::from([Sign::Unreadable]));
        assert_eq!(seen("MR0207"), BTreeSet::from([Sign::TooLarge]));
        assert_eq!(seen("MR0504"), BTreeSet::new());
    }
}
