//! How careful a transform is with records that Kafka may not take.

use std::time::{Duration, Instant};

use millrace_model::{Code, Fault};
use millrace_runtime::project::{Delivery, OnError};

use crate::config::Pipeline;

/// How long a transform is careful after a record that was too large: one seldom comes alone.
const CAREFUL: Duration = Duration::from_mins(1);

/// What is done so that a record which is larger than its topic takes stops none of the others.
///
/// The broker refuses it when it is sent, with all that is in its request, and with its transaction the records of all batches since the last
/// commit. So the run ends, and the next one reads them again, and carefully.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Care {
    /// Nothing.
    Usual,
    /// Each batch is a transaction, and is tried in another before; until then.
    Sifting(Instant),
    /// Long dead letters are cut as well.
    Cutting(Instant),
}

impl Care {
    /// How careful the run after one that ended with `fault` is; nothing where care does not help, or is not allowed.
    pub(crate) fn after(self, fault: &Fault, pipeline: &Pipeline) -> Option<Self> {
        let helps = pipeline.delivery == Delivery::ExactlyOnce && pipeline.on_error == OnError::DeadLetter;
        if fault.code() != Code::KafkaTooLarge || !helps {
            return None;
        }
        match self {
            Self::Usual => Some(Self::Sifting(Instant::now() + CAREFUL)),
            Self::Sifting(_) => Some(Self::Cutting(Instant::now() + CAREFUL)),
            Self::Cutting(_) => None,
        }
    }

    /// Whether batches are sifted.
    pub(crate) fn sifts(self) -> bool {
        self != Self::Usual
    }

    /// Whether dead letters are cut.
    pub(crate) fn cuts(self) -> bool {
        matches!(self, Self::Cutting(_))
    }

    /// After a batch of which so many records were too large.
    pub(crate) fn go_on(&mut self, too_large: bool) {
        let now = Instant::now();
        match self {
            Self::Sifting(until) | Self::Cutting(until) if too_large => *until = now + CAREFUL,
            Self::Sifting(until) | Self::Cutting(until) if *until <= now => *self = Self::Usual,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn care_ends_a_minute_after_the_last_record_that_was_too_large() {
        let over = Instant::now();
        let mut care = Care::Sifting(over);
        care.go_on(true);
        assert!(care.sifts() && !care.cuts());
        care.go_on(false);
        assert!(care.sifts(), "the minute is not over");
        let mut care = Care::Cutting(over);
        care.go_on(false);
        assert_eq!(care, Care::Usual);
    }
}
