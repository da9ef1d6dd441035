//! The sink.

use std::time::Duration;

use async_trait::async_trait;
use millrace_model::{Batch, Code, Commit, Fault, Offsets, Rejected, Rejection, Result, Sink, TopicPartition};

use super::config::Config;
use super::round::{Session, Staged};
use super::target::Target;
use crate::config::Mode;
use crate::table::unsettled;

/// How long one call may last: far longer than the largest batch takes.
const ANSWERED_WITHIN: Duration = Duration::from_mins(15);

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
        let session = Some(answered(Session::open(config, &target)).await?);
        Ok(Self { config: config.clone(), target, session, staged: Vec::new() })
    }

    fn take(&mut self) -> Result<Session> {
        self.session.take().ok_or_else(|| {
            Fault::passing(Code::TargetUnavailable, "PostgreSQL: the session has ended; the partitions must be claimed again")
        })
    }
}

/// Waits for a call to end. Nothing else tells that a network swallows what is sent: sqlx has no keep-alive of its own.
async fn answered<T>(call: impl Future<Output = Result<T>>) -> Result<T> {
    let message = || format!("PostgreSQL: the server did not answer within {ANSWERED_WITHIN:?}");
    tokio::time::timeout(ANSWERED_WITHIN, call).await.map_err(|_| Fault::passing(Code::TargetUnavailable, message()))?
}

#[async_trait]
impl Sink for PostgresSink {
    async fn claim(&mut self, partitions: &[TopicPartition]) -> Result<Offsets> {
        self.staged.clear();
        let mut session = match self.session.take() {
            Some(session) => session,
            None => answered(Session::open(&self.config, &self.target)).await?,
        };
        let offsets = answered(session.claim(partitions)).await?;
        self.session = Some(session);
        Ok(offsets)
    }

    async fn write(&mut self, batch: &Batch) -> Result<Vec<Rejection>> {
        let mut session = self.take()?;
        let (good, mut rejections) = session.check(batch)?;
        match self.target.table.mode {
            _ if good.is_empty() => {}
            Mode::Append => rejections.extend(answered(session.append(&good)).await?),
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
        let rejections = answered(session.merge(&staged)).await?;
        self.session = Some(session);
        Ok(rejections)
    }

    async fn commit(&mut self, from: &Offsets, to: &Offsets) -> Result<Commit> {
        if !self.staged.is_empty() {
            return Err(unsettled());
        }
        let mut session = self.take()?;
        let commit = answered(session.commit(from, to)).await?;
        self.session = Some(session);
        Ok(commit)
    }
}
