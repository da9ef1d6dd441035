//! Batches made ready ahead of their transaction: while one is being sent, or what was sent is being committed, the next are decoded, taken
//! through the steps and encoded.
//!
//! ```text
//!  consumer ──events──► a thread: learn ─► decode ─► steps ─► encode ──2 wait──► the loop: send, commit
//! ```
//!
//! Events keep their order. So partitions go to another member only when all that was read of them is sent and committed, and a fault comes after what
//! was read before it. What is ready and not sent when the loop ends was not committed, and is read again.

use std::sync::Arc;
use std::time::Instant;

use millrace_model::{Code, Fault, Records, Result};
use millrace_runtime::kafka::{Assigned, Event, Events, Revoked};
use millrace_runtime::pipeline::{Running, on_a_thread};
use millrace_runtime::registry::Registry;
use millrace_runtime::telemetry::{BatchTrace, Hop};
use tokio::sync::mpsc;
use tracing::Instrument as _;

use crate::crash_points::READ_AFTER;
use crate::passage::{Passage, Prepared};

/// How many batches wait to be sent: as many as a commit lets come, and memory for no more.
const WAITING: usize = 2;

/// What comes next to the loop of a pipeline.
pub(crate) enum Coming {
    /// A batch in the bytes that the output gets.
    Ready(Box<Ready>),
    /// Records as they are, where the loop does all itself.
    Records(Arc<Records>),
    /// Partitions have come.
    Assigned(Assigned),
    /// Partitions go.
    Revoked(Revoked),
}

impl From<Event> for Coming {
    fn from(event: Event) -> Self {
        match event {
            Event::Records(records) => Self::Records(records),
            Event::Assigned(assigned) => Self::Assigned(assigned),
            Event::Revoked(revoked) => Self::Revoked(revoked),
        }
    }
}

/// A batch that is ready to be sent.
pub(crate) struct Ready {
    pub(crate) prepared: Prepared,
    pub(crate) trace: BatchTrace,
    /// When work on it began.
    pub(crate) began: Instant,
}

/// The thread that makes ready, as the loop sees it.
pub(crate) struct Ahead {
    coming: mpsc::Receiver<Result<Coming>>,
    running: Running,
}

impl Ahead {
    /// Takes what `events` tell through `passage`. Must be called within a tokio runtime.
    pub(crate) fn start(name: &str, events: Events, passage: Passage, registry: &Registry, hop: &Hop) -> Result<Self> {
        let (sender, coming) = mpsc::channel(WAITING);
        let preparing = Preparing { events, passage, registry: registry.clone(), hop: hop.clone() };
        let running = on_a_thread(&format!("ahead {name}"), async move || preparing.run(&sender).await)?;
        Ok(Self { coming, running })
    }

    /// What comes next; a fault is the last.
    pub(crate) async fn next(&mut self) -> Result<Coming> {
        let gone = || Fault::fatal(Code::Internal, "the thread that makes batches ready has ended");
        self.coming.recv().await.unwrap_or_else(|| Err(gone()))
    }

    /// Ends it, and lets go of the events.
    pub(crate) async fn end(self) {
        drop(self.coming);
        self.running.ended().await;
    }
}

struct Preparing {
    events: Events,
    passage: Passage,
    registry: Registry,
    hop: Hop,
}

impl Preparing {
    /// Until a fault, or until nobody takes what comes.
    async fn run(mut self, coming: &mpsc::Sender<Result<Coming>>) {
        let all = async {
            loop {
                let next = self.next().await;
                let is_last = next.is_err();
                if coming.send(next).await.is_err() || is_last {
                    break;
                }
            }
        };
        tokio::select! {
            () = coming.closed() => {}
            () = all => {}
        }
    }

    async fn next(&mut self) -> Result<Coming> {
        match self.events.next().await? {
            Event::Records(records) => {
                let trace = self.hop.batch(&records);
                let span = trace.log_span().clone();
                self.prepare(&records, trace).instrument(span).await.map(Box::new).map(Coming::Ready)
            }
            change => Ok(change.into()),
        }
    }

    async fn prepare(&mut self, records: &Arc<Records>, trace: BatchTrace) -> Result<Ready> {
        let began = Instant::now();
        READ_AFTER.reached()?;
        self.passage.learn(&self.registry, records).await?;
        Ok(Ready { prepared: self.passage.prepare(records)?, trace, began })
    }
}
