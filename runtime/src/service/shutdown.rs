//! When to stop.

use std::time::Duration;

use millrace_model::{Code, Fault, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// Says when to stop. All clones say the same.
///
/// Loops look at it between batches: they commit what they have and leave.
#[derive(Debug, Clone, Default)]
pub struct Shutdown(CancellationToken);

impl Shutdown {
    /// One that only [`Shutdown::request`] triggers.
    pub fn new() -> Self {
        Self::default()
    }

    /// One that SIGTERM or SIGINT triggers. A second signal ends the process at once, with status 130.
    pub fn on_signals() -> Result<Self> {
        let mut signals = Signals::listen()?;
        let shutdown = Self::new();
        let requested = shutdown.clone();
        tokio::spawn(async move {
            signals.next().await;
            info!("stopping: what is in hand is committed first; a second signal ends at once");
            requested.request();
            signals.next().await;
            warn!("ended at once; what was not committed is read again at the next start");
            std::process::exit(130);
        });
        Ok(shutdown)
    }

    /// Asks everybody to stop.
    pub fn request(&self) {
        self.0.cancel();
    }

    /// Whether it was asked.
    pub fn is_requested(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Waits until it is asked. Safe to drop and to call again.
    pub async fn requested(&self) {
        self.0.cancelled().await;
    }

    /// Waits until it was asked so long ago. Safe to drop.
    pub async fn overdue(&self, timeout: Duration) {
        self.requested().await;
        tokio::time::sleep(timeout).await;
    }

    /// Runs `work` until it ends or the stop is asked; `None` says the latter. `work` is dropped then, so it must be safe to cancel.
    pub async fn or<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        self.0.run_until_cancelled(work).await
    }

    /// One that stops with this one, and can be stopped alone.
    #[must_use]
    pub fn child(&self) -> Self {
        Self(self.0.child_token())
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> Result<Self> {
        let listen = |kind| signal(kind).map_err(|error| Fault::fatal(Code::Io, "the system gives no signals").because(error));
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_clone_hears_the_request() {
        let shutdown = Shutdown::new();
        let clone = shutdown.clone();
        shutdown.request();
        clone.requested().await;
        assert_eq!(clone.or(std::future::pending::<()>()).await, None);
    }

    #[tokio::test]
    async fn a_child_stops_with_its_parent_but_not_the_other_way() {
        let (parent, other) = (Shutdown::new(), Shutdown::new());
        let (child, alone) = (parent.child(), other.child());
        parent.request();
        alone.request();
        assert!(child.is_requested());
        assert!(!other.is_requested());
    }
}
