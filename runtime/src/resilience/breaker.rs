//! The circuit breaker: a system that does not answer is left alone for a while, and then asked by one call before all others.
//!
//! A state machine of its own: time is given to it, so that tests need no clock; it knows for how long it stays open, which is what
//! pipelines wait; and while it is half open one call passes and no other.

use std::time::{Duration, Instant};

/// How long calls wait for the one that is on trial, before they ask again.
const TRIAL_LOOK: Duration = Duration::from_secs(1);

/// What the breaker does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// Calls pass.
    Closed,
    /// One call is on trial; the others are turned away.
    HalfOpen,
    /// Calls are turned away.
    Open,
}

impl BreakerState {
    /// Its name in health and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half_open",
            Self::Open => "open",
        }
    }
}

#[derive(Debug)]
pub(super) struct Breaker {
    /// How many failures in a row open it; 0 never does.
    threshold: u32,
    open_for: Duration,
    failures: u32,
    opened: Opened,
}

#[derive(Debug, Clone, Copy)]
enum Opened {
    No,
    Until(Instant),
    OnTrial,
}

impl Breaker {
    pub(super) const fn new(threshold: u32, open_for: Duration) -> Self {
        Self { threshold, open_for, failures: 0, opened: Opened::No }
    }

    /// Whether a call may pass, and whether it is the one on trial; else after how long to ask again.
    pub(super) fn admit(&mut self, now: Instant) -> Result<bool, Duration> {
        match self.opened {
            Opened::No => Ok(false),
            Opened::Until(until) if until > now => Err(until - now),
            Opened::Until(_) => {
                self.opened = Opened::OnTrial;
                Ok(true)
            }
            Opened::OnTrial => Err(TRIAL_LOOK.min(self.open_for)),
        }
    }

    /// The other side answered a call, whichever.
    pub(super) fn answered(&mut self) {
        (self.failures, self.opened) = (0, Opened::No);
    }

    /// A call failed. Those that began before it opened change nothing any more.
    pub(super) fn failed(&mut self, on_trial: bool, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        let opens = match self.opened {
            Opened::No => self.threshold > 0 && self.failures >= self.threshold,
            Opened::OnTrial => on_trial,
            Opened::Until(_) => false,
        };
        if opens {
            self.opened = Opened::Until(now + self.open_for);
        }
    }

    /// The call on trial was given up before it had an answer: the next one is on trial.
    pub(super) fn given_up(&mut self, now: Instant) {
        if matches!(self.opened, Opened::OnTrial) {
            self.opened = Opened::Until(now);
        }
    }

    pub(super) fn state(&self) -> BreakerState {
        match self.opened {
            Opened::No => BreakerState::Closed,
            Opened::Until(_) => BreakerState::Open,
            Opened::OnTrial => BreakerState::HalfOpen,
        }
    }

    /// How long it stays open.
    pub(super) fn remaining(&self, now: Instant) -> Option<Duration> {
        match self.opened {
            Opened::Until(until) => Some(until.saturating_duration_since(now)),
            Opened::No | Opened::OnTrial => None,
        }
    }

    /// How many calls failed since one was answered.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN_FOR: Duration = Duration::from_secs(10);

    fn opened(now: Instant) -> Breaker {
        let mut breaker = Breaker::new(3, OPEN_FOR);
        (0..3).for_each(|_| breaker.failed(false, now));
        breaker
    }

    #[test]
    fn failures_in_a_row_open_it_and_an_answer_between_them_does_not() {
        let now = Instant::now();
        let mut breaker = Breaker::new(3, OPEN_FOR);
        for _ in 0..5 {
            breaker.failed(false, now);
            breaker.failed(false, now);
            breaker.answered();
        }
        assert_eq!(breaker.admit(now), Ok(false));
        let mut breaker = opened(now);
        assert_eq!((breaker.admit(now), breaker.state()), (Err(OPEN_FOR), BreakerState::Open));
    }

    #[test]
    fn one_call_is_on_trial_when_the_time_is_over_and_others_wait_for_it() {
        let now = Instant::now();
        let mut breaker = opened(now);
        let later = now + OPEN_FOR;
        assert_eq!(breaker.admit(later), Ok(true));
        assert_eq!((breaker.admit(later), breaker.state()), (Err(TRIAL_LOOK), BreakerState::HalfOpen));
        breaker.answered();
        assert_eq!((breaker.admit(later), breaker.failures()), (Ok(false), 0));
    }

    #[test]
    fn a_trial_that_fails_opens_it_again_for_as_long() {
        let now = Instant::now();
        let mut breaker = opened(now);
        let later = now + OPEN_FOR;
        assert_eq!(breaker.admit(later), Ok(true));
        breaker.failed(false, later);
        assert_eq!(breaker.state(), BreakerState::HalfOpen, "a call from before is no trial");
        breaker.failed(true, later);
        assert_eq!(breaker.admit(later), Err(OPEN_FOR));
    }

    #[test]
    fn a_trial_that_is_given_up_leaves_its_place_to_the_next() {
        let now = Instant::now();
        let mut breaker = opened(now);
        let later = now + OPEN_FOR;
        assert_eq!(breaker.admit(later), Ok(true));
        breaker.given_up(later);
        assert_eq!(breaker.admit(later), Ok(true));
    }

    #[test]
    fn no_threshold_is_no_breaker() {
        let now = Instant::now();
        let mut breaker = Breaker::new(0, OPEN_FOR);
        (0..100).for_each(|_| breaker.failed(false, now));
        assert_eq!(breaker.admit(now), Ok(false));
    }
}
