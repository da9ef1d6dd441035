//! The transform service: topics through steps to topics, exactly once.
//!
//! ```text
//!  consumer ──records──► decode ─► steps ─► encode ─► producer ┐
//!                          └────────┴─ rejected ─► dead letters ┤ one transaction with the input's offsets
//! ```
//!
//! Two threads for each pipeline and instance, one [ahead](crate::ahead) of the other; instances share the input's partitions as one consumer group.
//! Where what becomes of a batch rests on the one before, because keys are parked or records may be too large, all is done on one thread.

use std::sync::Arc;
use std::time::Instant;

use millrace_model::{Code, Fault, Records, Rejection, Result, Schema, Stage};
use millrace_runtime::dead_letters::Marks;
use millrace_runtime::kafka::topics::{self, Declared};
use millrace_runtime::kafka::{Assigned, Cluster, Consumer, Producer, Revoked, Subscription};
use millrace_runtime::pipeline::{Due, Pipeline, until};
use millrace_runtime::project::Delivery;
use millrace_runtime::registry::Registry;
use millrace_runtime::rejections::Rejecter;
use millrace_runtime::telemetry::BatchTrace;
use tracing::Instrument as _;

use crate::ahead::{Ahead, Coming, Ready};
use crate::care::Care;
use crate::config;
use crate::crash_points as points;
use crate::parking::Lot;
use crate::passage::{Passage, Passed};
use crate::transaction::Transaction;

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
    let mut consumer = Consumer::subscribe(cluster, &subscription)?;
    let lot = Lot::open(transform, cluster, &pipeline.id).await?;
    let way = if lot.is_some() || care.sifts() {
        Way::InPlace(Box::new(passage))
    } else {
        Way::ahead(pipeline, registry, passage, &mut consumer)?
    };
    let mut rejecter = Rejecter::new(&pipeline.id, &transform.config.dead_letters, transform.config.on_error);
    if care.cuts() {
        rejecter.cut();
    }
    let mut worker = Worker {
        transform,
        pipeline,
        cluster,
        registry,
        way,
        care: *care,
        lot,
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
    let leaving = worker.consumer.leave();
    worker.way.end().await;
    leaving.left().await;
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
    transform: &'a Transform,
    pipeline: &'a Pipeline,
    cluster: &'a Cluster,
    registry: &'a Registry,
    way: Way,
    care: Care,
    /// Parked keys, where the pipeline parks them.
    lot: Option<Lot>,
    rejecter: Rejecter,
    transaction: Transaction,
    consumer: Consumer,
}

/// Who takes batches through the pipeline.
enum Way {
    /// A thread ahead of the loop, to which the consumer's events go.
    Ahead(Ahead),
    /// The loop itself.
    InPlace(Box<Passage>),
}

impl Way {
    /// A thread that takes the consumer's events from here on.
    fn ahead(pipeline: &Pipeline, registry: &Registry, passage: Passage, consumer: &mut Consumer) -> Result<Self> {
        Ahead::start(&pipeline.name, consumer.take_events(), passage, registry, &pipeline.hop).map(Self::Ahead)
    }

    async fn end(self) {
        match self {
            Self::Ahead(ahead) => ahead.end().await,
            Self::InPlace(_) => {}
        }
    }
}

impl Worker<'_> {
    async fn work(&mut self, commit_interval: std::time::Duration) -> Result<()> {
        loop {
            let due = Due::after(self.transaction.began, commit_interval);
            tokio::select! {
                biased;
                () = self.pipeline.shutdown.requested() => return self.commit(),
                () = until(due.at_last) => self.commit()?,
                marks = Lot::marks(&mut self.lot) => self.release(&marks?).await?,
                coming = next(&mut self.way, &mut self.consumer) => self.take(coming?).await?,
                () = until(due.at) => self.commit()?,
            }
        }
    }

    async fn take(&mut self, coming: Coming) -> Result<()> {
        match coming {
            Coming::Records(records) => self.process(&records).await,
            Coming::Ready(ready) => self.send(*ready),
            Coming::Assigned(assigned) => self.assign(assigned).await,
            Coming::Revoked(revoked) if revoked.lost => Err(Revoked::lost_fault()),
            Coming::Revoked(revoked) => {
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
        self.process_traced(records, trace).instrument(span).await?;
        if self.lot.is_none() && !self.care.sifts() { self.go_ahead().await } else { Ok(()) }
    }

    /// Care is over: batches are made ready ahead again.
    async fn go_ahead(&mut self) -> Result<()> {
        let passage = Passage::open(self.transform, self.registry).await?;
        self.way = Way::ahead(self.pipeline, self.registry, passage, &mut self.consumer)?;
        tracing::info!(pipeline = %self.pipeline.id, "no record was too large for a while; batches are made ready ahead again");
        Ok(())
    }

    async fn process_traced(&mut self, records: &Arc<Records>, mut trace: BatchTrace) -> Result<()> {
        let began = Instant::now();
        points::READ_AFTER.reached()?;
        let Way::InPlace(passage) = &mut self.way else {
            return Err(Fault::fatal(Code::Internal, "records came past the thread that makes batches ready"));
        };
        passage.learn(self.registry, records).await?;
        self.transaction.begin()?;
        points::PRODUCE_BEFORE.reached()?;
        let Transaction { producer, .. } = &mut self.transaction;
        let passed = match &mut self.lot {
            None if self.care.sifts() => {
                let (passed, too_large) = passage.pass_sifted(records, producer, &trace, &self.pipeline.hop)?;
                self.care.go_on(too_large);
                passed
            }
            None => passage.pass(records, producer, &trace)?,
            Some(lot) => {
                let (passed, line) = passage.pass_in_line(records, producer, &trace, lot.parking.keys())?;
                lot.parking.hold_back(producer, records, &line)?;
                passed
            }
        };
        self.passed(records, passed, &mut trace)?;
        match &mut self.lot {
            None => self.transaction.cover(records, trace),
            Some(lot) => self.transaction.cover_to(lot.cover(records), trace),
        }
        if self.care.sifts() {
            self.commit()?;
        }
        self.pipeline.metrics.batch_seconds(began.elapsed().as_secs_f64());
        Ok(())
    }

    /// Sends a batch that was made ready ahead.
    fn send(&mut self, Ready { prepared, mut trace, began }: Ready) -> Result<()> {
        let (span, records) = (trace.log_span().clone(), Arc::clone(prepared.records()));
        let _entered = span.enter();
        self.transaction.begin()?;
        points::PRODUCE_BEFORE.reached()?;
        let passed = prepared.send(&mut self.transaction.producer, &trace)?;
        self.passed(&records, passed, &mut trace)?;
        self.transaction.cover(&records, trace);
        self.pipeline.metrics.batch_seconds(began.elapsed().as_secs_f64());
        Ok(())
    }

    /// The records have come through: counts what became of them, and sends dead letters.
    fn passed(&mut self, records: &Arc<Records>, passed: Passed, trace: &mut BatchTrace) -> Result<()> {
        let Transaction { producer, tally, .. } = &mut self.transaction;
        producer.poll();
        tally.read(records);
        tally.filtered(passed.filtered);
        tally.written(passed.records, passed.bytes);
        points::PRODUCE_AFTER.reached()?;
        self.reject(records, passed.rejected, trace)?;
        tracing::debug!(records = records.len(), "transformed");
        Ok(())
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

async fn next(way: &mut Way, consumer: &mut Consumer) -> Result<Coming> {
    match way {
        Way::Ahead(ahead) => ahead.next().await,
        Way::InPlace(_) => consumer.next().await.map(Coming::from),
    }
}
