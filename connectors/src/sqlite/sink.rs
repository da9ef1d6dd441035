//! The sink.

use async_trait::async_trait;
use millrace_model::{
    Batch, Code, Commit, Fault, LoadBound, Offsets, Origin, ParkedChanges, ParkedHeads, Rejected, Rejection, Result, Schema, Sink,
    TopicPartition,
};

use super::config::Config;
use super::session::{Change, Session, defect};
use super::target::target;
use crate::table::{Replacing, Target, no_clearing, no_deletions, no_loads, unsettled};
use crate::table_config::Mode;

/// Loads a table of SQLite.
///
/// What is written waits in memory until it is settled, so that the database's one lock for writers is held from there to the commit only.
/// The session is taken out for each call and put back when the call succeeds: one that fails, or is dropped half-way, takes its connection with it,
/// and SQLite rolls back. The next claim opens another.
pub(super) struct SqliteSink {
    config: Config,
    target: Target,
    /// What the target becomes when the round is committed.
    reshaped: Option<Target>,
    session: Option<Session>,
    staged: Vec<Staged>,
}

enum Staged {
    Rows(Batch),
    Deletions(Batch),
    Clear(Origin),
    Bound(LoadBound),
}

impl SqliteSink {
    pub(super) async fn open(config: &Config, target: Target) -> Result<Self> {
        target.columns()?;
        let session = Some(Session::open(config, &target).await?);
        Ok(Self { config: config.clone(), target, reshaped: None, session, staged: Vec::new() })
    }

    fn take(&mut self) -> Result<Session> {
        self.session
            .take()
            .ok_or_else(|| Fault::passing(Code::TargetUnavailable, "SQLite: the session has ended; the partitions must be claimed again"))
    }

    fn stage(&mut self, batch: &Batch, staged: fn(Batch) -> Staged) -> Result<Vec<Rejection>> {
        let session = self.take()?;
        let (good, rejections) = session.check(batch)?;
        self.session = Some(session);
        if !good.is_empty() {
            let placed = self.target.table.mode == Mode::Replace;
            self.staged.push(staged(if placed { Replacing::placed(&good).map_err(defect)? } else { good }));
        }
        Ok(rejections)
    }
}

#[async_trait]
impl Sink for SqliteSink {
    async fn claim(&mut self, partitions: &[TopicPartition]) -> Result<Offsets> {
        self.staged.clear();
        let is_as_before = self.reshaped.take().is_none();
        let mut session = match self.session.take().filter(|_| is_as_before) {
            Some(session) => session,
            None => Session::open(&self.config, &self.target).await?,
        };
        let offsets = self.config.link().step(session.claim(partitions)).await?;
        self.session = Some(session);
        Ok(offsets)
    }

    async fn write(&mut self, batch: &Batch) -> Result<Vec<Rejection>> {
        self.stage(batch, Staged::Rows)
    }

    async fn delete(&mut self, keys: &Batch) -> Result<Vec<Rejection>> {
        if !self.target.table.mode.deletes() {
            return Ok(no_deletions(self.target.table.mode, keys));
        }
        self.stage(keys, Staged::Deletions)
    }

    async fn clear(&mut self, origin: Origin) -> Result<()> {
        if self.target.table.mode != Mode::Mirror {
            return Err(no_clearing(self.target.table.mode));
        }
        self.staged.push(Staged::Clear(origin));
        Ok(())
    }

    async fn bound(&mut self, bound: LoadBound) -> Result<()> {
        if self.target.table.mode != Mode::Replace {
            return Err(no_loads(self.target.table.mode));
        }
        self.staged.push(Staged::Bound(bound));
        Ok(())
    }

    async fn reshape(&mut self, schema: &Schema) -> Result<()> {
        if !self.staged.is_empty() {
            return Err(unsettled());
        }
        let target = target(&self.target.table, schema);
        target.columns()?;
        let mut session = self.take()?;
        let done = session.reshape(&target).await;
        if done.is_ok() {
            self.reshaped = Some(target);
        }
        if done.as_ref().err().is_none_or(|fault| fault.code() == Code::TargetSchema) {
            self.session = Some(session);
        }
        done
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
        let mut rejected = Vec::new();
        for staged in &staged {
            rejected.extend(match staged {
                Staged::Rows(rows) => self.config.link().step(session.land(rows, Change::Rows)).await?,
                Staged::Deletions(keys) => self.config.link().step(session.land(keys, Change::Deletions)).await?,
                Staged::Clear(origin) => session.clear(origin).await?,
                Staged::Bound(bound) => session.bound(bound).await?,
            });
        }
        self.session = Some(session);
        Ok(rejected)
    }

    async fn commit(&mut self, from: &Offsets, to: &Offsets) -> Result<Commit> {
        if !self.staged.is_empty() {
            return Err(unsettled());
        }
        let mut session = self.take()?;
        let commit = self.config.link().step(session.commit(from, to)).await?;
        if commit == Commit::Done
            && let Some(target) = self.reshaped.take()
        {
            self.target = target;
        }
        self.session = Some(session);
        Ok(commit)
    }
}
