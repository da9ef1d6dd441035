//! The time by which keys are remembered. The system's clock may be set forward or back at any instant, and a window must not become
//! shorter by that: a request that is repeated within it would be written again.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

/// A moment, as it counts for keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    /// When a key is given: by the clock as it was the furthest ahead, within a window or two.
    pub(super) given: Timestamp,
    /// By when one may be over: by the clock as it was the furthest behind.
    pub(super) over: Timestamp,
}

/// Reads the system's clock, and knows by the monotonic one how it was set within the last windows. When it was set forward, keys that were given
/// before are over when a window has passed indeed; when it was set back, those that are given from then on.
#[derive(Debug)]
pub(super) struct Clock {
    started: Instant,
    window: Duration,
    /// Since the current stretch began, which lasts a window; and in the stretch before.
    now: Option<Stretch>,
    before: Option<Stretch>,
}

/// How far the system's clock was ahead of the monotonic one, at least and at most.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    began: Duration,
    least: Timestamp,
    most: Timestamp,
}

impl Clock {
    pub(super) fn new(window: Duration) -> Self {
        Self { started: Instant::now(), window, now: None, before: None }
    }

    /// The present moment.
    pub(super) fn read(&mut self) -> Moment {
        self.at(Timestamp::now(), self.started.elapsed())
    }

    /// The moment when the system's clock shows `shown`, so long after the start.
    fn at(&mut self, shown: Timestamp, elapsed: Duration) -> Moment {
        let began = moved(shown, elapsed, SignedDuration::checked_neg);
        let now = match self.now {
            Some(now) if elapsed.saturating_sub(now.began) < self.window => {
                Stretch { least: now.least.min(began), most: now.most.max(began), ..now }
            }
            last => {
                self.before = last;
                Stretch { began: elapsed, least: began, most: began }
            }
        };
        self.now = Some(now);
        let (least, most) = self.before.map_or((now.least, now.most), |then| (then.least.min(now.least), then.most.max(now.most)));
        let after = |start| moved(start, elapsed, Some);
        Moment { given: after(most), over: after(least) }
    }
}

/// A time so much later, or earlier as `sign` says; unchanged at the ends of time.
fn moved(time: Timestamp, by: Duration, sign: impl Fn(SignedDuration) -> Option<SignedDuration>) -> Timestamp {
    let by = SignedDuration::try_from(by).ok().and_then(sign);
    by.and_then(|by| time.checked_add(by).ok()).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    fn shown(minutes: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minutes + 1_000_000)
    }

    /// What counts when the clock shows so many minutes, so many minutes after the start: (given, over).
    fn minutes(clock: &mut Clock, at: i64, elapsed: u32) -> (Timestamp, Timestamp) {
        let moment = clock.at(shown(at), elapsed * MINUTE);
        (moment.given, moment.over)
    }

    #[test]
    fn a_clock_that_nobody_sets_is_the_systems() {
        let mut clock = Clock::new(30 * MINUTE);
        for at in [0, 1, 29, 31, 90] {
            assert_eq!(minutes(&mut clock, i64::from(at), at), (shown(i64::from(at)), shown(i64::from(at))));
        }
    }

    #[test]
    fn an_hour_forward_makes_no_key_older_that_was_given_before() {
        let mut clock = Clock::new(30 * MINUTE);
        assert_eq!(minutes(&mut clock, 0, 0), (shown(0), shown(0)));
        assert_eq!(minutes(&mut clock, 61, 1), (shown(61), shown(1)), "one minute has passed");
        assert_eq!(minutes(&mut clock, 89, 29), (shown(89), shown(29)));
        assert_eq!(minutes(&mut clock, 91, 31), (shown(91), shown(31)), "the stretch before still counts");
        assert_eq!(minutes(&mut clock, 121, 61), (shown(121), shown(121)), "keys of before are over by now");
    }

    #[test]
    fn an_hour_back_makes_no_key_older_for_who_owns_it_after_the_clock_was_mended() {
        let mut clock = Clock::new(30 * MINUTE);
        minutes(&mut clock, 60, 0);
        assert_eq!(minutes(&mut clock, 1, 1), (shown(61), shown(1)));
        assert_eq!(minutes(&mut clock, 62, 2), (shown(62), shown(2)), "it was mended: a key of the minute in between is as old as it is");
    }
}
