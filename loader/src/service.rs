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

use std::sync::Arc;
use std::time::{Duration, Instant};

use millrace_connectors::{Connection, TableConfig};
use millrace_model::{Batch, Code, Commit, Fault, Records, Rejection, Result, Schema, Sink, Stage};
use millrace_runtime::codec::{Decoded, Decoder};
use millrace_runtime::input;
use millrace_runtime::kafka::topics::{self, Declared};
use millrace_runtime::kafka::{Assigned, Cluster, Consumer, Event, Producer, Revoked, Subscription};
use millrace_runtime::pipeline::{Pipeline, until};
use millrace_runtime::registry::Registry;
use millrace_runtime::rejections::Rejecter;
use millrace_runtime::telemetry::{BatchTrace, Outcome};
use tracing::Instrument as _;

use crate::config;
use crate::deletions::Deletions;
use crate::round::Round;

/// A round is committed when it covers so many records, or records of so many bytes, before its interval is over: sinks keep a
/// round in memory.
const ROUND_RECORDS: usize = 100_000;
const ROUND_BYTES: usize = 64 << 20;

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

/// Runs the pipeline until the shutdown; to be called again after a fault. What was not committed is read again.
pub async fn run(load: &Load, cluster: &Cluster, registry: &Registry, pipeline: &Pipeline) -> Result<()> {
    topics::ensure(cluster, &load.topics).await?;
    let sink = load.connection.open(&load.table, &load.schema).await?;
    let subscription = Subscription { topic: load.config.from.clone(), group: pipeline.id.to_string() };
    let consumer = Consumer::subscribe(cluster, &subscription)?;
    let mut worker = Worker {
        pipeline,
        registry,
        decoder: Decoder::new(&load.schema)?,
        deletions: Deletions::new(&load.table, &load.schema)?,
        rejecter: Rejecter::new(&pipeline.id, &load.config.dead_letters, load.config.on_error),
        producer: Producer::idempotent(cluster)?,
        sink,
        consumer,
        round: Round::default(),
    };
    pipeline.health.running();
    let ended = worker.work(load.config.commit_interval.duration()).await;
    worker.consumer.close().await;
    ended
}

/// One run of a pipeline.
struct Worker<'a> {
    pipeline: &'a Pipeline,
    registry: &'a Registry,
    decoder: Decoder,
    deletions: Deletions,
    rejecter: Rejecter,
    producer: Producer,
    sink: Box<dyn Sink>,
    consumer: Consumer,
    round: Round,
}

impl Worker<'_> {
    async fn work(&mut self, commit_interval: Duration) -> Result<()> {
        loop {
            let due = self.round.began().map(|began| began + commit_interval);
            tokio::select! {
                biased;
                () = self.pipeline.shutdown.requested() => return self.commit().await,
                () = until(due) => self.commit().await?,
                event = self.consumer.next() => self.take(event?).await?,
            }
            if self.round.records() >= ROUND_RECORDS || self.round.bytes() >= ROUND_BYTES {
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
        let claimed = self.sink.claim(&assigned.partitions).await?;
        self.round.hold(claimed.clone());
        assigned.start_at(claimed);
        Ok(())
    }

    async fn release(&mut self, revoked: &Revoked) -> Result<()> {
        if revoked.lost {
            return Err(Revoked::lost_fault());
        }
        self.commit().await?;
        for partition in &revoked.partitions {
            self.round.release(partition);
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
        self.round.tally.read(records);
        input::learn(&mut self.decoder, self.registry, records).await?;
        let decoded = self.decoder.decode(records)?;
        let rows = decoded.batch.len();
        let (undecoded, refused) = self.stage(records, decoded).await?;
        let staged = rows.saturating_sub(refused.len());
        // Their dead letters are durable when the round's commit has waited for them.
        self.rejecter.reject(&mut self.producer, records, &Stage::Decode, undecoded, &mut trace)?;
        self.rejecter.reject(&mut self.producer, records, &Stage::Write, refused, &mut trace)?;
        self.round.cover(records, staged, trace);
        tracing::debug!(records = records.len(), "staged");
        self.pipeline.metrics.batch_seconds(started.elapsed().as_secs_f64());
        Ok(())
    }

    /// Stages rows and deletions in the order of the records; returns what could not be decoded and what the sink won't take.
    async fn stage(&mut self, records: &Arc<Records>, decoded: Decoded) -> Result<(Vec<Rejection>, Vec<Rejection>)> {
        if decoded.tombstones.is_empty() {
            return Ok((decoded.rejected, self.sink.write(&decoded.batch).await?));
        }
        let deleted = self.deletions.keys(records, &decoded.tombstones, self.registry).await?;
        let mut refused = deleted.rejected;
        for run in runs(&decoded.batch, deleted.keys.as_ref()) {
            refused.extend(match run {
                Run::Rows(rows) => self.sink.write(&rows).await?,
                Run::Deletions(keys) => self.sink.delete(&keys).await?,
            });
        }
        Ok((decoded.rejected, refused))
    }

    async fn commit(&mut self) -> Result<()> {
        if self.round.began().is_none() {
            return Ok(());
        }
        let started = Instant::now();
        let refused = self.sink.settle().await?;
        let refusals = refused.len();
        self.rejecter.take(&mut self.producer, &refused)?;
        self.producer.drain()?;
        match self.sink.commit(&self.round.from(), self.round.to()).await? {
            Commit::Done => self.committed(started, refusals),
            Commit::Fenced => Err(Fault::passing(Code::TargetFenced, Code::TargetFenced.help())),
        }
    }

    fn committed(&mut self, started: Instant, refusals: usize) -> Result<()> {
        let committed = self.round.committed();
        let metrics = &self.pipeline.metrics;
        self.round.tally.written(committed.rows.saturating_sub(refusals) as u64, 0);
        self.round.tally.commit(metrics);
        self.rejecter.committed(metrics);
        metrics.commit_seconds(started.elapsed().as_secs_f64());
        if let Some(oldest) = committed.oldest.filter(|&oldest| oldest >= 0) {
            metrics.freshness_seconds(seconds_since(oldest));
        }
        for (partition, lag) in self.consumer.lag(&committed.offsets) {
            metrics.lag(&partition.topic, partition.partition, lag);
        }
        committed.traces.into_iter().for_each(|trace| trace.end(&Outcome::Committed));
        self.consumer.report(&committed.offsets)
    }
}

/// Rows or deletions that follow one another.
enum Run {
    Rows(Batch),
    Deletions(Batch),
}

/// Cuts rows and deletions, each ascending by record, into runs in the order of the records.
fn runs(rows: &Batch, deletions: Option<&Batch>) -> Vec<Run> {
    let Some(deletions) = deletions else { return vec![Run::Rows(rows.clone())] };
    let (mut row, mut deletion, mut runs) = (0, 0, Vec::new());
    let (row_records, deletion_records) = (rows.origin().rows(), deletions.origin().rows());
    while row < rows.len() || deletion < deletions.len() {
        let before = |limit: Option<&u32>, records: &[u32]| records.partition_point(|record| limit.is_none_or(|limit| record < limit));
        let next_row = before(deletion_records.get(deletion), row_records);
        if next_row > row {
            runs.push(Run::Rows(rows.slice(row, next_row - row)));
            row = next_row;
        }
        let next_deletion = before(row_records.get(row), deletion_records);
        if next_deletion > deletion {
            runs.push(Run::Deletions(deletions.slice(deletion, next_deletion - deletion)));
            deletion = next_deletion;
        }
    }
    runs
}

fn seconds_since(timestamp: i64) -> f64 {
    let now = jiff::Timestamp::now().as_millisecond();
    (now - timestamp).max(0) as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Int32Array, RecordBatch};
    use millrace_model::{Origin, Record, RecordsBuilder};

    fn batch(rows: &[u32]) -> Batch {
        let mut records = RecordsBuilder::new("t".into(), 8);
        for offset in 0..8 {
            records.push(&Record { topic: "t", partition: 0, offset, timestamp: 0, key: None, value: None, headers: &[] });
        }
        let column: ArrayRef = Arc::new(Int32Array::from_iter_values(rows.iter().map(|&row| row as i32)));
        let columns = RecordBatch::try_from_iter([("n", column)]).expect("one column");
        Batch::new(columns, Origin::of(Arc::new(records.finish()), rows.to_vec()))
    }

    fn order(runs: &[Run]) -> Vec<(char, Vec<u32>)> {
        let shape = |run: &Run| match run {
            Run::Rows(batch) => ('w', batch.origin().rows().to_vec()),
            Run::Deletions(batch) => ('d', batch.origin().rows().to_vec()),
        };
        runs.iter().map(shape).collect()
    }

    #[test]
    fn rows_and_deletions_are_staged_in_the_order_of_their_records() {
        let runs = runs(&batch(&[0, 1, 4]), Some(&batch(&[2, 3, 5])));
        assert_eq!(order(&runs), [('w', vec![0, 1]), ('d', vec![2, 3]), ('w', vec![4]), ('d', vec![5])]);
    }

    #[test]
    fn a_deletion_may_come_first_and_alone() {
        assert_eq!(order(&runs(&batch(&[]), Some(&batch(&[0])))), [('d', vec![0])]);
    }
}
