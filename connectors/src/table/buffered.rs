//! The sink of a target that gets a round's rows at its end: until then they wait in memory, so that the target's locks are held from
//! there to the commit only.

use async_trait::async_trait;
use millrace_model::{
    Batch, Code, Commit, Fault, LoadBound, Offsets, Origin, ParkedChanges, ParkedHeads, Rejected, Rejection, Result, Schema, Sink,
    TopicIdentity, TopicPartition,
};
use millrace_runtime::resilience::Link;

use super::{Replacing, Target, behind, defect, no_clearing, no_deletions, no_loads, unsettled};
use crate::table_config::{Mode, TableConfig};

/// What a batch does to the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// Its rows come.
    Rows,
    /// The rows of its keys go.
    Deletions,
}

/// A session with a target, and the transaction of a round in it. What it is asked for besides is as for [`Sink`].
#[async_trait]
pub(crate) trait RoundSession: Send + Sized {
    /// How the target is reached.
    type Config: Clone + Send + Sync;
    /// The target as people know it.
    const NAME: &'static str;

    /// The way to the target.
    fn link(config: &Self::Config) -> &Link;

    /// The table for rows of a schema.
    fn target(config: &Self::Config, table: &TableConfig, schema: &Schema) -> Target;

    /// Connects, makes the tables that do not exist, and compares the target with the schema, as far as it has the columns.
    async fn open(config: &Self::Config, target: &Target) -> Result<Self>;

    /// The target for rows of the columns that it has.
    fn present(&self) -> &Target;

    async fn reshape(&mut self, target: &Target) -> Result<()>;

    async fn claim(&mut self, partitions: &[TopicPartition], topic: TopicIdentity) -> Result<Offsets>;

    /// The parked keys of partitions.
    async fn parked(&mut self, partitions: &[TopicPartition]) -> Result<ParkedHeads>;

    /// Changes parked keys, in the round's transaction.
    async fn park(&mut self, changes: &ParkedChanges) -> Result<()>;

    /// Sorts out the rows that can be seen not to fit.
    fn check(&self, batch: &Batch) -> Result<(Batch, Vec<Rejection>)>;

    /// Puts the rows of batches, which have the same columns, into the table, or deletes those of their keys; returns what the target refuses. It sees to it
    /// that each attempt is answered in time: all of them may take as long as they must.
    async fn land(&mut self, batches: &[Batch], change: Change) -> Result<Vec<Rejected>>;

    /// Deletes all rows; returns the record that asked for it when the target refuses.
    async fn clear(&mut self, origin: &Origin) -> Result<Vec<Rejected>>;

    /// Lets a whole load begin or end; returns the end of one that the target refuses.
    async fn bound(&mut self, bound: &LoadBound) -> Result<Vec<Rejected>>;

    /// Moves the positions and commits, or rolls back when another writer has moved them.
    async fn commit(&mut self, from: &Offsets, to: &Offsets, topic: TopicIdentity) -> Result<Commit>;
}

/// Loads a table by a session.
///
/// The session is taken out for each call and put back when the call succeeds: one that fails, or is dropped half-way, takes its connection with it,
/// and the target rolls back. The next claim opens another.
pub(crate) struct BufferedSink<S: RoundSession> {
    config: S::Config,
    target: Target,
    /// Which topic its positions are of.
    topic: TopicIdentity,
    /// What the target becomes when the round is committed.
    reshaped: Option<Target>,
    session: Option<S>,
    staged: Vec<Staged>,
}

enum Staged {
    /// Batches of the same columns.
    Batches(Change, Vec<Batch>),
    Clear(Origin),
    Bound(LoadBound),
}

impl<S: RoundSession> BufferedSink<S> {
    /// A sink into the table; what does not exist is made. Columns that the table lacks come with the first rows.
    pub(crate) async fn open(config: &S::Config, table: &TableConfig, schema: &Schema) -> Result<Box<dyn Sink>>
    where
        S: 'static,
    {
        let target = S::target(config, table, schema);
        target.columns()?;
        let session = S::open(config, &target).await?;
        let target = session.present().clone();
        let present = target.schema.clone();
        let sink = Self {
            config: config.clone(),
            target,
            topic: TopicIdentity::default(),
            reshaped: None,
            session: Some(session),
            staged: Vec::new(),
        };
        Ok(behind(sink, &present, schema))
    }

    fn take(&mut self) -> Result<S> {
        let gone = || format!("{}: the session has ended; the partitions must be claimed again", S::NAME);
        self.session.take().ok_or_else(|| Fault::passing(Code::TargetUnavailable, gone()))
    }

    fn stage(&mut self, batch: &Batch, change: Change) -> Result<Vec<Rejection>> {
        let session = self.take()?;
        let (good, rejections) = session.check(batch)?;
        self.session = Some(session);
        if !good.is_empty() {
            let placed = self.target.table.mode == Mode::Replace;
            self.add(change, if placed { Replacing::placed(&good).map_err(defect)? } else { good });
        }
        Ok(rejections)
    }

    /// What does the same with the same columns, one after the other, is landed at once.
    fn add(&mut self, change: Change, batch: Batch) {
        match self.staged.last_mut() {
            Some(Staged::Batches(last, batches)) if *last == change && batches[0].columns().schema() == batch.columns().schema() => {
                batches.push(batch);
            }
            _ => self.staged.push(Staged::Batches(change, vec![batch])),
        }
    }
}

#[async_trait]
impl<S: RoundSession> Sink for BufferedSink<S> {
    fn identify(&mut self, topic: TopicIdentity) {
        self.topic = topic;
    }

    async fn claim(&mut self, partitions: &[TopicPartition]) -> Result<Offsets> {
        self.staged.clear();
        let is_as_before = self.reshaped.take().is_none();
        let mut session = match self.session.take().filter(|_| is_as_before) {
            Some(session) => session,
            None => S::open(&self.config, &self.target).await?,
        };
        let offsets = S::link(&self.config).step(session.claim(partitions, self.topic)).await?;
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
        let target = S::target(&self.config, &self.target.table, schema);
        target.columns()?;
        let mut session = self.take()?;
        let done = S::link(&self.config).step(session.reshape(&target)).await;
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
        let heads = S::link(&self.config).step(session.parked(partitions)).await?;
        self.session = Some(session);
        Ok(heads)
    }

    async fn park(&mut self, changes: &ParkedChanges) -> Result<()> {
        if !self.staged.is_empty() {
            return Err(unsettled());
        }
        let mut session = self.take()?;
        S::link(&self.config).step(session.park(changes)).await?;
        self.session = Some(session);
        Ok(())
    }

    async fn settle(&mut self) -> Result<Vec<Rejected>> {
        let staged = std::mem::take(&mut self.staged);
        let mut session = self.take()?;
        let (link, mut rejected) = (S::link(&self.config), Vec::new());
        for staged in &staged {
            rejected.extend(match staged {
                Staged::Batches(change, batches) => session.land(batches, *change).await?,
                Staged::Clear(origin) => link.step(session.clear(origin)).await?,
                Staged::Bound(bound) => link.step(session.bound(bound)).await?,
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
        let commit = S::link(&self.config).step(session.commit(from, to, self.topic)).await?;
        if commit == Commit::Done
            && let Some(target) = self.reshaped.take()
        {
            self.target = target;
        }
        self.session = Some(session);
        Ok(commit)
    }
}
