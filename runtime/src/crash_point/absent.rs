//! Crash points of a release: nothing.

use millrace_model::Result;

/// A crash point that is not there. It has no name either: no build without crash points holds one.
#[derive(Debug, Clone, Copy)]
pub struct CrashPoint;

impl CrashPoint {
    /// The point of that name, which is forgotten.
    #[doc(hidden)]
    pub const fn new(_: &'static str) -> Self {
        Self
    }

    /// Does nothing.
    #[inline]
    pub fn reached(self) -> Result<()> {
        Ok(())
    }

    /// Does nothing.
    #[inline]
    pub fn passed(self) {}
}
