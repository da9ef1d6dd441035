//! A pipeline's life: a thread of its own, its loop run again and again until the shutdown, faults taken as
//! their class says. One pipeline's trouble never touches another's.

use std::sync::Arc;
use std::time::{Duration, Instant};

use millrace_model::{Code, Fault, Result};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::retry::{Backoff, Next};
use crate::service::{Health, PipelineHealth, Shutdown};
use crate::telemetry::{Hop, PipelineMetrics};

/// How often it is looked whether a pipeline on trial has lasted.
const TRIAL_LOOK: Duration = Duration::from_secs(5);

/// What every pipeline's loop has at hand.
#[derive(Debug, Clone)]
pub struct Pipeline {
    /// Its name in the project file.
    pub name: Arc<str>,
    /// `<project>.<pipeline>`: consumer group, first part of transactional ids, key of positions.
    pub id: Arc<str>,
    /// Its state, as operators see it.
    pub health: PipelineHealth,
    /// Its counts.
    pub metrics: PipelineMetrics,
    /// Its part of traces.
    pub hop: Hop,
    /// When to stop.
    pub shutdown: Shutdown,
    /// Whether it ends by itself: when what was there at its start is done, or when it is halted, which a run for ever waits out.
    pub bounded: bool,
}

impl Pipeline {
    /// The pipeline `name` of `project`, run by `service`.
    pub fn new(service: &'static str, project: &str, name: &str, health: &Health, shutdown: &Shutdown) -> Self {
        Self {
            name: name.into(),
            id: format!("{project}.{name}").into(),
            health: health.pipeline(service, name),
            metrics: PipelineMetrics::new(service, name),
            hop: Hop::new(service, name),
            shutdown: shutdown.clone(),
            bounded: false,
        }
    }

    /// The same, for a run that ends by itself.
    #[must_use]
    pub fn bounded(self) -> Self {
        Self { bounded: true, ..self }
    }

    /// A part of this pipeline that runs beside it: the same records, counts and traces, a health of its own.
    #[must_use]
    pub fn part(&self, part: &str) -> Self {
        Self { health: self.health.part(part), ..self.clone() }
    }

    /// Runs `work` on a thread of its own until it ends well, which it does on shutdown, or stands halted for good.
    /// After a fault it is run again, from the start, as the fault's class says.
    ///
    /// The thread may be blocked: other pipelines do not run on it. Must be called within a tokio runtime.
    pub fn spawn(self, work: impl AsyncFnMut(&Self) -> Result<()> + Send + 'static) -> Result<Running> {
        on_a_thread(&Arc::clone(&self.name), async move || self.supervise(work).await)
    }

    async fn supervise(&self, mut work: impl AsyncFnMut(&Self) -> Result<()>) {
        let mut backoff = Backoff::default();
        while !self.shutdown.is_requested() {
            backoff.attempt();
            let Err(fault) = self.on_trial(work(self)).await else { return };
            if self.wait_after(&fault, &mut backoff).await.is_none() {
                return;
            }
        }
    }

    /// Runs a life of the pipeline. One that stood halted and runs long enough without the fault counts as mended.
    async fn on_trial(&self, work: impl Future<Output = Result<()>>) -> Result<()> {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                ended = &mut work => return ended,
                () = tokio::time::sleep(TRIAL_LOOK) => self.health.goes_on(),
            }
        }
    }

    /// Shows the fault and waits; `None` when there is nothing to wait for.
    async fn wait_after(&self, fault: &Fault, backoff: &mut Backoff) -> Option<()> {
        match backoff.after(fault) {
            Next::WaitFor(wait) => {
                self.metrics.retried();
                self.health.waiting(fault.to_string());
                self.shutdown.or(tokio::time::sleep(wait)).await
            }
            Next::HaltFor(wait) => {
                self.health.halted(fault);
                if self.bounded {
                    return None;
                }
                self.shutdown.or(tokio::time::sleep(wait)).await
            }
            Next::Halt => {
                self.health.halted(fault);
                if !self.bounded {
                    self.shutdown.requested().await;
                }
                None
            }
        }
    }
}

/// Runs work that blocks now and then on a thread of its own for as long as it takes. The threads that the runtime has for blocking
/// calls are few, and for calls that end. Must be called within a tokio runtime.
pub fn on_a_thread(name: &str, work: impl AsyncFnOnce() + Send + 'static) -> Result<Running> {
    let (ended, end) = oneshot::channel();
    let handle = Handle::current();
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            handle.block_on(work());
            // Nobody may be waiting any more.
            ended.send(()).ok();
        })
        .map_err(|error| Fault::passing(Code::Io, "starting a thread failed").because(error))?;
    Ok(Running { name: name.to_owned(), end })
}

/// Work that was put on a thread of its own.
#[derive(Debug)]
pub struct Running {
    name: String,
    end: oneshot::Receiver<()>,
}

impl Running {
    /// Waits until it has ended.
    pub async fn ended(self) {
        if self.end.await.is_err() {
            tracing::error!(thread = self.name, "a thread panicked");
        }
    }
}

/// How long a commit that is due waits for what is there already, if more time than that has not passed anyway.
const JOINING: Duration = Duration::from_millis(10);

/// When what has begun is to be committed.
#[derive(Debug, Clone, Copy)]
pub struct Due {
    /// From here on if nothing is there that could be committed with it: a commit of its own would be so much later.
    pub at: Option<Instant>,
    /// Whatever is there.
    pub at_last: Option<Instant>,
}

impl Due {
    /// An `interval` after what `began`; never if nothing has.
    pub fn after(began: Option<Instant>, interval: Duration) -> Self {
        Self { at: began.map(|began| began + interval), at_last: began.map(|began| began + interval.max(JOINING)) }
    }
}

/// Waits until `due`; for ever when nothing is.
pub async fn until(due: Option<Instant>) {
    match due {
        // The timer's ticks are a millisecond apart: it would wait for the next one.
        Some(due) if due <= Instant::now() => {}
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_be_committed_at_once_lets_what_is_there_join_and_an_interval_is_kept_to() {
        let began = Instant::now();
        let due = |interval| Due::after(Some(began), Duration::from_millis(interval));
        assert_eq!((due(0).at, due(0).at_last), (Some(began), Some(began + JOINING)));
        assert_eq!((due(100).at, due(100).at_last), (due(100).at_last, Some(began + Duration::from_millis(100))));
        assert!(Due::after(None, Duration::ZERO).at_last.is_none());
    }
}
