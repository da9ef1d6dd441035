//! How fast letters are replayed.

use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

/// A rate, such as `100/s` or `600/m`; a number alone is for a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    count: NonZeroU32,
    per: Duration,
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || format!("`{text}` is no rate; expected a number with its time, such as 100/s, 600/m or 1000/h");
        let (count, unit) = text.split_once('/').unwrap_or((text, "s"));
        let per = match unit.trim() {
            "s" => Duration::from_secs(1),
            "m" => Duration::from_mins(1),
            "h" => Duration::from_hours(1),
            _ => return Err(expected()),
        };
        Ok(Self { count: count.trim().parse().map_err(|_| expected())?, per })
    }
}

/// Lets so many letters through.
pub(crate) struct Limiter(Option<DefaultDirectRateLimiter>);

impl Limiter {
    pub(crate) fn new(rate: Option<Rate>) -> Self {
        // One at a time: a rate of 60 a minute is one each second, not 60 at once.
        let quota = rate.and_then(|rate| Quota::with_period(rate.per / rate.count.get())).map(|quota| quota.allow_burst(NonZeroU32::MIN));
        Self(quota.map(RateLimiter::direct))
    }

    /// How many letters may go together.
    pub(crate) fn most(&self, without_limit: usize) -> usize {
        if self.0.is_some() { 1 } else { without_limit }
    }

    /// Waits until one more may go.
    pub(crate) async fn ready(&self) {
        if let Some(limiter) = &self.0 {
            limiter.until_ready().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_has_a_time_and_is_for_a_second_without() {
        let rate = |text: &str| text.parse::<Rate>().map(|rate| (rate.count.get(), rate.per.as_secs()));
        assert_eq!(rate("100/s"), Ok((100, 1)));
        assert_eq!(rate("600/m"), Ok((600, 60)));
        assert_eq!(rate("7"), Ok((7, 1)));
        for wrong in ["0/s", "x", "10/d", "-1"] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn letters_are_let_through_one_after_the_other() {
        let limiter = Limiter::new("50/s".parse().ok());
        let started = std::time::Instant::now();
        for _ in 0..6 {
            limiter.ready().await;
        }
        assert!(started.elapsed() >= Duration::from_millis(95), "{:?}", started.elapsed());
    }
}
