//! The one place that says what becomes of a rejected record: it is counted, noted in its trace, and then kept as a dead
//! letter or stopped at, as the pipeline's `on_error` and quota say. Every service goes through it.

mod quota;

use std::collections::BTreeMap;
use std::sync::Arc;

use millrace_model::{Code, Fault, Records, Rejected, Rejection, Result, Stage};

use self::quota::Quota;
use crate::dead_letters::DeadLetters;
use crate::kafka::Producer;
use crate::project::{DeadLetterConfig, OnError};
use crate::telemetry::{BatchTrace, PipelineMetrics};

/// What a pipeline does with rejected records, and its counts of those that are not committed yet.
#[derive(Debug)]
pub struct Rejecter {
    on_error: OnError,
    dead_letters: DeadLetters,
    quota: Quota,
    uncommitted: BTreeMap<Code, u64>,
}

impl Rejecter {
    /// For the pipeline of that id (`<project>.<pipeline>`).
    pub fn new(pipeline: &str, dead_letters: &DeadLetterConfig, on_error: OnError) -> Self {
        Self {
            on_error,
            dead_letters: DeadLetters::new(pipeline, &dead_letters.topic),
            quota: Quota::new(dead_letters.max_per_minute),
            uncommitted: BTreeMap::new(),
        }
    }

    /// Whether the pipeline stops at a rejected record.
    pub fn halts(&self) -> bool {
        self.on_error == OnError::Halt
    }

    /// Takes what `stage` rejected of `records`: as [`Rejecter::take`], and the rejections are noted in the records' trace.
    pub fn reject(
        &mut self,
        producer: &mut Producer,
        records: &Arc<Records>,
        stage: &Stage,
        rejections: Vec<Rejection>,
        trace: &mut BatchTrace,
    ) -> Result<()> {
        rejections.iter().for_each(|rejection| trace.rejected(rejection));
        let rejected: Vec<Rejected> = rejections.into_iter().map(|rejection| Rejected::new(records, stage.clone(), rejection)).collect();
        self.take(producer, &rejected)
    }

    /// Makes dead letters of rejected records, in the producer's transaction if it is in one.
    ///
    /// # Errors
    /// The fault that the pipeline is to end its round with: the record's own code with `on_error: halt`, and
    /// [`Code::RejectionQuota`] when there are more than `max_per_minute`. No offset has passed the record then, so that it is
    /// read again when the pipeline goes on.
    pub fn take(&mut self, producer: &mut Producer, rejected: &[Rejected]) -> Result<()> {
        let Some(first) = rejected.first() else { return Ok(()) };
        if self.on_error == OnError::Halt {
            return Err(halt_at(first));
        }
        self.room_for(rejected.len())?;
        self.dead_letters.send(producer, rejected)?;
        self.quota.reserve(rejected.len());
        rejected.iter().for_each(|rejected| *self.uncommitted.entry(rejected.code()).or_default() += 1);
        Ok(())
    }

    /// Whether so many more may be rejected within this minute; the fault that [`Rejecter::take`] would give says no.
    pub fn room_for(&self, count: usize) -> Result<()> {
        self.quota.room_for(count, std::time::Instant::now()).map_err(|most| over_quota(most.get()))
    }

    /// The dead letters are durable, and so is the progress past their records.
    pub fn committed(&mut self, metrics: &PipelineMetrics) {
        self.quota.commit(std::time::Instant::now());
        for (code, count) in std::mem::take(&mut self.uncommitted) {
            metrics.rejected(code, count);
        }
    }

    /// Cuts dead letters that are long from here on: their topic takes less than the client. Tells whether that is new.
    pub fn cut(&mut self) -> bool {
        self.dead_letters.cut()
    }

    /// The transaction was given up: its dead letters never were.
    pub fn abandoned(&mut self) {
        self.quota.abandon();
        self.uncommitted.clear();
    }
}

/// What `on_error: halt` makes of a rejected record: the pipeline stands at it.
fn halt_at(rejected: &Rejected) -> Fault {
    let record = rejected.record();
    let place = format!("{}-{} offset {}", record.topic, record.partition, record.offset);
    let message = format!("the record at {place} was rejected at {}: {}; on_error is halt", rejected.stage(), rejected.reason());
    Fault::operator(rejected.code(), message)
}

/// Looking again after a while would let as many through each time: only a person ends this.
fn over_quota(most: u32) -> Fault {
    let message = format!(
        "more than {most} records were rejected within a minute (dead_letters.max_per_minute); nothing passed the last of them. \
         See what is wrong with `millrace dead-letters stats`, then start the service again, with a higher quota if it must be"
    );
    Fault::fatal(Code::RejectionQuota, message)
}
