//! The sink.

use async_trait::async_trait;
use millrace_model::{
    Batch, Code, Commit, Fault, Offsets, ParkedChanges, ParkedHeads, Rejected, Rejection, Result, Sink, TopicIdentity, TopicPartition,
};

use super::config::Config;
use super::session::Session;
use crate::postgres::{Change, Staged};
use crate::table::{Target, no_deletions, rejected, unsettled};

/// Loads a table of Redshift.
///
/// What is written waits in memory until it is settled: then it goes to S3 and by `COPY` into the session's own temporary table, and from
/// there into the target, in the transaction that moves the positions. The session is taken out for each call and put back when the call
/// succeeds: one that fails, or is dropped half-way, takes its connection with it, and the cluster rolls back.
pub(super) struct RedshiftSink {
    config: Config,
    target: Target,
    /// Which topic its positions are of.
    topic: TopicIdentity,
    session: Option<Session>,
    staged: Vec<Staged>,
}

impl RedshiftSink {
    pub(super) async fn open(config: &Config, target: Target) -> Result<Self> {
        target.columns()?;
        let session = Some(Session::open(config, &target).await?);
        Ok(Self { config: config.clone(), target, topic: TopicIdentity::default(), session, staged: Vec::new() })
    }

    fn take(&mut self) -> Result<Session> {
        let gone = "Redshift: the session has ended; the partitions must be claimed again";
        self.session.take().ok_or_else(|| Fault::passing(Code::TargetUnavailable, gone))
    }

    fn stage(&mut self, batch: &Batch, change: Change) -> Result<Vec<Rejection>> {
        let session = self.take()?;
        let (good, rejections) = session.check(batch)?;
        self.session = Some(session);
        if !good.is_empty() {
            self.staged.push(Staged { batch: good, change });
        }
        Ok(rejections)
    }
}

#[async_trait]
impl Sink for RedshiftSink {
    fn identify(&mut self, topic: TopicIdentity) {
        self.topic = topic;
    }

    async fn claim(&mut self, partitions: &[TopicPartition]) -> Result<Offsets> {
        self.staged.clear();
        let mut session = match self.session.take() {
            Some(session) => session,
            None => Session::open(&self.config, &self.target).await?,
        };
        let offsets = self.config.link().step(session.claim(partitions, self.topic)).await?;
        self.session = Some(session);
        Ok(offsets)
    }

    async fn write(&mut self, batch: &Batch) -> Result<Vec<Rejection>> {
        self.stage(batch, Change::Rows)
    }

    async fn delete(&mut self, keys: &Batch) -> Result<Vec<Rejection>> {
        if !self.target.table.mode.deletes() {
            return Ok(no_deletions(self.target.table.mode, keys));
        }
        self.stage(keys, Change::Deletions)
    }

    async fn parked(&mut self, partitions: &[TopicPartition]) -> Result<ParkedHeads> {
        let mut session = self.take()?;
        let heads = self.config.link().step(session.parked(partitions)).await?;
        self.session = Some(session);
        Ok(heads)
    }

    async fn park(&mut self, changes: &ParkedChanges) -> Result<()> {
        if !self.staged.is_empty() {
            return Err(unsettled());
        }
        let mut session = self.take()?;
        self.config.link().step(session.park(changes)).await?;
        self.session = Some(session);
        Ok(())
    }

    async fn settle(&mut self) -> Result<Vec<Rejected>> {
        let staged = std::mem::take(&mut self.staged);
        let mut session = self.take()?;
        let mut refused = Vec::new();
        if !staged.is_empty() {
            refused = session.fill(&staged).await?;
            self.config.link().step(session.merge()).await?;
        }
        self.session = Some(session);
        Ok(rejected(&staged, refused))
    }

    async fn commit(&mut self, from: &Offsets, to: &Offsets) -> Result<Commit> {
        if !self.staged.is_empty() {
            return Err(unsettled());
        }
        let mut session = self.take()?;
        let commit = self.config.link().step(session.commit(from, to, self.topic)).await?;
        self.session = Some(session);
        Ok(commit)
    }
}
