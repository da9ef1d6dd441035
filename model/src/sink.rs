//! Where batches end.

use async_trait::async_trait;

use crate::batch::{Batch, Origin};
use crate::bound::LoadBound;
use crate::code::Code;
use crate::fault::{Fault, Result};
use crate::parked::{ParkedChanges, ParkedHeads};
use crate::position::{Offsets, TopicPartition};
use crate::rejected::{Rejected, Rejection};
use crate::schema::Schema;
use crate::topic::TopicIdentity;

/// How a commit ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Commit {
    /// Rows and positions are durable.
    Done,
    /// The target's positions are not those this writer started from: another writer took over, or an earlier
    /// commit whose answer was lost had succeeded. Nothing was written; claim again and seek.
    Fenced,
}

/// A table that rows are loaded into, with the positions they came from.
///
/// Driven by one loop, that of `loader`, always in this order: `claim`, then any number of rounds of
/// `write`/`delete` …, `settle`, `commit`. After a fault or [`Commit::Fenced`] the round is void: the
/// loop claims again, seeks its consumer to the claimed offsets, and reads from there.
///
/// - *Exactly once*: rows and positions become durable in one transaction, which moves each position by
///   compare-and-set. The compared position is the fence; the transaction's other work comes first, so
///   that the row lock on a position is held for the shortest time.
/// - *Take-over*: `claim` ends the sessions of predecessors that still hold locks, so that a writer
///   that stands still (SIGSTOP, a lost network) can neither block its successor nor write after it wakes.
/// - *Order*: within a round, a later row or deletion of a key wins over an earlier one.
/// - *Rejection*: `settle` and `write` tell which rows the target refuses; the rest of the batch lands. The loop
///   makes their dead letters durable before it calls `commit`, so no position passes a record that is nowhere.
/// - *Cancellation*: dropping any call, or the sink, rolls the round back.
#[async_trait]
pub trait Sink: Send {
    /// Says which topic the partitions are of that are claimed from here on. Unless it is said, it is not known.
    ///
    /// A claim refuses positions of another topic ([`Code::KafkaTopicAnother`]), and so does a commit ([`Commit::Fenced`]), which stores the id
    /// with the positions that it moves. Positions without an id are those of whichever topic there is.
    fn identify(&mut self, topic: TopicIdentity);

    /// Takes the partitions over and returns the next offset of each one that has a position.
    async fn claim(&mut self, partitions: &[TopicPartition]) -> Result<Offsets>;

    /// Gives partitions back that another may claim from now on, between rounds: the claim need not end this writer's session, which goes on
    /// with the partitions that it keeps. A target without sessions, or without locks that one could leave behind, has nothing to do.
    async fn release(&mut self, _partitions: &[TopicPartition]) -> Result<()> {
        Ok(())
    }

    /// Stages rows of the sink's schema; returns those that it can see won't fit the target.
    ///
    /// A batch may lack columns other than keys where [`Sink::clear`] is supported: a row that is there keeps what it has in them, a new one
    /// gets null.
    async fn write(&mut self, batch: &Batch) -> Result<Vec<Rejection>>;

    /// Stages the deletion of rows by key; the batch has the key columns only.
    async fn delete(&mut self, keys: &Batch) -> Result<Vec<Rejection>>;

    /// Stages the deletion of all rows, those staged before it included; `origin` is that of the one record that asks for it.
    ///
    /// Only the mirror of a change stream asks for it. A sink whose target has no such mode need not answer to it.
    async fn clear(&mut self, _origin: Origin) -> Result<()> {
        Err(Fault::fatal(Code::Internal, "this target can't be asked to delete all rows"))
    }

    /// Stages that a load of the whole table begins or ends. When it has ended in all partitions, its rows take the place of all others, in the
    /// transaction of the round that has the last end; until then they show nowhere, over any number of rounds.
    ///
    /// Only the replacement of a table asks for it. A sink whose target has no such mode need not answer to it.
    async fn bound(&mut self, _bound: LoadBound) -> Result<()> {
        Err(Fault::fatal(Code::Internal, "this target can't be replaced load by load"))
    }

    /// Makes the target take rows of another schema: columns are added, types widened as far as they can be. A column that is not in the
    /// schema any more stays, and new rows have null or its default there.
    ///
    /// Called between rounds only, before the first `write` of such rows, and in the transaction of the round that follows: what is
    /// changed becomes visible with those rows, or not at all. A target whose definitions commit by themselves does it at once. A
    /// claim before that commit undoes it: batches are of the former schema again, until this is called again. Loaders of one table may
    /// do it at the same time.
    ///
    /// # Errors
    /// [`Code::TargetSchema`] when the target can't take such rows; it is as it was, and goes on taking the others.
    async fn reshape(&mut self, _schema: &Schema) -> Result<()> {
        Err(Fault::operator(Code::TargetSchema, "this target keeps the columns that it was made with"))
    }

    /// The parked keys of partitions that were claimed.
    ///
    /// Only a pipeline that parks keys asks for them, after each claim that gives it partitions. A sink whose target keeps none need not answer to it.
    async fn parked(&mut self, _partitions: &[TopicPartition]) -> Result<ParkedHeads> {
        Err(Fault::fatal(Code::Internal, "this target keeps no parked keys"))
    }

    /// Changes parked keys, inside the transaction: between `settle` and `commit`, which makes them durable with the positions of their
    /// partitions, or not at all.
    async fn park(&mut self, _changes: &ParkedChanges) -> Result<()> {
        Err(Fault::fatal(Code::Internal, "this target keeps no parked keys"))
    }

    /// Brings what is staged into the target, inside the transaction; returns what the target refused, each with its
    /// own records: a round may have had many batches.
    async fn settle(&mut self) -> Result<Vec<Rejected>>;

    /// Moves the positions `from` → `to` and commits. A partition that is not in `from` had no position yet.
    async fn commit(&mut self, from: &Offsets, to: &Offsets) -> Result<Commit>;
}
