//! Backoff for passing trouble, and what each kind of fault does to a pipeline.

use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use millrace_model::{Fault, Retry};

/// How often a halted pipeline looks whether its operator has acted.
const OPERATOR_INTERVAL: Duration = Duration::from_mins(1);
/// The longest wait for passing trouble to pass, before jitter, which adds as much again at most: 5 s.
const LONGEST: Duration = Duration::from_millis(2500);
/// Work that lasted this long before it failed starts the backoff anew.
const STEADY: Duration = Duration::from_mins(1);

/// Waits that grow from 100 ms to 5 s, with jitter, so that many instances do not return at once. No longer ones: what was away for long is not to be missed for
/// half a minute more, and one attempt in 5 s is no burden to it.
#[derive(Debug)]
pub struct Backoff {
    waits: ExponentialBackoff,
    started: Instant,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { waits: waits(), started: Instant::now() }
    }
}

fn waits() -> ExponentialBackoff {
    ExponentialBuilder::new().with_min_delay(Duration::from_millis(100)).with_max_delay(LONGEST).with_jitter().without_max_times().build()
}

/// What comes after a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Wait so long, showing that the pipeline waits, and start over.
    WaitFor(Duration),
    /// Stand halted, but look again after so long.
    HaltFor(Duration),
    /// Stand halted.
    Halt,
}

impl Backoff {
    /// An attempt starts.
    pub fn attempt(&mut self) {
        self.started = Instant::now();
    }

    /// The attempt failed with `fault`. A fault that knows for how long a try is in vain is waited out just so long.
    pub fn after(&mut self, fault: &Fault) -> Next {
        if self.started.elapsed() > STEADY {
            self.waits = waits();
        }
        match fault.retry() {
            Retry::BackOff => Next::WaitFor(fault.wait().or_else(|| self.waits.next()).unwrap_or(OPERATOR_INTERVAL)),
            Retry::Operator => Next::HaltFor(OPERATOR_INTERVAL),
            Retry::Never => Next::Halt,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millrace_model::Code;

    #[test]
    fn passing_trouble_is_waited_out_for_as_long_as_it_lasts() {
        let mut backoff = Backoff::default();
        let fault = Fault::passing(Code::KafkaUnavailable, "away");
        for _ in 0..1000 {
            assert!(matches!(backoff.after(&fault), Next::WaitFor(wait) if wait <= 2 * LONGEST));
        }
    }

    #[test]
    fn a_fault_that_says_how_long_a_try_is_in_vain_is_waited_out_so_long() {
        let fault = Fault::passing(Code::TargetUnavailable, "left alone").not_before(Duration::from_secs(7));
        assert_eq!(Backoff::default().after(&fault), Next::WaitFor(Duration::from_secs(7)));
    }

    #[test]
    fn an_operators_trouble_halts_and_is_looked_at_again() {
        let fault = Fault::operator(Code::KafkaAuthentication, "refused");
        assert_eq!(Backoff::default().after(&fault), Next::HaltFor(OPERATOR_INTERVAL));
    }
}
