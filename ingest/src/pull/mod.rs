//! The pull loop: drives any source into a topic.
//!
//! ```text
//!  millrace.assignments ──share──► producer `<project>.<pipeline>.<share>` opened: the predecessor is fenced
//!                                  positions read ──► source opened there
//!  source.next() ─► key, encode ─► one transaction: records, dead letters, position ─► source.settled()
//! ```
//!
//! A source's splits hash to shares of the work; the pipeline's consumer group divides the shares among instances. Whoever
//! gets a share first fences the one who had it, so a split is read by one instance only, and from where the records end.

mod oversize;
mod shares;
mod splits;

use std::time::{Duration, Instant};

use millrace_connectors::SourceConfig;
use millrace_model::{Batch, Code, Fault, Position, Pulled, Rejected, Result, Stage};
use millrace_runtime::kafka::{Cluster, Consumer, Event, Subscription};
use millrace_runtime::pipeline::{Pipeline, until};
use millrace_runtime::project::Delivery;
use millrace_runtime::registry::Registry;
use millrace_runtime::rejections::Rejecter;
use millrace_runtime::telemetry::Outcome;

use self::shares::{Share, Shares};
use self::splits::Splits;
use crate::positions::{self, ASSIGNMENTS};
use crate::service::Ingest;

/// How often a source that had nothing is asked again.
const IDLE: Duration = Duration::from_millis(250);
/// How often splits are listed anew.
const LISTING: Duration = Duration::from_secs(5);

/// Runs the pipeline until the shutdown; to be called again after a fault. What was not committed is pulled again.
pub(crate) async fn run(ingest: &Ingest, source: &SourceConfig, cluster: &Cluster, registry: &Registry, pipeline: &Pipeline) -> Result<()> {
    positions::ensure(cluster, &ingest.topics).await?;
    let subscription = Subscription { topic: ASSIGNMENTS.to_owned(), group: pipeline.id.to_string() };
    let consumer = Consumer::subscribe(cluster, &subscription)?;
    let shares = Shares::new(ingest, cluster, registry, pipeline).await?;
    let rejecter = Rejecter::new(&pipeline.id, &ingest.config.dead_letters, ingest.config.on_error);
    let mut puller = Puller { ingest, source, pipeline, shares, splits: Splits::default(), rejecter, consumer, listed: None };
    let ended = puller.work().await;
    puller.consumer.close().await;
    ended
}

/// One run of a pipeline.
struct Puller<'a> {
    ingest: &'a Ingest,
    source: &'a SourceConfig,
    pipeline: &'a Pipeline,
    shares: Shares<'a>,
    splits: Splits,
    rejecter: Rejecter,
    consumer: Consumer,
    listed: Option<Instant>,
}

impl Puller<'_> {
    async fn work(&mut self) -> Result<()> {
        while !self.pipeline.shutdown.is_requested() {
            while let Some(event) = self.consumer.try_next() {
                self.take(event?);
            }
            self.list().await?;
            if !self.turn().await? {
                self.wait().await?;
            }
        }
        Ok(())
    }

    /// Waits for the next look at the sources, or for shares that come and go.
    async fn wait(&mut self) -> Result<()> {
        self.splits.show(self.pipeline, self.shares.any());
        let event = tokio::select! {
            () = self.pipeline.shutdown.requested() => return Ok(()),
            () = until(Some(Instant::now() + IDLE)) => return Ok(()),
            event = self.consumer.next() => event?,
        };
        self.take(event);
        Ok(())
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Assigned(assigned) => {
                self.shares.add(&assigned.partitions);
                self.listed = None;
                assigned.resume();
            }
            Event::Revoked(revoked) => {
                self.shares.remove(&revoked.partitions);
                self.splits.keep(|split| self.shares.has(split));
            }
            Event::Records(records) => {
                tracing::warn!(count = records.len(), "{ASSIGNMENTS} is for dividing work; records in it are passed over");
            }
        }
    }

    /// Looks which splits there are, and opens those of this instance's shares.
    async fn list(&mut self) -> Result<()> {
        if !self.shares.any() || self.listed.is_some_and(|listed| listed.elapsed() < LISTING) {
            return Ok(());
        }
        self.listed = Some(Instant::now());
        let listed = self.source.splits().await?;
        let mine: Vec<String> = listed.into_iter().filter(|split| self.shares.has(split)).collect();
        self.splits.keep(|split| mine.iter().any(|listed| listed == split));
        let new: Vec<String> = mine.into_iter().filter(|split| !self.splits.has(split)).collect();
        if new.is_empty() {
            return Ok(());
        }
        let positions = self.shares.open(&new).await?;
        for split in new {
            let at = positions.get(&split).map(|value| position(&split, value)).transpose()?;
            self.splits.add(split, at);
        }
        Ok(())
    }

    /// Asks the sources in their order until one has something; tells whether one had.
    async fn turn(&mut self) -> Result<bool> {
        while let Some((split, entry)) = self.splits.next() {
            match entry.pull(self.source, split, &self.ingest.schema).await {
                Ok(Some(pulled)) => {
                    let split = split.to_owned();
                    self.splits.show(self.pipeline, true);
                    self.commit(&split, pulled).await?;
                    return Ok(true);
                }
                Ok(None) => self.splits.pass(),
                Err(fault) => {
                    tracing::warn!(split, %fault, "a split can't be read at present");
                    entry.failed(fault);
                    self.splits.pass();
                }
            }
        }
        self.splits.rewind();
        Ok(false)
    }

    /// Makes what was pulled and its position durable, together.
    async fn commit(&mut self, split: &str, pulled: Pulled) -> Result<()> {
        let Pulled { batch, rejected, position } = pulled;
        match self.write(split, &batch, &rejected, &position) {
            // Trials of parts are aborted, which takes transactions.
            Err(fault) if fault.code() == Code::KafkaTooLarge && self.ingest.config.delivery == Delivery::ExactlyOnce => {
                self.rejecter.abandoned();
                let (batch, too_large) = oversize::sift(self.ingest, &self.pipeline.hop, self.shares.of(split)?, &batch)?;
                let rejected: Vec<Rejected> = rejected.into_iter().chain(too_large).collect();
                self.write(split, &batch, &rejected, &position)?;
            }
            other => other?,
        }
        self.splits.settled(split, &position).await
    }

    fn write(&mut self, split: &str, batch: &Batch, rejected: &[Rejected], position: &Position) -> Result<()> {
        let started = Instant::now();
        let records = batch.origin().records();
        let mut trace = self.pipeline.hop.pulled(records);
        let span = trace.log_span().clone();
        let _entered = span.enter();
        let Share { producer, writer } = self.shares.of(split)?;
        self.ingest.begin(producer)?;
        let written = writer.write(producer, batch, &[], &trace)?;
        self.rejecter.take(producer, rejected)?;
        self.rejecter.reject(producer, records, &Stage::Encode, written.rejected, &mut trace)?;
        self.ingest.before_progress(producer)?;
        positions::send(producer, &self.pipeline.id, split, Some(position))?;
        let committing = Instant::now();
        self.ingest.commit(producer)?;
        let metrics = &self.pipeline.metrics;
        metrics.read(records.len() as u64, records.values().value_data().len() as u64);
        metrics.written(written.records, written.bytes);
        self.rejecter.committed(metrics);
        metrics.commit_seconds(committing.elapsed().as_secs_f64());
        metrics.batch_seconds(started.elapsed().as_secs_f64());
        tracing::debug!(records = records.len(), split, "pulled");
        trace.end(&Outcome::Committed);
        Ok(())
    }
}

fn position(split: &str, value: &[u8]) -> Result<Position> {
    serde_json::from_slice(value)
        .map_err(|error| Fault::fatal(Code::Internal, format!("the position of {split} can't be read back")).because(error))
}
