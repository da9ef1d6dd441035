//! Records into the table of a load.
//!
//! Each letter's record has a position of its own in the target, beside those of the pipeline's partitions: when the letter was made that
//! was replayed last, in microseconds since the epoch. It moves in the transaction of the row, from where it was found, so that of two replays
//! one lands; and a replay that was cut off before the letter's mark finds that the row is there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use millrace_loader::reading::Reading;
use millrace_loader::service::Load;
use millrace_model::{
    Code, Commit, Fault, Offsets, ParkedHeads, Records, Rejection, Result, Schema, Sink, Stage, TopicIdentity, TopicPartition,
};
use millrace_runtime::dead_letters::{self, DeadLetter, Identity, Resolution};
use millrace_runtime::kafka::{Producer, groups};
use millrace_runtime::parking::keys::Key;
use millrace_runtime::parking::rebuild::digest;
use millrace_runtime::project::OnError;
use millrace_runtime::registry::Registry;

use super::{Destination, Taken, send_marks};
use crate::{Route, Theatre};

/// A load's table.
pub(super) struct Target {
    registry: Registry,
    reading: Reading,
    sink: Box<dyn Sink>,
    /// What the table's rows are, by what was committed.
    committed: Schema,
    producer: Producer,
    /// The letters' positions as they were found.
    from: Offsets,
    /// And as they will be.
    to: Offsets,
}

impl Target {
    pub(super) async fn open(theatre: &Theatre, load: &Load, producer: Producer) -> Result<Self> {
        let reading = Reading::new(&load.config, &load.schema)?;
        let committed = reading.table_schema().clone();
        let sink = load.connection.open(&load.table, &committed).await?;
        let registry = theatre.registry.clone();
        Ok(Self { registry, reading, sink, committed, producer, from: Offsets::new(), to: Offsets::new() })
    }

    /// Takes the letters' positions over, and plans where they will be: at their letters, or beyond where they were.
    async fn claim(&mut self, letters: &[DeadLetter]) -> Result<()> {
        let positions: Vec<TopicPartition> = letters.iter().map(position_of).collect();
        self.from = self.sink.claim(&positions).await?;
        let after = |position: &TopicPartition| self.from.get(position).map_or(0, |at| at + 1);
        self.to =
            positions.into_iter().zip(letters).map(|(position, letter)| (position.clone(), after(&position).max(made(letter)))).collect();
        Ok(())
    }

    /// Follows the schemas that the records were written with, as the service does: the table gets their columns in the transaction of
    /// their rows. What an attempt before had made of the table and did not commit, the claim has undone.
    async fn turn(&mut self, records: &Records) -> Result<()> {
        if self.reading.table_schema().arrow() != self.committed.arrow() {
            self.sink.reshape(self.reading.table_schema()).await?;
        }
        while let Some(turn) = self.reading.learn(&self.registry, records).await? {
            self.reading.turn(turn, &mut *self.sink).await?;
        }
        Ok(())
    }
}

/// The name of a record's position. It can't be that of a topic's partition: no topic's name has a colon.
fn position_of(letter: &DeadLetter) -> TopicPartition {
    let Identity { topic, partition, offset, pipeline, .. } = letter.identity();
    TopicPartition::new(format!("dead-letter:{pipeline}:{topic}:{partition}:{offset}"), 0)
}

/// When a letter was made.
fn made(letter: &DeadLetter) -> i64 {
    letter.at().map_or(0, Timestamp::as_microsecond)
}

#[async_trait(?Send)]
impl Destination for Target {
    async fn present(&mut self, letters: &[DeadLetter]) -> Result<Vec<bool>> {
        self.claim(letters).await?;
        let is_there = |letter: &DeadLetter| self.from.get(&position_of(letter)).is_some_and(|&at| at >= made(letter));
        Ok(letters.iter().map(is_there).collect())
    }

    async fn attempt(&mut self, letters: &[DeadLetter], records: &Arc<Records>) -> Result<Vec<(Stage, Rejection)>> {
        self.claim(letters).await?;
        self.turn(records).await?;
        let read = self.reading.read(records, &self.registry).await?;
        let refused = read.stage(&mut *self.sink).await?;
        let settled = self.sink.settle().await?;
        let unread = read.undecoded.into_iter().map(|rejection| (Stage::Decode, rejection));
        let unwritten = read.unfit.into_iter().chain(refused).map(|rejection| (Stage::Write, rejection));
        let settled = settled.iter().map(|rejected| (rejected.stage().clone(), rejected.rejection().clone()));
        Ok(unread.chain(unwritten).chain(settled).collect())
    }

    async fn commit(&mut self, marks: &[(Identity, Resolution)]) -> Result<()> {
        match self.sink.commit(&self.from, &self.to).await? {
            Commit::Done => {
                self.committed = self.reading.table_schema().clone();
                self.mark(marks).await
            }
            Commit::Fenced => {
                let message = "another replay has loaded some of these letters meanwhile; replay again what is left";
                Err(Fault::passing(Code::TargetFenced, message))
            }
        }
    }

    /// The next claim rolls the round back.
    async fn abandon(&mut self) -> Result<()> {
        self.producer.abort()
    }

    async fn mark(&mut self, marks: &[(Identity, Resolution)]) -> Result<()> {
        send_marks(&mut self.producer, marks)?;
        self.producer.commit()
    }
}

/// The letters whose records the load has still before it: it made the dead letter durable, and was cut off before the commit that
/// would have passed the record, or that would have let it wait no more behind another of its key. It will look at the record again by itself.
pub(super) async fn not_passed(theatre: &Theatre, way: &Taken<'_>, pipeline: &str, letters: &[DeadLetter]) -> Result<BTreeSet<Identity>> {
    let load = match way {
        Taken::Route(id, Route::Load(load)) if *id == pipeline => load,
        _ => return Ok(BTreeSet::new()),
    };
    let partitions: BTreeSet<TopicPartition> = letters.iter().filter_map(|letter| Some(place(letter)?.0)).collect();
    let partitions: Vec<TopicPartition> = partitions.into_iter().collect();
    let heads = parked_heads(load, letters, &partitions).await?;
    let committed = groups::committed(&theatre.cluster, pipeline, partitions, TopicIdentity::Unknown).await?;
    let is_before = |letter: &&DeadLetter| {
        place(letter).is_some_and(|(partition, offset)| {
            committed.get(&partition).is_none_or(|&passed| passed <= offset) || waits(letter, &partition, offset, &heads)
        })
    };
    Ok(letters.iter().filter(is_before).map(DeadLetter::identity).collect())
}

/// Where the letter's record stood.
fn place(letter: &DeadLetter) -> Option<(TopicPartition, i64)> {
    Some((TopicPartition::new(letter.said("topic"), letter.partition()?), letter.offset()?))
}

/// The records that parked keys wait for, by what the load has committed.
async fn parked_heads(load: &Load, letters: &[DeadLetter], partitions: &[TopicPartition]) -> Result<ParkedHeads> {
    if load.config.on_error != OnError::ParkKey {
        return Ok(ParkedHeads::new());
    }
    let mut sink = load.connection.open(&load.table, Reading::new(&load.config, &load.schema)?.table_schema()).await?;
    let positions: Vec<TopicPartition> = letters.iter().map(position_of).collect();
    sink.claim(&positions).await?;
    sink.parked(partitions).await
}

/// Whether a record waits behind another one of its key.
fn waits(letter: &DeadLetter, partition: &TopicPartition, offset: i64, heads: &ParkedHeads) -> bool {
    let Some(key) = &letter.key else { return false };
    let key = digest(&partition.topic, &Key { partition: partition.partition, bytes: key.as_slice().into() });
    heads.get(&key).is_some_and(|&head| head < offset)
}

/// The letters of a load, each from when its record was rejected last. To be asked for once it is known which records the load has passed: a letter
/// that it has written since the letters were read, before it passed, is of the same rejection, and settled with it.
pub(super) async fn as_rejected_last(theatre: &Theatre, way: &Taken<'_>, letters: Vec<DeadLetter>) -> Result<Vec<DeadLetter>> {
    if !matches!(way, Taken::Route(_, Route::Load(_))) {
        return Ok(letters);
    }
    let topics: BTreeSet<&str> = letters.iter().map(|letter| letter.place.topic.as_str()).collect();
    let mut last: BTreeMap<TopicPartition, Timestamp> = BTreeMap::new();
    for topic in topics {
        let there = match dead_letters::read(&theatre.cluster, topic).await {
            // Letters of a file may have outlived their topic.
            Err(fault) if fault.code() == Code::KafkaTopicMissing => Vec::new(),
            read => read?,
        };
        for (record, at) in there.iter().filter_map(|letter| Some((position_of(letter), letter.at()?))) {
            last.entry(record).and_modify(|known| *known = at.max(*known)).or_insert(at);
        }
    }
    let newest = |letter: DeadLetter| match last.get(&position_of(&letter)) {
        Some(&at) if letter.at() < Some(at) => letter.rejected_at(at),
        _ => letter,
    };
    Ok(letters.into_iter().map(newest).collect())
}

/// Why such a letter is not replayed.
pub(super) fn still_before() -> Fault {
    let message = "the load has not passed this record yet (by its consumer group's offsets, or because it waits for another of its key) and \
                   will try it again itself; \
                   replay it once it has, or by --unpassed if the load is stopped for good";
    Fault::operator(Code::NotReplayable, message)
}
