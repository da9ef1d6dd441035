//! The time of a batch, which `now()` gives for all of its rows.

/// Where the time comes from; tests have their own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock(fn() -> i64);

impl Clock {
    /// The system's clock.
    pub(super) const SYSTEM: Self = Self(|| jiff::Timestamp::now().as_microsecond());

    /// A clock that stands still, at `micros` since the epoch.
    #[cfg(test)]
    pub(super) const fn standing(micros: fn() -> i64) -> Self {
        Self(micros)
    }

    /// Microseconds since the epoch.
    pub(super) fn now(self) -> i64 {
        (self.0)()
    }
}
