//! How long the server may take. Nothing else tells that a network swallows what is sent: sqlx has no keep-alive of its own.

use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use millrace_model::{Code, Fault, Result};

use crate::table::{Attempt, Outcome};

/// How long one step may last: far longer than the largest round takes.
const ANSWERED_WITHIN: Duration = Duration::from_mins(15);

/// Waits for a step to end.
pub(super) async fn answered<T>(step: impl Future<Output = Result<T>>) -> Result<T> {
    let message = || format!("PostgreSQL: the server did not answer within {ANSWERED_WITHIN:?}");
    tokio::time::timeout(ANSWERED_WITHIN, step).await.map_err(|_| Fault::passing(Code::TargetUnavailable, message()))?
}

/// A search whose attempts are each answered in time. Were it the whole search, a round that is refused row by row would be
/// given up, come again, and never end.
pub(super) struct Answered<A>(pub(super) A);

#[async_trait]
impl<A: Attempt + Send> Attempt for Answered<A> {
    async fn attempt(&mut self, rows: Range<usize>) -> Result<Outcome> {
        answered(self.0.attempt(rows)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::land;
    use millrace_model::Retry;

    /// A server that refuses every row, and takes so long to say so.
    struct Slow(Duration);

    #[async_trait]
    impl Attempt for Slow {
        async fn attempt(&mut self, _: Range<usize>) -> Result<Outcome> {
            tokio::time::sleep(self.0).await;
            Ok(Outcome::Refused("bad".into()))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_search_may_take_as_long_as_it_must() {
        let refused = land(&mut Answered(Slow(Duration::from_mins(10))), 8).await.expect("each attempt is answered");
        assert_eq!(refused.len(), 8);
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_that_is_not_answered_is_passing_trouble() {
        let fault = land(&mut Answered(Slow(Duration::from_mins(16))), 8).await.expect_err("takes too long");
        assert_eq!((fault.code(), fault.retry()), (Code::TargetUnavailable, Retry::BackOff));
    }
}
