//! The loader service: topics into tables, rows and positions in one transaction of the target.
//!
//! ```text
//!  consumer ──assigned──► sink.claim ─► start at the target's positions
//!           ──records───► decode ─► sink.write / delete … ─┐ until the interval is over or the round is full
//!                                    sink.settle ◄─────────┘
//!                                    dead letters, durable ─► sink.commit(from → to)
//! ```
//!
//! The target's positions are the truth; the group's offsets in Kafka are reported for lag only.

mod in_line;

use std::sync::Arc;
use std::time::Instant;

use millrace_connectors::{Connection, Rounds, TableConfig};
use millrace_model::{Code, Commit, Fault, Records, Result, Schema, Sink, Stage};
use millrace_runtime::kafka::topics::{self, Declared};
use millrace_runtime::kafka::{Assigned, Cluster, Consumer, Event, Producer, Revoked, Subscription};
use millrace_runtime::pipeline::{Due, Pipeline, until};
use millrace_runtime::project::{Latency, Millis, OnError};
use millrace_runtime::registry::Registry;
use millrace_runtime::rejections::Rejecter;
use millrace_runtime::telemetry::{BatchTrace, Outcome};
use tracing::Instrument as _;

use crate::config;
use crate::crash_points as points;
use crate::parking::Lot;
use crate::reading::{Read, Reading};
use crate::round::Round;

/// A load pipeline, checked and ready to run.
#[derive(Clone)]
pub struct Load {
    /// What the project file says.
    pub config: config::Pipeline,
    /// Where the rows go.
    pub connection: Connection,
    /// The table there.
    pub table: TableConfig,
    /// The schema of the topic.
    pub schema: Schema,
    /// The topics to make before it runs.
    pub topics: Vec<Declared>,
}

impl Load {
    /// When rounds are committed.
    fn rounds(&self, latency: Latency) -> Rounds {
        let rounds = self.connection.rounds();
        let usual = if rounds.kept { latency.commit_interval(rounds.interval) } else { rounds.interval };
        let interval = self.config.commit_interval.map_or(usual, Millis::duration);
        Rounds { interval, ..rounds }
    }
}

/// Runs the pipeline until the shutdown; to be called again after a fault. What was not committed is read again.
pub async fn run(load: &Load, cluster: &Cluster, registry: &Registry, pipeline: &Pipeline) -> Result<()> {
    let rejecter = || Rejecter::new(&pipeline.id, &load.config.dead_letters, load.config.on_error);
    match attempt(load, cluster, registry, pipeline, rejecter()).await {
        // A load writes nothing to Kafka but dead letters, and what it parks.
        Err(fault) if fault.code() == Code::KafkaTooLarge && load.config.on_error == OnError::DeadLetter => {
            tracing::warn!(pipeline = %pipeline.id, "the topic of dead letters refused one as too large; long ones are cut");
            let mut cutting = rejecter();
            cutting.cut();
            attempt(load, cluster, registry, pipeline, cutting).await
        }
        ended => ended,
    }
}

async fn attempt(load: &Load, cluster: &Cluster, registry: &Registry, pipeline: &Pipeline, rejecter: Rejecter) -> Result<()> {
    topics::ensure(cluster, &load.topics).await?;
    let reading = Reading::new(&load.config, &load.schema)?;
    let opening = Box::pin(load.connection.open(&load.table, reading.table_schema()));
    let Some(sink) = pipeline.shutdown.or(opening).await else { return Ok(()) };
    let sink = sink?;
    let subscription = Subscription { topic: load.config.from.clone(), group: pipeline.id.to_string() };
    let consumer = Consumer::subscribe(cluster, &subscription)?;
    let mut worker = Worker {
        pipeline,
        registry,
        cluster,
        reading,
        rejecter,
        producer: Producer::idempotent(cluster)?,
        sink,
        consumer,
        round: Round::default(),
        turned: false,
        lot: Lot::open(load, cluster, &pipeline.id).await?,
    };
    pipeline.health.running();
    let ended = worker.work(load.rounds(cluster.latency())).await;
    worker.consumer.close().await;
    ended
}

/// One run of a pipeline.
struct Worker<'a> {
    pipeline: &'a Pipeline,
    registry: &'a Registry,
    cluster: &'a Cluster,
    reading: Reading,
    rejecter: Rejecter,
    producer: Producer,
    sink: Box<dyn Sink>,
    consumer: Consumer,
    round: Round,
    /// Whether the table takes rows of another schema from this round on.
    turned: bool,
    /// Parked keys, where the pipeline parks them.
    lot: Option<Lot>,
}

impl Worker<'_> {
    async fn work(&mut self, rounds: Rounds) -> Result<()> {
        let memory = self.cluster.budget().round_bytes();
        loop {
            let due = Due::after(self.round.began(), rounds.interval);
            tokio::select! {
                biased;
                () = self.pipeline.shutdown.requested() => return self.commit().await,
                () = until(due.at_last) => self.commit().await?,
                marks = Lot::marks(&mut self.lot) => self.settled(&marks?).await?,
                event = self.consumer.next() => self.take(event?).await?,
                () = until(due.at) => self.commit().await?,
            }
            if self.round.is_full(&rounds, memory) {
                self.commit().await?;
            }
        }
    }

    async fn take(&mut self, event: Event) -> Result<()> {
        match event {
            Event::Records(records) => self.process(&records).await,
            Event::Assigned(assigned) => self.claim(assigned).await,
            Event::Revoked(revoked) => self.release(&revoked).await,
        }
    }

    async fn claim(&mut self, assigned: Assigned) -> Result<()> {
        // A claim may end sessions, this one's open round included: what is staged goes first.
        self.commit().await?;
        points::CLAIM_BEFORE.reached()?;
        self.sink.identify(assigned.topic);
        let claimed = self.sink.claim(&assigned.partitions).await?;
        points::CLAIM_AFTER.reached()?;
        self.round.hold(claimed.clone());
        self.take_over(&assigned.partitions, &claimed).await?;
        assigned.start_at(claimed);
        Ok(())
    }

    async fn release(&mut self, revoked: &Revoked) -> Result<()> {
        if revoked.lost {
            return Err(Revoked::lost_fault());
        }
        self.commit().await?;
        self.sink.release(&revoked.partitions).await?;
        for partition in &revoked.partitions {
            self.round.release(partition);
            self.lot.iter_mut().for_each(|lot| lot.parking.give_up(partition.partition));
            self.pipeline.metrics.forget_lag(&partition.topic, partition.partition);
        }
        Ok(())
    }

    async fn process(&mut self, records: &Arc<Records>) -> Result<()> {
        let trace = self.pipeline.hop.batch(records);
        let span = trace.log_span().clone();
        self.process_traced(records, trace).instrument(span).await
    }

    async fn process_traced(&mut self, records: &Arc<Records>, mut trace: BatchTrace) -> Result<()> {
        let started = Instant::now();
        self.learn(records).await?;
        self.round.tally.read(records);
        let mut read = self.reading.read(records, self.registry).await?;
        self.round.weigh(read.memory);
        if read.ends_load() {
            read = read.of_partitions(topics::partitions(self.cluster, records.topic()).await?);
        }
        points::WRITE_BEFORE.reached()?;
        if self.lot.is_some() {
            self.stage_in_line(records, read, &mut trace).await?;
            self.round.cover_in_line(records, trace);
        } else {
            self.stage(records, read, trace).await?;
        }
        points::WRITE_AFTER.reached()?;
        tracing::debug!(records = records.len(), "staged");
        self.pipeline.metrics.batch_seconds(started.elapsed().as_secs_f64());
        Ok(())
    }

    async fn stage(&mut self, records: &Arc<Records>, read: Read, mut trace: BatchTrace) -> Result<()> {
        let refused = read.stage(&mut *self.sink).await?;
        let staged = read.rows().saturating_sub(refused.len());
        // Their dead letters are durable when the round's commit has waited for them.
        self.rejecter.reject(&mut self.producer, records, &Stage::Decode, read.undecoded, &mut trace)?;
        self.rejecter.reject(&mut self.producer, records, &Stage::Write, read.unfit, &mut trace)?;
        self.rejecter.reject(&mut self.producer, records, &Stage::Write, refused, &mut trace)?;
        self.round.cover(records, staged, trace);
        Ok(())
    }

    /// Learns the schemas that the records were written with. Where the topic's schema has changed, the round ends, and the table takes
    /// rows of the new one in the transaction of the next round, which begins with these records.
    async fn learn(&mut self, records: &Records) -> Result<()> {
        while let Some(turn) = self.reading.learn(self.registry, records).await? {
            self.commit().await?;
            points::RESHAPE_BEFORE.reached()?;
            self.reading.turn(turn, &mut *self.sink).await?;
            points::RESHAPE_AFTER.reached()?;
            self.turned = true;
        }
        Ok(())
    }

    async fn commit(&mut self) -> Result<()> {
        if self.round.began().is_none() {
            return Ok(());
        }
        if self.lot.is_some() {
            return self.commit_in_line().await;
        }
        let started = Instant::now();
        points::SETTLE_BEFORE.reached()?;
        let refused = self.sink.settle().await?;
        points::SETTLE_AFTER.reached()?;
        let refusals = refused.len();
        self.rejecter.take(&mut self.producer, &refused)?;
        self.drain()?;
        points::COMMIT_BEFORE.reached()?;
        match self.sink.commit(&self.round.from(), self.round.to()).await? {
            Commit::Done => self.committed(started, refusals),
            Commit::Fenced => Err(Fault::passing(Code::TargetFenced, Code::TargetFenced.help())),
        }
    }

    /// Waits until dead letters, and what is parked, are durable.
    fn drain(&self) -> Result<()> {
        points::DEAD_LETTERS_BEFORE.reached()?;
        self.producer.drain()?;
        points::DEAD_LETTERS_AFTER.reached()
    }

    fn committed(&mut self, started: Instant, refusals: usize) -> Result<()> {
        points::COMMIT_AFTER.reached()?;
        let committed = self.round.committed();
        self.turned = false;
        let metrics = &self.pipeline.metrics;
        self.round.tally.written(committed.rows.saturating_sub(refusals) as u64, 0);
        self.round.tally.commit(metrics);
        self.rejecter.committed(metrics);
        metrics.commit_seconds(started.elapsed().as_secs_f64());
        self.pipeline.health.works();
        if let Some(oldest) = committed.oldest.filter(|&oldest| oldest >= 0) {
            metrics.freshness_seconds(seconds_since(oldest));
        }
        for (partition, lag) in self.consumer.lag(&committed.offsets) {
            metrics.lag(&partition.topic, partition.partition, lag);
        }
        committed.traces.into_iter().for_each(|trace| trace.end(&Outcome::Committed));
        self.consumer.report(&committed.offsets)?;
        points::REPORT_AFTER.reached()
    }
}

fn seconds_since(timestamp: i64) -> f64 {
    let now = jiff::Timestamp::now().as_millisecond();
    (now - timestamp).max(0) as f64 / 1000.0
}
