//! Steps of a session through the connection's link, which ends those that take too long. Nothing else tells that a network swallows what
//! is sent: sqlx has no keep-alive of its own.

use std::ops::Range;

use async_trait::async_trait;
use millrace_model::Result;
use millrace_runtime::resilience::Link;

use super::{Attempt, Outcome};

/// A search whose attempts are each answered in time. Were it the whole search, a round that is refused row by row would be
/// given up, come again, and never end.
pub(crate) struct Answered<A> {
    pub(crate) link: Link,
    pub(crate) search: A,
}

#[async_trait]
impl<A: Attempt + Send> Attempt for Answered<A> {
    async fn attempt(&mut self, rows: Range<usize>) -> Result<Outcome> {
        self.link.step(self.search.attempt(rows)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::Config;
    use crate::table::land;
    use millrace_model::{Code, Retry};
    use std::time::Duration;

    /// A server that refuses every row, and takes so long to say so.
    struct Slow(Duration);

    #[async_trait]
    impl Attempt for Slow {
        async fn attempt(&mut self, _: Range<usize>) -> Result<Outcome> {
            tokio::time::sleep(self.0).await;
            Ok(Outcome::Refused("bad".into()))
        }
    }

    fn slow(minutes: u64) -> Answered<Slow> {
        let config: Config = serde_json::from_str(r#"{ "host": "h", "database": "d", "user": "u" }"#).expect("reads");
        Answered { link: config.link().clone(), search: Slow(Duration::from_mins(minutes)) }
    }

    #[tokio::test(start_paused = true)]
    async fn a_search_may_take_as_long_as_it_must() {
        let refused = land(&mut slow(10), 8).await.expect("each attempt is answered");
        assert_eq!(refused.len(), 8);
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_that_is_not_answered_is_passing_trouble() {
        let fault = land(&mut slow(16), 8).await.expect_err("takes too long");
        assert_eq!((fault.code(), fault.retry()), (Code::TargetUnavailable, Retry::BackOff));
    }
}
