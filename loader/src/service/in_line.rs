//! The worker where keys are parked.

use std::sync::Arc;
use std::time::Instant;

use millrace_model::{Code, Commit, Fault, Offsets, Records, Rejected, Rejection, Result, Stage, TopicPartition};
use millrace_runtime::dead_letters::Marks;
use millrace_runtime::telemetry::BatchTrace;

use super::Worker;
use crate::crash_points as points;
use crate::parking::Ended;
use crate::reading::Read;

impl Worker<'_> {
    /// Takes on, first of all, what has been settled of the partitions since they were let go.
    pub(super) async fn take_over(&mut self, partitions: &[TopicPartition], claimed: &Offsets) -> Result<()> {
        let Some(lot) = &mut self.lot else { return Ok(()) };
        let heads = self.sink.parked(partitions).await?;
        let released = lot.take_over(self.cluster, partitions, claimed, &heads).await?;
        self.go_on(released).await
    }

    /// The round in hand ends first: what is released begins another.
    pub(super) async fn settled(&mut self, marks: &Marks) -> Result<()> {
        self.commit().await?;
        let released = self.lot.as_mut().and_then(|lot| lot.parking.release(marks));
        self.go_on(released).await
    }

    async fn go_on(&mut self, released: Option<Arc<Records>>) -> Result<()> {
        match released {
            Some(records) => self.process(&records).await,
            None => Ok(()),
        }
    }

    /// Stages what need not wait.
    pub(super) async fn stage_in_line(&mut self, records: &Arc<Records>, mut read: Read, trace: &mut BatchTrace) -> Result<()> {
        let Some(lot) = &mut self.lot else { return Ok(()) };
        let rejected = |stage: Stage, rejections: Vec<Rejection>| {
            rejections.into_iter().map(move |rejection| Rejected::new(records, stage.clone(), rejection))
        };
        let (undecoded, unfit) = (std::mem::take(&mut read.undecoded), std::mem::take(&mut read.unfit));
        undecoded.iter().chain(&unfit).for_each(|rejection| trace.rejected(rejection));
        let rejected = rejected(Stage::Decode, undecoded).chain(rejected(Stage::Write, unfit)).collect();
        lot.stage(records, read, rejected, &mut *self.sink).await
    }

    /// Commits the round with what is parked by it.
    pub(super) async fn commit_in_line(&mut self) -> Result<()> {
        let started = Instant::now();
        points::SETTLE_BEFORE.reached()?;
        let mut refused = self.sink.settle().await?;
        points::SETTLE_AFTER.reached()?;
        while self.lot.as_mut().is_some_and(|lot| lot.refuse(std::mem::take(&mut refused))) {
            refused = self.settle_again().await?;
        }
        let Some(lot) = &mut self.lot else { return Ok(()) };
        let Ended { rejected, rows } = lot.end_round(&mut self.producer)?;
        self.rejecter.take(&mut self.producer, &rejected)?;
        let changes = lot.parking.changes();
        // Entries and dead letters are durable before the target says that there are any.
        self.drain()?;
        if !changes.is_empty() {
            self.sink.park(&changes).await?;
            points::PARK_AFTER.reached()?;
            changes.keys().for_each(|key| self.round.stand(&key.partition));
        }
        points::COMMIT_BEFORE.reached()?;
        let commit = self.sink.commit(&self.round.from(), self.round.to()).await?;
        let Some(lot) = &mut self.lot else { return Ok(()) };
        match commit {
            Commit::Done => {
                lot.parking.let_go(&mut self.producer)?;
                self.pipeline.metrics.parked(lot.parking.keys().records());
                self.round.land(rows);
                self.committed(started, 0)
            }
            Commit::Fenced => Err(Fault::passing(Code::TargetFenced, Code::TargetFenced.help())),
        }
    }

    /// Rolls the round back and stages it without those that wait; returns what the target refuses of it now.
    async fn settle_again(&mut self) -> Result<Vec<Rejected>> {
        let partitions: Vec<TopicPartition> = self.round.to().keys().cloned().collect();
        let claimed = self.sink.claim(&partitions).await?;
        if claimed != self.round.from() {
            return Err(Fault::passing(Code::TargetFenced, Code::TargetFenced.help()));
        }
        if self.turned {
            self.sink.reshape(self.reading.table_schema()).await?;
        }
        if let Some(lot) = &mut self.lot {
            lot.stage_again(&mut *self.sink).await?;
        }
        self.sink.settle().await
    }
}
