//! Records that are read while a round ends: the target settles and commits, and what comes next is decoded meanwhile.
//!
//! ```text
//!  consumer ──events──► read ─► waiting ─► the loop: stage, settle, commit
//!                        └── as long as the loop settles and commits ──┘
//! ```
//!
//! Events keep their order, and nothing is staged before the round has ended. What is ready when the loop ends was not committed, and is read
//! again. Records of a schema that is to be learnt first wait as they are: what they are read by is the loop's to decide, and what comes after
//! them waits for it.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use millrace_model::{Records, Result};
use millrace_runtime::kafka::{Consumer, Event};
use millrace_runtime::registry::Registry;
use millrace_runtime::telemetry::{BatchTrace, Hop};
use tracing::Instrument as _;

use crate::reading::{Read, Reading};

/// What comes next to the loop of a load.
pub(crate) enum Coming {
    /// Records that have been read.
    Ready(Box<Ready>),
    /// What the loop is to deal with before more is read.
    Event(Event),
}

/// Records that are ready to be staged.
pub(crate) struct Ready {
    pub(crate) records: Arc<Records>,
    pub(crate) read: Read,
    pub(crate) trace: BatchTrace,
    /// How long it took to read them.
    pub(crate) took: Duration,
}

/// A consumer, and how its records are read.
pub(crate) struct Ahead<'a> {
    pub(crate) consumer: Consumer,
    pub(crate) reading: Reading,
    registry: &'a Registry,
    hop: &'a Hop,
    waiting: Waiting,
}

impl<'a> Ahead<'a> {
    /// What is read ahead takes `memory` bytes, and that of one batch more, at most.
    pub(crate) fn new(consumer: Consumer, reading: Reading, registry: &'a Registry, hop: &'a Hop, memory: usize) -> Self {
        Self { consumer, reading, registry, hop, waiting: Waiting::of(memory) }
    }

    /// What comes next. A fault comes after what was read before it.
    pub(crate) async fn next(&mut self) -> Result<Coming> {
        match self.waiting.pop() {
            Some(coming) => coming,
            None => self.consumer.next().await.map(Coming::Event),
        }
    }

    /// Does `work`, and reads what comes meanwhile.
    pub(crate) async fn beside<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        while self.waiting.has_room() {
            let event = tokio::select! {
                biased;
                done = &mut work => return done,
                event = self.consumer.next() => event,
            };
            let mut preparing = pin!(self.prepare(event));
            tokio::select! {
                biased;
                () = &mut preparing => {}
                done = &mut work => {
                    // The records have been taken from the consumer, and must not be lost.
                    preparing.await;
                    return done;
                }
            }
        }
        work.await
    }

    /// Reads records whose schemas have all been learnt.
    pub(crate) async fn read(&mut self, records: Arc<Records>) -> Result<Ready> {
        let began = Instant::now();
        let trace = self.hop.batch(&records);
        let read = self.reading.read(&records, self.registry).instrument(trace.log_span().clone()).await?;
        Ok(Ready { records, read, trace, took: began.elapsed() })
    }

    async fn prepare(&mut self, event: Result<Event>) {
        let coming = match event {
            Ok(Event::Records(records)) if self.reading.knows(&records) => self.read(records).await.map(Box::new).map(Coming::Ready),
            other => other.map(Coming::Event),
        };
        self.waiting.push(coming);
    }
}

/// What has come and was not taken yet, in its order.
struct Waiting {
    coming: VecDeque<Result<Coming>>,
    memory: usize,
    limit: usize,
}

impl Waiting {
    fn of(limit: usize) -> Self {
        Self { coming: VecDeque::new(), memory: 0, limit }
    }

    /// Whether more may come: what follows anything but ready records rests on what becomes of it.
    fn has_room(&self) -> bool {
        self.memory < self.limit && self.coming.back().is_none_or(|last| matches!(last, Ok(Coming::Ready(_))))
    }

    fn push(&mut self, coming: Result<Coming>) {
        self.memory += memory(&coming);
        self.coming.push_back(coming);
    }

    fn pop(&mut self) -> Option<Result<Coming>> {
        let next = self.coming.pop_front()?;
        self.memory -= memory(&next);
        Some(next)
    }
}

fn memory(coming: &Result<Coming>) -> usize {
    if let Ok(Coming::Ready(ready)) = coming { ready.read.memory } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millrace_model::{Code, Fault, RecordsBuilder};

    fn records() -> Arc<Records> {
        Arc::new(RecordsBuilder::new("t".into(), 0).finish())
    }

    fn ready(memory: usize) -> Result<Coming> {
        let read = Read { parts: Vec::new(), bounds: Vec::new(), undecoded: Vec::new(), unfit: Vec::new(), memory };
        let trace = Hop::new("loader", "test").batch(&records());
        Ok(Coming::Ready(Box::new(Ready { records: records(), read, trace, took: Duration::ZERO })))
    }

    #[test]
    fn records_are_read_ahead_as_far_as_memory_goes() {
        let mut waiting = Waiting::of(100);
        waiting.push(ready(99));
        assert!(waiting.has_room());
        waiting.push(ready(2));
        assert!(!waiting.has_room());
        assert!(waiting.pop().is_some_and(|first| memory(&first) == 99), "in their order");
        assert!(waiting.has_room());
    }

    #[test]
    fn nothing_is_read_behind_what_the_loop_is_to_deal_with_first() {
        let fault = || Err(Fault::passing(Code::Io, "away"));
        for coming in [Ok(Coming::Event(Event::Records(records()))), fault()] {
            let mut waiting = Waiting::of(100);
            waiting.push(ready(1));
            waiting.push(coming);
            assert!(!waiting.has_room());
            assert!(waiting.pop().is_some() && !waiting.has_room(), "the records before it may go");
            assert!(waiting.pop().is_some() && waiting.has_room());
        }
    }
}
