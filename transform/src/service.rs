//! The transform service: topics through steps to topics, exactly once.
//!
//! ```text
//!  consumer ──records──► decode ─► steps ─► encode ─► producer ┐
//!                          └────────┴─ rejected ─► dead letters ┤ one transaction with the input's offsets
//! ```
//!
//! One thread for each pipeline and instance; instances share the input's partitions as one consumer group.

use std::sync::Arc;
use std::time::Instant;

use millrace_model::{Fault, Offsets, Records, Rejection, Result, Retry, Schema, Stage};
use millrace_runtime::dead_letters::Marks;
use millrace_runtime::kafka::topics::{self, Declared};
use millrace_runtime::kafka::{Assigned, Cluster, Consumer, Event, Producer, Revoked, Subscription};
use millrace_runtime::pipeline::{Pipeline, until};
use millrace_runtime::project::Delivery;
use millrace_runtime::registry::Registry;
use millrace_runtime::rejections::Rejecter;
use millrace_runtime::telemetry::{BatchTrace, Outcome, Tally};
use tracing::Instrument as _;

use crate::care::Care;
use crate::config;
use crate::crash_points as points;
use crate::parking::Lot;
use crate::passage::Passage;

/// A transform pipeline, checked and ready to run.
#[derive(Clone)]
pub struct Transform {
    /// What the project file says.
    pub config: config::Pipeline,
    /// The schema of the input topic.
    pub input: Schema,
    /// The schema of the output topic, which what the steps make fits.
    pub output: Schema,
    /// Whether a file declares that schema: else it is what the steps make, and changes with the input's.
    pub output_declared: bool,
    /// The columns that the output's key is made of; none keeps the input's keys.
    pub key: Vec<String>,
    /// The topics to make before it runs.
    pub topics: Vec<Declared>,
}

/// Runs the pipeline until the shutdown; to be called again after a fault. What was not committed is read again.
pub async fn run(transform: &Transform, cluster: &Cluster, registry: &Registry, pipeline: &Pipeline) -> Result<()> {
    let mut care = Care::Usual;
    loop {
        let ended = attempt(transform, cluster, registry, pipeline, &mut care).await;
        match ended.as_ref().err().and_then(|fault| care.after(fault, &transform.config)) {
            Some(more) => {
                tracing::warn!(pipeline = %pipeline.id, "Kafka refused a record as too large; it is looked for");
                care = more;
            }
            None => return ended,
        }
    }
}

/// One run. Leaves in `care` how careful it was at its end.
async fn attempt(transform: &Transform, cluster: &Cluster, registry: &Registry, pipeline: &Pipeline, care: &mut Care) -> Result<()> {
    topics::ensure(cluster, &transform.topics).await?;
    let producer = open_producer(transform, cluster, pipeline)?;
    let passage = Passage::open(transform, registry).await?;
    let subscription = Subscription { topic: transform.config.from.clone(), group: pipeline.id.to_string() };
    let consumer = Consumer::subscribe(cluster, &subscription)?;
    let mut rejecter = Rejecter::new(&pipeline.id, &transform.config.dead_letters, transform.config.on_error);
    if care.cuts() {
        rejecter.cut();
    }
    let mut worker = Worker {
        pipeline,
        cluster,
        registry,
        passage,
        care: *care,
        lot: Lot::open(transform, cluster, &pipeline.id).await?,
        rejecter,
        transaction: Transaction::new(producer, transform.config.delivery),
        consumer,
    };
    pipeline.health.running();
    let ended = worker.work(transform.config.commit_interval(cluster.latency())).await;
    if let Err(fault) = &ended {
        worker.transaction.give_up(fault);
    }
    *care = worker.care;
    worker.consumer.close().await;
    ended
}

fn open_producer(transform: &Transform, cluster: &Cluster, pipeline: &Pipeline) -> Result<Producer> {
    match transform.config.delivery {
        Delivery::ExactlyOnce => Producer::transactional(cluster, &format!("{}.{}", pipeline.id, cluster.instance())),
        Delivery::AtLeastOnce => Producer::idempotent(cluster),
    }
}

/// One run of a pipeline.
struct Worker<'a> {
    pipeline: &'a Pipeline,
    cluster: &'a Cluster,
    registry: &'a Registry,
    passage: Passage,
    care: Care,
    /// Parked keys, where the pipeline parks them.
    lot: Option<Lot>,
    rejecter: Rejecter,
    transaction: Transaction,
    consumer: Consumer,
}

impl Worker<'_> {
    async fn work(&mut self, commit_interval: std::time::Duration) -> Result<()> {
        loop {
            let due = self.transaction.began.map(|began| began + commit_interval);
            tokio::select! {
                biased;
                () = self.pipeline.shutdown.requested() => return self.commit(),
                () = until(due) => self.commit()?,
                marks = Lot::marks(&mut self.lot) => self.release(&marks?).await?,
                event = self.consumer.next() => self.take(event?).await?,
            }
        }
    }

    async fn take(&mut self, event: Event) -> Result<()> {
        match event {
            Event::Records(records) => self.process(&records).await,
            Event::Assigned(assigned) => self.assign(assigned).await,
            Event::Revoked(revoked) if revoked.lost => Err(Revoked::lost_fault()),
            Event::Revoked(revoked) => {
                self.commit()?;
                for partition in &revoked.partitions {
                    self.pipeline.metrics.forget_lag(&partition.topic, partition.partition);
                    self.lot.iter_mut().for_each(|lot| lot.give_up(partition));
                }
                Ok(())
            }
        }
    }

    async fn assign(&mut self, assigned: Assigned) -> Result<()> {
        match &mut self.lot {
            None => assigned.resume(),
            Some(lot) => {
                let released = lot.take_over(self.cluster, &self.pipeline.id, assigned).await?;
                self.go_on(released).await?;
            }
        }
        Ok(())
    }

    async fn release(&mut self, marks: &Marks) -> Result<()> {
        let released = self.lot.as_mut().and_then(|lot| lot.parking.release(marks));
        self.go_on(released).await
    }

    /// Takes on what waited behind a settled dead letter.
    async fn go_on(&mut self, released: Option<Arc<Records>>) -> Result<()> {
        match released {
            Some(records) => self.process(&records).await,
            None => Ok(()),
        }
    }

    async fn process(&mut self, records: &Arc<Records>) -> Result<()> {
        let trace = self.pipeline.hop.batch(records);
        let span = trace.log_span().clone();
        self.process_traced(records, trace).instrument(span).await
    }

    async fn process_traced(&mut self, records: &Arc<Records>, mut trace: BatchTrace) -> Result<()> {
        let started = Instant::now();
        points::READ_AFTER.reached()?;
        self.passage.learn(self.registry, records).await?;
        self.transaction.begin()?;
        points::PRODUCE_BEFORE.reached()?;
        let rejected = self.pass(records, &mut trace)?;
        points::PRODUCE_AFTER.reached()?;
        self.reject(records, rejected, &mut trace)?;
        match &mut self.lot {
            None => self.transaction.cover(records, trace),
            Some(lot) => self.transaction.cover_to(lot.cover(records), trace),
        }
        if self.care.sifts() {
            self.commit()?;
        }
        tracing::debug!(records = records.len(), "transformed");
        self.pipeline.metrics.batch_seconds(started.elapsed().as_secs_f64());
        Ok(())
    }

    /// Takes the records through the pipeline; returns what fell out, and where.
    fn pass(&mut self, records: &Arc<Records>, trace: &mut BatchTrace) -> Result<Vec<(Stage, Vec<Rejection>)>> {
        let Transaction { producer, tally, .. } = &mut self.transaction;
        tally.read(records);
        let passed = match &mut self.lot {
            None if self.care.sifts() => {
                let (passed, too_large) = self.passage.pass_sifted(records, producer, trace, &self.pipeline.hop)?;
                self.care.go_on(too_large);
                passed
            }
            None => self.passage.pass(records, producer, trace)?,
            Some(lot) => {
                let (passed, line) = self.passage.pass_in_line(records, producer, trace, lot.parking.keys())?;
                lot.parking.hold_back(producer, records, &line)?;
                passed
            }
        };
        producer.poll();
        tally.filtered(passed.filtered);
        tally.written(passed.records, passed.bytes);
        Ok(passed.rejected)
    }

    fn reject(&mut self, records: &Arc<Records>, rejected: Vec<(Stage, Vec<Rejection>)>, trace: &mut BatchTrace) -> Result<()> {
        let producer = &mut self.transaction.producer;
        let any = rejected.iter().any(|(_, rejections)| !rejections.is_empty());
        rejected.into_iter().try_for_each(|(stage, rejections)| self.rejecter.reject(producer, records, &stage, rejections, trace))?;
        if any { points::DEAD_LETTERS_AFTER.reached() } else { Ok(()) }
    }

    fn commit(&mut self) -> Result<()> {
        let started = Instant::now();
        if let Some(lot) = self.lot.as_mut().filter(|_| self.transaction.began.is_some()) {
            lot.parking.let_go(&mut self.transaction.producer)?;
        }
        let Some(offsets) = self.transaction.commit(&self.consumer)? else { return Ok(()) };
        self.transaction.tally.commit(&self.pipeline.metrics);
        self.lot.iter().for_each(|lot| self.pipeline.metrics.parked(lot.parking.keys().records()));
        self.rejecter.committed(&self.pipeline.metrics);
        self.pipeline.metrics.commit_seconds(started.elapsed().as_secs_f64());
        self.pipeline.health.works();
        for (partition, lag) in self.consumer.lag(&offsets) {
            self.pipeline.metrics.lag(&partition.topic, partition.partition, lag);
        }
        Ok(())
    }
}

/// What is written and not committed yet, and the offsets that it covers.
struct Transaction {
    producer: Producer,
    delivery: Delivery,
    offsets: Offsets,
    began: Option<Instant>,
    tally: Tally,
    traces: Vec<BatchTrace>,
}

impl Transaction {
    fn new(producer: Producer, delivery: Delivery) -> Self {
        Self { producer, delivery, offsets: Offsets::new(), began: None, tally: Tally::default(), traces: Vec::new() }
    }

    fn begin(&mut self) -> Result<()> {
        if self.delivery == Delivery::ExactlyOnce {
            self.producer.begin()?;
        }
        self.began.get_or_insert_with(Instant::now);
        Ok(())
    }

    /// The records are all written or rejected.
    fn cover(&mut self, records: &Records, trace: BatchTrace) {
        records.advance(&mut self.offsets);
        self.traces.push(trace);
    }

    /// The same where records may have waited, so that they say nothing of how far the partitions have been read.
    fn cover_to(&mut self, offsets: &Offsets, trace: BatchTrace) {
        self.offsets.clone_from(offsets);
        self.traces.push(trace);
    }

    /// A pipeline that halts leaves no transaction open, which would hold the output's readers back. After passing trouble the
    /// next run ends it, when Kafka answers again.
    fn give_up(&mut self, fault: &Fault) {
        if fault.retry() == Retry::BackOff {
            return;
        }
        if let Err(error) = self.producer.abort() {
            tracing::warn!(%error, "the transaction could not be aborted; Kafka does it in time");
        }
        self.traces.drain(..).for_each(|trace| trace.end(&Outcome::Failed(fault)));
    }

    /// Makes it visible together with the offsets; returns them, or nothing where there was nothing to commit.
    fn commit(&mut self, consumer: &Consumer) -> Result<Option<Offsets>> {
        if self.began.take().is_none() {
            return Ok(None);
        }
        let offsets = std::mem::take(&mut self.offsets);
        points::COMMIT_BEFORE.reached()?;
        match self.delivery {
            Delivery::ExactlyOnce => self.producer.commit_with_offsets(&offsets, consumer.group_metadata()?)?,
            Delivery::AtLeastOnce => {
                self.producer.drain()?;
                consumer.report(&offsets)?;
            }
        }
        points::COMMIT_AFTER.reached()?;
        self.traces.drain(..).for_each(|trace| trace.end(&Outcome::Committed));
        Ok(Some(offsets))
    }
}
