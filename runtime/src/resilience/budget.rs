//! The retry budget: what keeps repetitions from making a server's trouble worse.

/// How much of a repetition one answer pays back (gRPC's proposal A6 has the same).
const PAID_BACK: f64 = 0.1;

/// So many repetitions may be made beyond the tenth of what was answered.
#[derive(Debug)]
pub(super) struct Budget {
    most: f64,
    left: f64,
}

impl Budget {
    pub(super) fn new(most: u32) -> Self {
        Self { most: f64::from(most), left: f64::from(most) }
    }

    /// Takes one repetition out; whether there was one.
    pub(super) fn take(&mut self) -> bool {
        let enough = self.left >= 1.0;
        if enough {
            self.left -= 1.0;
        }
        enough
    }

    pub(super) fn answered(&mut self) {
        self.left = (self.left + PAID_BACK).min(self.most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetitions_end_with_the_budget_and_answers_give_some_back() {
        let mut budget = Budget::new(2);
        assert_eq!([budget.take(), budget.take(), budget.take()], [true, true, false]);
        (0..11).for_each(|_| budget.answered());
        assert_eq!([budget.take(), budget.take()], [true, false]);
    }

    #[test]
    fn answers_fill_it_no_further_than_it_was() {
        let mut budget = Budget::new(1);
        (0..100).for_each(|_| budget.answered());
        assert_eq!([budget.take(), budget.take()], [true, false]);
    }
}
