//! How many records may be rejected within a minute.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

const MINUTE: Duration = Duration::from_mins(1);

/// A quota over a window that slides: what was committed within the last minute, and what is not committed yet.
#[derive(Debug)]
pub(super) struct Quota {
    /// `None` has no end.
    most: Option<NonZeroU32>,
    committed: VecDeque<(Instant, usize)>,
    reserved: usize,
}

impl Quota {
    pub(super) fn new(most: Option<NonZeroU32>) -> Self {
        Self { most, committed: VecDeque::new(), reserved: 0 }
    }

    /// Whether there is room for `count` more at `now`; the quota when there is not.
    pub(super) fn room_for(&self, count: usize, now: Instant) -> Result<(), NonZeroU32> {
        let Some(most) = self.most else { return Ok(()) };
        let recent = self.committed.iter().rev().take_while(|(at, _)| now.saturating_duration_since(*at) < MINUTE);
        let used: usize = recent.map(|(_, count)| count).sum::<usize>() + self.reserved;
        if used + count > most.get() as usize { Err(most) } else { Ok(()) }
    }

    /// `count` are about to be committed.
    pub(super) fn reserve(&mut self, count: usize) {
        self.reserved += count;
    }

    /// What was reserved is committed.
    pub(super) fn commit(&mut self, now: Instant) {
        let count = std::mem::take(&mut self.reserved);
        if self.most.is_none() || count == 0 {
            return;
        }
        while self.committed.front().is_some_and(|(at, _)| now.saturating_duration_since(*at) >= MINUTE) {
            self.committed.pop_front();
        }
        self.committed.push_back((now, count));
    }

    /// What was reserved will not be.
    pub(super) fn abandon(&mut self) {
        self.reserved = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(most: u32) -> Quota {
        Quota::new(NonZeroU32::new(most))
    }

    fn commit(quota: &mut Quota, count: usize, at: Instant) {
        quota.reserve(count);
        quota.commit(at);
    }

    #[test]
    fn a_quota_is_used_up_within_a_minute_and_free_again_after_it() {
        let (mut quota, start) = (quota(10), Instant::now());
        commit(&mut quota, 6, start);
        commit(&mut quota, 3, start + Duration::from_secs(30));
        let soon = start + Duration::from_secs(59);
        assert!(quota.room_for(1, soon).is_ok() && quota.room_for(2, soon).is_err());
        let later = start + MINUTE;
        assert!(quota.room_for(7, later).is_ok() && quota.room_for(8, later).is_err());
    }

    #[test]
    fn what_is_not_committed_yet_counts_until_it_is_given_up() {
        let (mut quota, now) = (quota(10), Instant::now());
        quota.reserve(10);
        assert!(quota.room_for(1, now).is_err());
        quota.abandon();
        assert!(quota.room_for(10, now).is_ok());
    }

    #[test]
    fn without_a_quota_there_is_always_room_and_nothing_is_remembered() {
        let (mut quota, now) = (Quota::new(None), Instant::now());
        commit(&mut quota, 1_000_000, now);
        assert!(quota.room_for(1_000_000, now).is_ok() && quota.committed.is_empty());
    }
}
