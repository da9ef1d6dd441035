//! The sink.

use async_trait::async_trait;
use millrace_model::{Batch, Code, Commit, Fault, Offsets, Rejected, Rejection, Result, Sink, TopicPartition};

use super::config::Config;
use super::round::{Session, Staged};
use super::target::Target;
use crate::config::Mode;
use crate::table::unsettled;

/// Loads a table of PostgreSQL: appends are copied straight into it, upserts go by a stage and a merge.
///
/// The session is taken out for each call and put back when the call succeeds: one that fails, or is dropped half-way, takes its connection
/// with it, and the server rolls back. The next claim opens another.
pub(super) struct PostgresSink {
    config: Config,
    target: Target,
    session: Option<Session>,
    staged: Vec<Staged>,
}

impl PostgresSink {
    pub(super) async fn open(config: &Config, target: Target) -> Result<Self> {
        target.columns()?;
        let session = Some(Session::open(config, &target).await?);
        Ok(Self { config: config.clone(), target, session, staged: Vec::new() })
    }

    fn take(&mut self) -> Result<Session> {
        self.session.take().ok_or_else(|| {
            Fault::passing(Code::TargetUnavailable, "PostgreSQL: the session has ended; the partitions must be claimed again")
        })
    }

    async fn claim_in(mut session: Session, partitions: &[TopicPartition]) -> Result<(Session, Offsets)> {
        let offsets = session.claim(partitions).await?;
        Ok((session, offsets))
    }
}

#[async_trait]
impl Sink for PostgresSink {
    async fn claim(&mut self, partitions: &[TopicPartition]) -> Result<Offsets> {
        self.staged.clear();
        let session = match self.session.take() {
            Some(session) => session,
            None => Session::open(&self.config, &self.target).await?,
        };
        let (session, offsets) = Self::claim_in(session, partitions).await?;
        self.session = Some(session);
        Ok(offsets)
    }

    async fn write(&mut self, batch: &Batch) -> Result<Vec<Rejection>> {
        let mut session = self.take()?;
        let (good, mut rejections) = session.check(batch)?;
        match self.target.table.mode {
            _ if good.is_empty() => {}
            Mode::Append => rejections.extend(session.append(&good).await?),
            Mode::Upsert => self.staged.push(Staged { batch: good, deleted: false }),
        }
        self.session = Some(session);
        Ok(rejections)
    }

    async fn delete(&mut self, keys: &Batch) -> Result<Vec<Rejection>> {
        let session = self.take()?;
        let rejections = match self.target.table.mode {
            Mode::Upsert => {
                let (good, rejections) = session.check(keys)?;
                self.staged.push(Staged { batch: good, deleted: true });
                rejections
            }
            Mode::Append => {
                let refuse = |&record| Rejection::new(record, Code::TombstoneRefused, "an append has no keys to delete rows by");
                keys.origin().rows().iter().map(refuse).collect()
            }
        };
        self.session = Some(session);
        Ok(rejections)
    }

    async fn settle(&mut self) -> Result<Vec<Rejected>> {
        let staged = std::mem::take(&mut self.staged);
        if staged.is_empty() {
            return Ok(Vec::new());
        }
        let mut session = self.take()?;
        let rejections = session.merge(&staged).await?;
        self.session = Some(session);
        Ok(rejections)
    }

    async fn commit(&mut self, from: &Offsets, to: &Offsets) -> Result<Commit> {
        if !self.staged.is_empty() {
            return Err(unsettled());
        }
        let mut session = self.take()?;
        let commit = session.commit(from, to).await?;
        self.session = Some(session);
        Ok(commit)
    }
}
