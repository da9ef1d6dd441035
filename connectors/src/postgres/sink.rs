//! The sink.

use std::sync::Arc;

use async_trait::async_trait;
use millrace_model::{
    Batch, Code, Commit, Fault, LoadBound, Offsets, Origin, ParkedChanges, ParkedHeads, Rejected, Rejection, Result, Schema, Sink,
    TopicIdentity, TopicPartition,
};

use super::catalogue::Catalogue;
use super::config::Config;
use super::copying::{Copied, Copying};
use super::session::Session;
use super::staged::{Change, Staged};
use crate::table::{Replacing, Target, defect, no_clearing, no_deletions, no_loads, unsettled};
use crate::table_config::Mode;

/// Loads a table of PostgreSQL: appends are copied straight into it, loads with keys go by a stage and a merge.
///
/// What holds the session is taken out for each call and put back when the call succeeds: one that fails, or is dropped half-way,
/// takes the connection with it, and the server rolls back. The next claim opens another.
pub(super) struct PostgresSink {
    config: Config,
    target: Target,
    /// Which topic its positions are of.
    topic: TopicIdentity,
    /// What the target becomes when the round is committed.
    reshaped: Option<Target>,
    catalogue: Arc<Catalogue>,
    state: State,
    staged: Vec<Staged>,
    /// The bounds of whole loads in this round.
    bounds: Vec<LoadBound>,
}

/// Where the session is.
enum State {
    /// A call took it and did not come back.
    Gone,
    /// Between rounds, or settled.
    Idle(Session),
    /// In the COPY of a round.
    Copying(Copying),
    /// The COPY ended with a refusal while rows were still to come: they wait for the search.
    Refused(Copied),
}

impl PostgresSink {
    pub(super) async fn open(config: &Config, target: Target) -> Result<Self> {
        target.columns()?;
        let session = Session::open(config, &target).await?;
        let catalogue = session.catalogue();
        let (state, target) = (State::Idle(session), catalogue.target.clone());
        let topic = TopicIdentity::default();
        Ok(Self { config: config.clone(), target, topic, reshaped: None, catalogue, state, staged: Vec::new(), bounds: Vec::new() })
    }

    /// The schema of the rows that the table takes as it is.
    pub(super) fn present(&self) -> &Schema {
        &self.target.schema
    }

    fn take(&mut self) -> State {
        std::mem::replace(&mut self.state, State::Gone)
    }

    /// The session, of a round that is settled or has not begun.
    fn settled(&mut self) -> Result<Session> {
        match self.take() {
            State::Idle(session) => Ok(session),
            unfinished @ (State::Copying(_) | State::Refused(_)) => {
                self.state = unfinished;
                Err(unsettled())
            }
            State::Gone => Err(gone()),
        }
    }

    /// Hands rows to the round's COPY, which is started if need be.
    async fn stage(&mut self, rows: Staged) -> Result<()> {
        self.staged.push(rows.clone());
        self.state = match self.take() {
            State::Copying(copying) => self.config.link().step(copied(copying, rows)).await?,
            State::Idle(session) => self.config.link().step(copied(Copying::start(session), rows)).await?,
            refused @ State::Refused(_) => refused,
            State::Gone => return Err(gone()),
        };
        Ok(())
    }
}

/// Hands rows to a COPY, and looks into it when it has ended.
async fn copied(copying: Copying, rows: Staged) -> Result<State> {
    if copying.send(rows).await {
        return Ok(State::Copying(copying));
    }
    copying.finish().await?.unless_lost().map(State::Refused)
}

fn gone() -> Fault {
    Fault::passing(Code::TargetUnavailable, "PostgreSQL: the session has ended; the partitions must be claimed again")
}

#[async_trait]
impl Sink for PostgresSink {
    fn identify(&mut self, topic: TopicIdentity) {
        self.topic = topic;
    }

    async fn claim(&mut self, partitions: &[TopicPartition]) -> Result<Offsets> {
        self.staged.clear();
        self.bounds.clear();
        let is_as_before = self.reshaped.take().is_none();
        let kept = match self.take() {
            State::Idle(session) if is_as_before => Some(session),
            // A session that has grown the table knows columns that are not there any more; it is ended before another looks at the table.
            State::Idle(_) | State::Copying(_) | State::Refused(_) | State::Gone => None,
        };
        let mut session = match kept {
            Some(session) => session,
            None => Session::open(&self.config, &self.target).await?,
        };
        let offsets = self.config.link().step(session.claim(partitions, self.topic)).await?;
        self.catalogue = session.catalogue();
        self.state = State::Idle(session);
        Ok(offsets)
    }

    async fn release(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        let mut session = self.settled()?;
        self.config.link().step(session.release(partitions)).await?;
        self.state = State::Idle(session);
        Ok(())
    }

    async fn write(&mut self, batch: &Batch) -> Result<Vec<Rejection>> {
        let (mut good, rejections) = self.catalogue.check(batch)?;
        if !good.is_empty() {
            if self.target.table.mode == Mode::Replace {
                good = Replacing::placed(&good).map_err(defect)?;
            }
            self.stage(Staged { batch: good, change: Change::Rows }).await?;
        }
        Ok(rejections)
    }

    async fn delete(&mut self, keys: &Batch) -> Result<Vec<Rejection>> {
        if !self.target.table.mode.deletes() {
            return Ok(no_deletions(self.target.table.mode, keys));
        }
        let (good, rejections) = self.catalogue.check(keys)?;
        if !good.is_empty() {
            self.stage(Staged { batch: good, change: Change::Deletions }).await?;
        }
        Ok(rejections)
    }

    async fn clear(&mut self, origin: Origin) -> Result<()> {
        if self.target.table.mode != Mode::Mirror {
            return Err(no_clearing(self.target.table.mode));
        }
        self.stage(Staged::clear(origin)?).await
    }

    async fn bound(&mut self, bound: LoadBound) -> Result<()> {
        if self.target.table.mode != Mode::Replace {
            return Err(no_loads(self.target.table.mode));
        }
        self.bounds.push(bound);
        Ok(())
    }

    async fn reshape(&mut self, schema: &Schema) -> Result<()> {
        let target = self.config.target(&self.target.table, schema);
        target.columns()?;
        let mut session = match self.take() {
            State::Idle(session) => session,
            unfinished @ (State::Copying(_) | State::Refused(_)) => {
                self.state = unfinished;
                return Err(unsettled());
            }
            State::Gone => return Err(gone()),
        };
        if session.is_open() && self.reshaped.take().is_some() {
            self.config.link().step(session.undo(&self.target)).await?;
        }
        if session.is_open() {
            self.state = State::Idle(session);
            return Err(unsettled());
        }
        match self.config.link().step(session.reshape(&target)).await {
            Ok(()) => self.reshaped = Some(target),
            Err(fault) if fault.code() == Code::TargetSchema => {
                self.state = State::Idle(session);
                return Err(fault);
            }
            Err(fault) => return Err(fault),
        }
        self.catalogue = session.catalogue();
        self.state = State::Idle(session);
        Ok(())
    }

    async fn parked(&mut self, partitions: &[TopicPartition]) -> Result<ParkedHeads> {
        let mut session = self.settled()?;
        let heads = self.config.link().step(session.parked(partitions)).await?;
        self.state = State::Idle(session);
        Ok(heads)
    }

    async fn park(&mut self, changes: &ParkedChanges) -> Result<()> {
        let mut session = self.settled()?;
        self.config.link().step(session.park(changes)).await?;
        self.state = State::Idle(session);
        Ok(())
    }

    async fn settle(&mut self) -> Result<Vec<Rejected>> {
        let Copied { mut session, done } = match self.take() {
            State::Copying(copying) => self.config.link().step(copying.finish()).await?,
            State::Refused(copied) => copied,
            State::Gone => return Err(gone()),
            State::Idle(mut session) => {
                let rejected = session.bound(&std::mem::take(&mut self.bounds)).await?;
                self.state = State::Idle(session);
                return Ok(rejected);
            }
        };
        let staged = std::mem::take(&mut self.staged);
        let mut rejected = session.settle(done, &staged).await?;
        rejected.extend(session.bound(&std::mem::take(&mut self.bounds)).await?);
        self.state = State::Idle(session);
        Ok(rejected)
    }

    async fn commit(&mut self, from: &Offsets, to: &Offsets) -> Result<Commit> {
        let mut session = match self.take() {
            State::Idle(session) if self.bounds.is_empty() => session,
            unfinished @ (State::Copying(_) | State::Refused(_) | State::Idle(_)) => {
                self.state = unfinished;
                return Err(unsettled());
            }
            State::Gone => return Err(gone()),
        };
        let commit = self.config.link().step(session.commit(from, to, self.topic)).await?;
        if commit == Commit::Done
            && let Some(target) = self.reshaped.take()
        {
            self.target = target;
        }
        self.catalogue = session.catalogue();
        self.state = State::Idle(session);
        Ok(commit)
    }
}
