//! `on_error: park_key`: when a record of a key is rejected, the later ones of its key wait behind it, in order, until its dead letter is
//! replayed or discarded.
//!
//! ```text
//!  records ─► line up ──────────────► go on
//!                ├─ rejected: the dead letter, and its key is parked ─┐
//!                └─ of a parked key: waits ───────────────────────────┴─► millrace.parked
//!  mark of the dead letter ─► released: what waited goes on, before anything that comes later
//! ```
//!
//! A record that deletes everything (the truncation of a mirror) is of all keys, and waits for none. What came before it counts no more, for
//! parked keys as well: what waited is let go, and when a key's letter is settled its row is deleted before what came after goes on.
//!
//! Who owns the partition does all of it: parks, learns of marks, and takes what waited through the pipeline. New records of the key come
//! through the same hands, so that nothing needs to be agreed on with a command. Keys are parked by partition, as Kafka orders them.
//!
//! [`keys`], [`rebuild`] and [`books`] decide, without Kafka; here it is driven.

mod behind;
pub mod books;
mod elsewhere;
pub mod entry;
pub mod keys;
pub mod rebuild;
#[cfg(test)]
mod simulation;
mod topic;

use std::sync::Arc;

use jiff::Timestamp;
use millrace_model::{Code, Fault, Offsets, ParkedChanges, Records, Result, TopicPartition};

use self::books::Books;
use self::elsewhere::Elsewhere;
use self::keys::{Head, Key, Line, ParkedKeys, Waiting};
use self::rebuild::{Truth, lost};
use self::topic::Entering;
use crate::crash_point::{PARKED_HELD_AFTER, PARKED_RELEASED_AFTER, PARKED_TAKEN_AFTER};
use crate::dead_letters::{Marks, RESOLVED, resolutions};
use crate::kafka::topics::{self, Declared};
use crate::kafka::{Cluster, Producer, Tail, record_at};
use crate::own_topics::PARKED;
use crate::project::ParkedConfig;

pub use behind::behind;
pub use elsewhere::Amount;
pub use topic::{own_topic, read_now};

/// What a pipeline has parked of the partitions that this instance holds.
pub struct Parking {
    pipeline: Box<str>,
    most: ParkedConfig,
    books: Books,
    marks: Tail,
    /// What other instances hold, and the topic that tells it.
    elsewhere: Elsewhere,
    entries: Tail,
}

impl Parking {
    /// For the pipeline of that id (`<project>.<pipeline>`) which reads `topic`. Makes the topics that it needs.
    pub async fn open(cluster: &Cluster, pipeline: &str, topic: &str, most: &ParkedConfig) -> Result<Self> {
        topics::ensure(cluster, &[own_topic(), Declared::compacted(RESOLVED, 1)]).await?;
        // Followed before anything is taken over: no mark comes between what is read then and what is told here.
        let marks = Tail::open(cluster, RESOLVED, 0, true).await?;
        let entries = Tail::open(cluster, PARKED, 0, true).await?;
        let (books, elsewhere) = (Books::new(topic), Elsewhere::new(pipeline, topic));
        Ok(Self { pipeline: pipeline.into(), most: most.clone(), books, marks, elsewhere, entries })
    }

    /// What is parked.
    pub fn keys(&self) -> &ParkedKeys {
        self.books.keys()
    }

    /// Takes partitions over at their positions, with what is parked of them; returns what has been settled meanwhile and goes on first.
    pub async fn take_over(
        &mut self,
        cluster: &Cluster,
        partitions: &[TopicPartition],
        positions: &Offsets,
        truth: Truth<'_>,
    ) -> Result<Option<Arc<Records>>> {
        let mut entries = topic::read(cluster, &self.pipeline, self.books.topic()).await?;
        partitions.iter().for_each(|partition| self.elsewhere.hold(partition.partition));
        self.elsewhere.is(&entries);
        entries.retain(|(number, _), _| partitions.iter().any(|partition| partition.partition == *number));
        for (key, offset) in self.books.take_over(entries, positions, truth)? {
            self.restore(cluster, &key, offset).await?;
        }
        if self.keys().is_empty() {
            return Ok(None);
        }
        tracing::info!(records = self.keys().records(), "records wait behind rejected ones of their keys");
        PARKED_TAKEN_AFTER.reached()?;
        Ok(self.release(&resolutions(cluster).await?))
    }

    /// Reads a record that waits from where it stands.
    async fn restore(&mut self, cluster: &Cluster, key: &Key, offset: i64) -> Result<()> {
        let partition = TopicPartition::new(Arc::clone(self.books.topic()), key.partition);
        let found = record_at(cluster, &partition, offset).await?;
        let found = found.ok_or_else(|| lost(&partition.topic, (key.partition, offset)))?;
        self.books.restore(key, offset, Waiting::of(&found.record(0)));
        Ok(())
    }

    /// The partition is another instance's.
    pub fn give_up(&mut self, partition: i32) {
        self.books.give_up(partition);
        self.elsewhere.give_up(partition);
    }

    /// Waits for marks of dead letters, and learns meanwhile what other instances hold; dropping the call loses none.
    pub async fn marks(&mut self) -> Result<Marks> {
        loop {
            tokio::select! {
                marks = self.marks.next() => return Ok(Marks::in_records(&marks?.ok_or_else(|| ended(RESOLVED))?)),
                entries = self.entries.next() => self.elsewhere.learn(&entries?.ok_or_else(|| ended(PARKED))?),
            }
        }
    }

    /// Releases the keys whose heads the marks settle; returns what waited, which goes on before any later record does.
    pub fn release(&mut self, marks: &Marks) -> Option<Arc<Records>> {
        let topic = Arc::clone(self.books.topic());
        let is_settled = |partition, head: Head| marks.settles(&self.pipeline, &topic, partition, head.offset, head.at);
        let released = self.books.release(is_settled)?;
        tracing::info!(records = released.len(), "released what waited behind settled dead letters");
        Some(released)
    }

    /// Parks what a line holds back, in the producer's transaction if it is in one. To be called before the heads become dead letters, so that
    /// what settles those letters settles the heads.
    ///
    /// # Errors
    /// [`Code::ParkedFull`] when there would be more than may be, of all instances together as far as the topic tells by now.
    pub fn hold_back(&mut self, producer: &mut Producer, records: &Records, line: &Line) -> Result<()> {
        if line.heads.is_empty() && line.waiting.is_empty() && line.clears.is_empty() {
            return Ok(());
        }
        let at = Timestamp::now();
        self.books.hold_back(records, line, at)?;
        self.room()?;
        let entering = Entering::new(producer, &self.pipeline, self.books.topic())?;
        line.heads.iter().try_for_each(|&row| entering.head(&records.record(row as usize), at))?;
        line.waiting.iter().try_for_each(|&row| entering.waiting(&records.record(row as usize)))?;
        let clears = line.clears.iter().map(|&row| records.record(row as usize));
        let heeded = clears.filter(|clear| self.books.keys().heeds(clear.partition, clear.offset));
        heeded.into_iter().try_for_each(|clear| entering.clear(&clear))?;
        PARKED_HELD_AFTER.reached()
    }

    /// What all instances of the pipeline hold, as far as the topic tells by now.
    pub fn held(&self) -> Amount {
        let mut held = Amount { records: self.keys().records(), bytes: self.keys().bytes() };
        held += self.elsewhere.amount();
        held
    }

    fn room(&self) -> Result<()> {
        let held = self.held();
        let is_over = held.records > self.most.max_records.get() as usize || held.bytes as u64 > self.most.max_bytes.bytes();
        if is_over { Err(full(held)) } else { Ok(()) }
    }

    /// Takes entries out that nothing waits for any more: in the transaction that takes the records on, or after it where that is a
    /// target's.
    pub fn let_go(&mut self, producer: &mut Producer) -> Result<()> {
        let leaving = self.books.leaving();
        if leaving.is_empty() {
            return Ok(());
        }
        let entering = Entering::new(producer, &self.pipeline, self.books.topic())?;
        leaving.into_iter().try_for_each(|(partition, offset)| entering.gone(partition, offset))?;
        PARKED_RELEASED_AFTER.reached()
    }

    /// What has changed since the last call, for a target that keeps it beside its positions.
    pub fn changes(&mut self) -> ParkedChanges {
        self.books.changes()
    }
}

fn ended(topic: &str) -> Fault {
    Fault::passing(Code::KafkaOther, format!("reading the topic {topic} ended"))
}

fn full(Amount { records, bytes }: Amount) -> Fault {
    let message = format!(
        "{records} records of {bytes} bytes would wait behind rejected ones of their keys, more than `parked` allows; {}",
        Code::ParkedFull.help()
    );
    Fault::operator(Code::ParkedFull, message)
}
