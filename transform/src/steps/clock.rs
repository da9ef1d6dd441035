//! The time of a batch, which `now()` gives for all of its rows in all steps of a pipeline.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// The time of the batch that is on its way through the steps: the first step reads it, the others are told.
///
/// Else a batch would have as many times as it has steps, and a record that a filter let pass for its time could break the
/// same rule in the next step.
#[derive(Debug, Clone)]
pub(super) struct Clock {
    batch: Arc<AtomicI64>,
    /// Where the first step reads the time; tests have their own.
    source: Option<fn() -> i64>,
}

impl Clock {
    /// The first step's, by the system's clock.
    pub(super) fn system() -> Self {
        Self::reading(|| jiff::Timestamp::now().as_microsecond())
    }

    /// The first step's, by a clock that gives microseconds since the epoch.
    pub(super) fn reading(source: fn() -> i64) -> Self {
        Self { batch: Arc::default(), source: Some(source) }
    }

    /// That of the steps after the first.
    pub(super) fn told(&self) -> Self {
        Self { batch: Arc::clone(&self.batch), source: None }
    }

    /// The batch's time in microseconds since the epoch; called once for each batch.
    pub(super) fn now(&self) -> i64 {
        let Some(source) = self.source else { return self.batch.load(Ordering::Relaxed) };
        let now = source();
        self.batch.store(now, Ordering::Relaxed);
        now
    }
}
