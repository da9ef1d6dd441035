//! The sink.

use std::collections::HashMap;

use async_trait::async_trait;
use millrace_model::{
    Batch, Code, Commit, Fault, Offsets, Origin, ParkedChanges, ParkedHeads, Rejected, Rejection, Result, Schema, Sink, TopicIdentity,
    TopicPartition,
};

use super::config::Config;
use super::positions::Advance;
use super::session::{Session, Settled};
use super::staged::{self, Staged};
use super::target::Target;
use crate::table::{no_clearing, no_deletions, unfit, unsettled};
use crate::table_config::Mode;

/// Loads rows into Redis.
///
/// A round waits in memory until it is committed: Redis has no transaction that stays open. What it depends on is watched from its settling
/// on. The session is taken out for each call and put back when the call succeeds: one that fails, or is dropped half-way, takes its
/// connection and its watches with it. The next claim opens another.
pub(super) struct RedisSink {
    config: Config,
    target: Target,
    /// Which topic its positions are of.
    topic: TopicIdentity,
    /// What the target becomes when the round is committed.
    reshaped: Option<Target>,
    session: Option<Session>,
    steps: Vec<Staged>,
    settled: Option<Settled>,
}

impl RedisSink {
    pub(super) async fn open(config: &Config, target: Target) -> Result<Self> {
        let session = Some(Session::open(config).await?);
        let topic = TopicIdentity::default();
        Ok(Self { config: config.clone(), target, topic, reshaped: None, session, steps: Vec::new(), settled: None })
    }

    fn take(&mut self) -> Result<Session> {
        self.session
            .take()
            .ok_or_else(|| Fault::passing(Code::TargetUnavailable, "Redis: the session has ended; the partitions must be claimed again"))
    }

    /// What the rows of the round are.
    fn shape(&self) -> &Target {
        self.reshaped.as_ref().unwrap_or(&self.target)
    }

    fn stage(&mut self, (step, rejections): (Staged, Vec<Rejection>)) -> Vec<Rejection> {
        if step.keys().is_some_and(|keys| !keys.is_empty()) {
            self.steps.push(step);
            self.settled = None;
        }
        rejections
    }

    fn begin(&mut self) {
        self.steps.clear();
        self.settled = None;
    }
}

#[async_trait]
impl Sink for RedisSink {
    fn identify(&mut self, topic: TopicIdentity) {
        self.topic = topic;
    }

    async fn claim(&mut self, partitions: &[TopicPartition]) -> Result<Offsets> {
        self.begin();
        self.reshaped = None;
        let mut session = match self.session.take() {
            Some(session) => session,
            None => Session::open(&self.config).await?,
        };
        let offsets = self.config.link().step(session.claim(&self.target.table.pipeline, partitions, self.topic)).await?;
        self.session = Some(session);
        Ok(offsets)
    }

    async fn write(&mut self, batch: &Batch) -> Result<Vec<Rejection>> {
        let staged = staged::rows(batch, self.shape())?;
        Ok(self.stage(staged))
    }

    async fn delete(&mut self, keys: &Batch) -> Result<Vec<Rejection>> {
        if !self.target.table.mode.deletes() {
            return Ok(no_deletions(self.target.table.mode, keys));
        }
        let staged = staged::deletions(keys, self.shape())?;
        Ok(self.stage(staged))
    }

    async fn clear(&mut self, _: Origin) -> Result<()> {
        if self.target.table.mode != Mode::Mirror {
            return Err(no_clearing(self.target.table.mode));
        }
        self.steps.push(Staged::Clear);
        self.settled = None;
        Ok(())
    }

    async fn reshape(&mut self, schema: &Schema) -> Result<()> {
        if !self.steps.is_empty() {
            return Err(unsettled());
        }
        let reshaped = Target::new(&self.target.table, schema)?;
        if let Some(key) = self.target.other_key(&reshaped) {
            return Err(unfit(format!("the key column {key:?} has become one of another type: rows would get other keys than they have")));
        }
        self.reshaped = Some(reshaped);
        Ok(())
    }

    async fn parked(&mut self, partitions: &[TopicPartition]) -> Result<ParkedHeads> {
        let mut session = self.take()?;
        let heads = self.config.link().step(session.parked(&self.target.table.pipeline, partitions)).await?;
        self.session = Some(session);
        Ok(heads)
    }

    async fn park(&mut self, changes: &ParkedChanges) -> Result<()> {
        if self.settled.is_none() && !self.steps.is_empty() {
            return Err(unsettled());
        }
        self.settled.get_or_insert_default().parked.extend(changes.clone());
        Ok(())
    }

    async fn settle(&mut self) -> Result<Vec<Rejected>> {
        let mut session = self.take()?;
        let settled = self.config.link().step(session.settle(self.shape(), &self.steps)).await?;
        let rejected = rejected(&settled, &self.steps);
        self.settled = Some(settled);
        self.session = Some(session);
        Ok(rejected)
    }

    async fn commit(&mut self, from: &Offsets, to: &Offsets) -> Result<Commit> {
        let mut session = self.take()?;
        let mut settled = match self.settled.take() {
            Some(settled) => settled,
            None if self.steps.is_empty() => Settled::default(),
            None => return Err(unsettled()),
        };
        let advance = Advance { from, to, topic: self.topic };
        let commit = self.config.link().step(session.commit(self.shape(), &self.steps, &mut settled, advance)).await?;
        self.begin();
        if commit == Commit::Done
            && let Some(target) = self.reshaped.take()
        {
            self.target = target;
        }
        self.session = Some(session);
        Ok(commit)
    }
}

/// The records of the round that named a key whose change can't be done.
fn rejected(settled: &Settled, steps: &[Staged]) -> Vec<Rejected> {
    let refused: HashMap<&[u8], &str> = settled.refused(steps).collect();
    if refused.is_empty() {
        return Vec::new();
    }
    let keys = steps.iter().filter_map(Staged::keys);
    keys.flat_map(|keys| keys.rejected(&refused)).collect()
}
