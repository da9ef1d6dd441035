//! Which of several hosts is asked first.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::project::Balance;

#[derive(Debug)]
pub(super) struct Turn {
    balance: Balance,
    /// The host to begin with.
    first: AtomicUsize,
}

impl Turn {
    pub(super) const fn new(balance: Balance) -> Self {
        Self { balance, first: AtomicUsize::new(0) }
    }

    /// The numbers of `count` hosts in the order in which they are asked.
    pub(super) fn order(&self, count: usize) -> impl Iterator<Item = usize> + use<> {
        let first = match self.balance {
            Balance::InOrder => self.first.load(Ordering::Relaxed),
            Balance::Spread => self.first.fetch_add(1, Ordering::Relaxed),
        };
        (0..count).map(move |step| (first % count + step) % count)
    }

    /// That host answered: where hosts are asked in order it is asked first from now on, so that one that is away costs its time once.
    pub(super) fn answered(&self, host: usize) {
        if self.balance == Balance::InOrder {
            self.first.store(host, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(turn: &Turn) -> Vec<usize> {
        turn.order(3).collect()
    }

    #[test]
    fn the_host_that_answered_is_asked_first() {
        let turn = Turn::new(Balance::InOrder);
        assert_eq!(order(&turn), [0, 1, 2]);
        turn.answered(1);
        assert_eq!(order(&turn), [1, 2, 0]);
    }

    #[test]
    fn spread_calls_begin_with_each_host_in_turn() {
        let turn = Turn::new(Balance::Spread);
        turn.answered(2);
        assert_eq!([order(&turn), order(&turn), order(&turn), order(&turn)], [[0, 1, 2], [1, 2, 0], [2, 0, 1], [0, 1, 2]]);
    }
}
