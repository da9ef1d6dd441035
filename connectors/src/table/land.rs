//! The search for the rows that only the target knows to refuse.

use std::ops::Range;

use async_trait::async_trait;
use millrace_model::Result;

/// How an attempt to land rows ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All of them landed.
    Landed,
    /// None of them landed: the target refused at least one, with this reason.
    Refused(String),
}

/// Rows in an order, which a target takes or refuses by ranges.
#[async_trait]
pub(crate) trait Attempt {
    /// Lands all rows of the range, or none of them. A fault is not about the rows.
    async fn attempt(&mut self, rows: Range<usize>) -> Result<Outcome>;
}

/// Lands as many of `count` rows as the target takes, in their order, and returns the others with the target's reasons.
///
/// All rows are tried at once; a range that is refused is cut in two. `k` refused rows cost about `2k·log₂(count)` attempts.
pub(crate) async fn land(work: &mut (impl Attempt + Send), count: usize) -> Result<Vec<(usize, String)>> {
    search(work, (count > 0).then_some(0..count).into_iter().collect()).await
}

/// The same, where all rows have been tried at once already and were refused for `reason`.
pub(crate) async fn land_refused(work: &mut (impl Attempt + Send), count: usize, reason: String) -> Result<Vec<(usize, String)>> {
    if count == 1 {
        return Ok(vec![(0, reason)]);
    }
    search(work, halves(&(0..count)).into()).await
}

/// Lands the rows of the ranges, the last one first.
async fn search(work: &mut (impl Attempt + Send), mut ranges: Vec<Range<usize>>) -> Result<Vec<(usize, String)>> {
    let mut refused = Vec::new();
    while let Some(range) = ranges.pop() {
        match work.attempt(range.clone()).await? {
            Outcome::Landed => {}
            Outcome::Refused(reason) if range.len() == 1 => refused.push((range.start, reason)),
            Outcome::Refused(_) => ranges.extend(halves(&range)),
        }
    }
    Ok(refused)
}

/// The second half and the first.
fn halves(range: &Range<usize>) -> [Range<usize>; 2] {
    let middle = range.start + range.len() / 2;
    [middle..range.end, range.start..middle]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct Picky {
        bad: Vec<usize>,
        landed: Vec<usize>,
        attempts: usize,
    }

    #[async_trait]
    impl Attempt for Picky {
        async fn attempt(&mut self, rows: Range<usize>) -> Result<Outcome> {
            self.attempts += 1;
            if let Some(bad) = self.bad.iter().find(|bad| rows.contains(bad)) {
                return Ok(Outcome::Refused(bad.to_string()));
            }
            self.landed.extend(rows);
            Ok(Outcome::Landed)
        }
    }

    fn landed(count: usize, bad: Vec<usize>) -> (Picky, Vec<(usize, String)>) {
        let mut work = Picky { bad, landed: Vec::new(), attempts: 0 };
        let refused = futures::executor::block_on(land(&mut work, count)).expect("no fault");
        (work, refused)
    }

    #[test]
    fn what_was_refused_already_is_not_tried_at_once_again() {
        let mut work = Picky { bad: vec![1], landed: Vec::new(), attempts: 0 };
        let refused = futures::executor::block_on(land_refused(&mut work, 2, "1".into())).expect("no fault");
        assert_eq!((refused, work.landed, work.attempts), (vec![(1, "1".to_owned())], vec![0], 2));
        let mut work = Picky { bad: vec![0], landed: Vec::new(), attempts: 0 };
        let refused = futures::executor::block_on(land_refused(&mut work, 1, "0".into())).expect("no fault");
        assert_eq!((refused, work.attempts), (vec![(0, "0".to_owned())], 0));
    }

    #[test]
    fn rows_that_are_all_taken_need_one_attempt_and_no_rows_none() {
        assert_eq!(landed(1000, vec![]).0.attempts, 1);
        assert_eq!(landed(0, vec![]).0.attempts, 0);
    }

    proptest! {
        #[test]
        fn each_row_lands_in_its_order_or_is_refused_with_its_own_reason(
            count in 0_usize..200,
            bad in proptest::collection::btree_set(0_usize..200, 0..20),
        ) {
            let bad: Vec<usize> = bad.into_iter().filter(|&row| row < count).collect();
            let (work, refused) = landed(count, bad.clone());
            let good: Vec<usize> = (0..count).filter(|row| !bad.contains(row)).collect();
            prop_assert_eq!(work.landed, good);
            prop_assert_eq!(refused, bad.iter().map(|&row| (row, row.to_string())).collect::<Vec<_>>());
        }
    }
}
