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

mod manifest;
mod shares;
mod splits;
mod standing;

use std::time::{Duration, Instant};

use millrace_connectors::{SourceConfig, Split};
use millrace_model::{Code, Fault, Pulled, Rejected, Result, Stage};
use millrace_runtime::kafka::topics::Declared;
use millrace_runtime::kafka::{Cluster, Consumer, Event, Subscription};
use millrace_runtime::output::Sifted;
use millrace_runtime::pipeline::{Pipeline, until};
use millrace_runtime::project::Delivery;
use millrace_runtime::registry::Registry;
use millrace_runtime::rejections::Rejecter;
use millrace_runtime::telemetry::Outcome;

use self::shares::{Share, Shares};
use self::splits::Splits;
use self::standing::Standing;
use crate::crash_points as points;
use crate::positions::{self, ASSIGNMENTS, POSITIONS};
use crate::service::Ingest;

/// How often a source that had nothing is asked again.
const IDLE: Duration = Duration::from_millis(250);
/// How often it is looked whether others have done their part of a bounded run.
const OTHERS: Duration = Duration::from_secs(1);

/// Runs the pipeline until the shutdown, or until all is done in a bounded run; to be called again after a fault. What was not
/// committed is pulled again.
pub(crate) async fn run(ingest: &Ingest, source: &SourceConfig, cluster: &Cluster, registry: &Registry, pipeline: &Pipeline) -> Result<()> {
    let manifest = source.manifest();
    positions::ensure(cluster, &topics(ingest, manifest)).await?;
    let subscription = Subscription { topic: ASSIGNMENTS.to_owned(), group: pipeline.id.to_string() };
    // The group notes which topic has the positions: another of its name would begin all sources anew.
    let consumer = Consumer::subscribe_noting(cluster, &subscription, POSITIONS)?;
    let shares = Shares::new(ingest, cluster, registry, pipeline, manifest).await?;
    let rejecter = Rejecter::new(&pipeline.id, &ingest.config.dead_letters, ingest.config.on_error);
    let splits = Splits::default();
    let mut puller = Puller { ingest, source, pipeline, shares, splits, rejecter, consumer, listed: None, others: Others::default() };
    let ended = puller.work().await;
    puller.consumer.close().await;
    ended.map_err(|fault| if fault.code() == Code::KafkaTopicAnother { forgotten(&pipeline.id) } else { fault })
}

/// The fault of a pipeline whose positions were deleted.
fn forgotten(pipeline: &str) -> Fault {
    let message = format!(
        "topic {POSITIONS} was deleted and made anew since this pipeline wrote its progress there: its sources would be read from their \
         beginning, and records doubled. Where that is wanted, run `millrace positions accept {pipeline}`"
    );
    Fault::operator(Code::KafkaTopicAnother, message)
}

/// The topics of the pipeline, and that of its manifest: compacted, where the project does not declare it.
fn topics(ingest: &Ingest, manifest: Option<&str>) -> Vec<Declared> {
    let undeclared = manifest.filter(|manifest| ingest.topics.iter().all(|topic| topic.name != *manifest));
    ingest.topics.iter().cloned().chain(undeclared.map(|manifest| Declared::compacted(manifest, 1))).collect()
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
    others: Others,
}

/// The splits of other instances, as far as a bounded run must know of them.
#[derive(Default)]
struct Others {
    splits: Vec<Split>,
    asked: Option<Instant>,
}

impl Puller<'_> {
    async fn work(&mut self) -> Result<()> {
        while !self.pipeline.shutdown.is_requested() {
            while let Some(event) = self.consumer.try_next() {
                self.take(event?).await?;
            }
            self.list().await?;
            if !self.turn().await? {
                if self.is_done().await? {
                    break;
                }
                self.wait().await?;
            }
        }
        Ok(())
    }

    /// Waits for the next look at the sources, or for shares that come and go.
    async fn wait(&mut self) -> Result<()> {
        self.show();
        let event = tokio::select! {
            () = self.pipeline.shutdown.requested() => return Ok(()),
            () = until(Some(Instant::now() + IDLE)) => return Ok(()),
            event = self.consumer.next() => event?,
        };
        self.take(event).await
    }

    async fn take(&mut self, event: Event) -> Result<()> {
        match event {
            Event::Assigned(assigned) => {
                // Before anything is read: where the positions were deleted there is nothing to go on from.
                let noted = self.shares.noted(&assigned).await?;
                self.shares.add(&assigned.partitions)?;
                self.listed = None;
                assigned.start_at(noted);
            }
            Event::Revoked(revoked) => {
                self.shares.remove(&revoked.partitions);
                self.splits.keep(|split| self.shares.has(split));
            }
            Event::Records(records) => {
                tracing::warn!(count = records.len(), "{ASSIGNMENTS} is for dividing work; records in it are passed over");
            }
        }
        Ok(())
    }

    /// How long a listing holds; for good when those that were there are all.
    fn listing_interval(&self) -> Option<Duration> {
        if self.pipeline.bounded { None } else { self.source.listing_interval() }
    }

    /// Looks which splits there are, and opens those of this instance's shares.
    async fn list(&mut self) -> Result<()> {
        let holds = |listed: Instant| self.listing_interval().is_none_or(|interval| listed.elapsed() < interval);
        if !self.shares.any() || self.listed.is_some_and(holds) {
            return Ok(());
        }
        let listed = self.source.splits().await?;
        self.listed = Some(Instant::now());
        let (mine, others): (Vec<Split>, Vec<Split>) = listed.into_iter().partition(|split| self.shares.has(&split.name));
        self.others.splits = others;
        self.splits.keep(|split| mine.iter().any(|listed| listed.name == split));
        self.ingest.progress.keep(|split| mine.iter().any(|listed| listed.name == split));
        let (known, new): (Vec<Split>, Vec<Split>) = mine.into_iter().partition(|split| self.splits.has(&split.name));
        known.into_iter().for_each(|split| self.splits.listed(split));
        if new.is_empty() {
            return Ok(());
        }
        let standings = self.shares.open(&new).await?;
        self.consumer.report(&self.shares.mine())?;
        for split in new {
            let standing = standings.get(&split.name).map(|value| Standing::of(&split.name, value)).transpose()?;
            self.ingest.progress.of(&split.name, |progress| progress.bytes = split.bytes);
            self.splits.add(split, standing, self.source.reopens_what_it_read());
        }
        Ok(())
    }

    /// Whether a bounded run is at its end: everything that was there is durable, whoever has read it. An instance that ends halted
    /// does not say so, and need not wait for the others: of two that are halted each would wait for the other.
    async fn is_done(&mut self) -> Result<bool> {
        if !self.pipeline.bounded || self.listed.is_none() || !self.splits.are_done() {
            return Ok(false);
        }
        self.show();
        Ok(self.splits.any_halted() || self.shares.are_all_mine() || self.others_are_done().await?)
    }

    async fn others_are_done(&mut self) -> Result<bool> {
        if self.others.asked.is_some_and(|asked| asked.elapsed() < OTHERS) {
            return Ok(false);
        }
        self.others.asked = Some(Instant::now());
        let standings = self.shares.standings().await?;
        for split in self.others.splits.iter().filter(|split| !self.shares.has(&split.name)) {
            let Some(value) = standings.get(&split.name) else { return Ok(false) };
            if Standing::of(&split.name, value)?.tally.finished.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Shows how the pipeline is, and how far its splits are.
    fn show(&self) {
        let ends = self.listed.is_some() && self.listing_interval().is_none();
        self.splits.show(self.pipeline, self.shares.any(), ends);
        for (split, complete, fault) in self.splits.states() {
            self.ingest.progress.of(split, |progress| {
                progress.complete = complete;
                progress.halted = fault.map(ToString::to_string);
            });
        }
    }

    /// Asks the sources in their order until one has something; tells whether one had.
    async fn turn(&mut self) -> Result<bool> {
        while let Some((split, entry)) = self.splits.next() {
            // A source that can't be reached takes its time to say so.
            let Some(pulled) = self.pipeline.shutdown.or(entry.pull(self.source, split, self.ingest)).await else { return Ok(false) };
            match pulled {
                Ok(Some(pulled)) => {
                    let split = split.to_owned();
                    self.splits.show(self.pipeline, true, false);
                    points::PULL_READ_AFTER.reached()?;
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
        let standing = match self.write(split, &pulled) {
            // Trials of parts are aborted, which takes transactions.
            Err(fault) if fault.code() == Code::KafkaTooLarge && self.ingest.config.delivery == Delivery::ExactlyOnce => {
                self.rejecter.abandoned();
                let Share { producer, writer, .. } = self.shares.of(split)?;
                let Sifted { batch, rejected } = writer.sift(producer, &pulled.batch, &self.pipeline.hop)?;
                let records = pulled.batch.origin().records();
                let too_large = rejected.into_iter().map(|rejection| Rejected::new(records, Stage::Encode, rejection));
                let rejected: Vec<Rejected> = pulled.rejected.into_iter().chain(too_large).collect();
                self.write_cut(split, &Pulled { batch, rejected, ..pulled })?
            }
            other => other?,
        };
        points::PULL_SETTLED_BEFORE.reached()?;
        self.splits.settled(split, standing).await?;
        points::PULL_SETTLED_AFTER.reached()
    }

    /// Writes what is known to go through but for its dead letters, whose topic may take less still: those are cut then.
    fn write_cut(&mut self, split: &str, pulled: &Pulled) -> Result<Standing> {
        match self.write(split, pulled) {
            Err(fault) if fault.code() == Code::KafkaTooLarge && self.rejecter.cut() => {
                self.rejecter.abandoned();
                self.shares.of(split)?.producer.abort()?;
                self.write(split, pulled)
            }
            other => other,
        }
    }

    fn write(&mut self, split: &str, pulled: &Pulled) -> Result<Standing> {
        let started = Instant::now();
        let records = pulled.batch.origin().records();
        let mut trace = self.pipeline.hop.pulled(records);
        let span = trace.log_span().clone();
        let _entered = span.enter();
        let tally = self.splits.tally(split);
        let Share { producer, writer, manifest } = self.shares.of(split)?;
        self.ingest.begin(producer)?;
        points::PULL_SEND_BEFORE.reached()?;
        let written = writer.write(producer, &pulled.batch, &[], &trace)?;
        points::PULL_SEND_AFTER.reached()?;
        let rejected = (pulled.rejected.len() + written.rejected.len()) as u64;
        self.rejecter.take(producer, &pulled.rejected)?;
        self.rejecter.reject(producer, records, &Stage::Encode, written.rejected, &mut trace)?;
        let now = jiff::Timestamp::now().as_millisecond();
        let tally = tally.with(written.records, rejected, pulled.finished.as_ref(), now);
        if let (Some(manifest), Some(finished)) = (manifest, &pulled.finished) {
            manifest.send(producer, self.pipeline, split, finished, &tally, now)?;
        }
        self.ingest.before_progress(producer)?;
        let standing = Standing { position: pulled.position.clone(), tally };
        points::PULL_POSITION_BEFORE.reached()?;
        positions::send(producer, &self.pipeline.id, split, Some(&standing))?;
        points::PULL_POSITION_AFTER.reached()?;
        let committing = Instant::now();
        self.ingest.commit(producer)?;
        let (metrics, bytes) = (&self.pipeline.metrics, records.values().value_data().len() as u64);
        metrics.read(records.len() as u64, bytes);
        metrics.written(written.records, written.bytes);
        self.rejecter.committed(metrics);
        metrics.commit_seconds(committing.elapsed().as_secs_f64());
        self.pipeline.health.works();
        metrics.batch_seconds(started.elapsed().as_secs_f64());
        self.ingest.progress.of(split, |progress| {
            progress.read += bytes;
            (progress.records, progress.rejected) = (standing.tally.records, standing.tally.rejected);
        });
        tracing::debug!(records = records.len(), split, "pulled");
        trace.end(&Outcome::Committed);
        Ok(standing)
    }
}
