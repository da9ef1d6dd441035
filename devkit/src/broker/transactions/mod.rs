//! Transactions: who may write under a transactional id, and the two steps of an end, decision and markers.
//!
//! A decision is kept before the first marker is written, and a restart writes the markers that are missing, so partitions and groups end
//! with the same outcome.

pub(crate) mod transaction;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use kafka_protocol::ResponseError;
use parking_lot::Mutex;

use super::groups::Groups;
use super::groups::group::Caller;
use super::groups::offsets::{Commits, TopicPartition};
use super::journal::{Event, Image, Journal};
use super::topics::Topics;
use transaction::{Producer, Stage, Transaction};

/// Producer ids are reserved by so many, so that giving one out seldom writes.
const RESERVED_AT_ONCE: i64 = 1000;
/// The longest that a transaction may stay open, as in Apache Kafka (`transaction.max.timeout.ms`).
const LONGEST: Duration = Duration::from_mins(15);
/// How long to wait after a transaction could not be ended, for want of space say.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
struct ProducerIds {
    next: i64,
    reserved: i64,
}

/// The transactional ids of a broker. Where its state lies behind several locks, a transaction's comes first, then a partition's or group's.
#[derive(Debug)]
pub(crate) struct Transactions {
    by_id: Mutex<BTreeMap<String, Arc<Mutex<Transaction>>>>,
    producer_ids: Mutex<ProducerIds>,
    journal: Arc<Journal>,
    topics: Arc<Topics>,
    groups: Arc<Groups>,
}

impl Transactions {
    /// The transactions of an image: decided ones are ended, open ones stay open and their time counts anew. What is open in a log
    /// but belongs to none of them is aborted.
    pub(crate) fn open(image: Image, journal: Arc<Journal>, topics: Arc<Topics>, groups: Arc<Groups>) -> Result<Self, ResponseError> {
        // A broker in memory forgets: beginning at the time it gives no id out that an earlier one gave to a producer that is still there.
        let first = if image.producer_ids == 0 { now_millis() } else { image.producer_ids };
        let ids = ProducerIds { next: first, reserved: first };
        let opened = Self { by_id: Mutex::default(), producer_ids: Mutex::new(ids), journal, topics, groups };
        for (id, mut transaction) in image.transactions {
            opened.resume(&id, &mut transaction)?;
            opened.by_id.lock().insert(id, Arc::new(Mutex::new(transaction)));
        }
        opened.abort_orphans()?;
        Ok(opened)
    }

    /// A producer id that was never given out before.
    pub(crate) fn new_producer_id(&self) -> Result<i64, ResponseError> {
        let mut ids = self.producer_ids.lock();
        if ids.next == ids.reserved {
            let below = ids.reserved + RESERVED_AT_ONCE;
            self.journal.write(&Event::ProducerIdsReserved { below })?;
            ids.reserved = below;
        }
        ids.next += 1;
        Ok(ids.next - 1)
    }

    /// Makes the caller the one producer of a transactional id: earlier ones are fenced and what they left open is aborted.
    /// `former`: the producer that the caller was (KIP-360).
    pub(crate) fn init(&self, id: &str, timeout: Duration, former: Option<Producer>) -> Result<Producer, ResponseError> {
        if id.is_empty() {
            return Err(ResponseError::InvalidRequest);
        }
        if timeout.is_zero() || timeout > LONGEST {
            return Err(ResponseError::InvalidTransactionTimeout);
        }
        let Some(shared) = self.find(id) else { return self.create(id, timeout) };
        let mut transaction = shared.lock();
        let fresh = former.map_or(Ok(true), |former| transaction.check_former(former))?;
        if fresh {
            transaction.fence(former);
        }
        // What is open is ended by markers of the new epoch, which fence the old one in each partition.
        self.settle(id, &mut transaction)?;
        if transaction.is_exhausted() {
            transaction.renew(self.new_producer_id()?);
        }
        if fresh {
            transaction.reset(timeout);
        }
        self.keep(id, &transaction)?;
        Ok(transaction.producer)
    }

    /// Adds partitions to the caller's transaction; all must exist.
    pub(crate) fn add_partitions(&self, id: &str, caller: Producer, partitions: &[TopicPartition]) -> Result<(), ResponseError> {
        self.change(id, caller, |transaction| {
            transaction.add_partitions(partitions.iter().cloned(), Instant::now())?;
            self.keep(id, transaction)?;
            self.announce(transaction.producer, partitions)
        })
    }

    /// Adds a group to the caller's transaction.
    pub(crate) fn add_group(&self, id: &str, caller: Producer, group: &str) -> Result<(), ResponseError> {
        self.change(id, caller, |transaction| {
            transaction.add_group(group, Instant::now())?;
            self.keep(id, transaction)
        })
    }

    /// Commits a group's offsets inside the caller's transaction.
    pub(crate) fn commit_offsets(
        &self,
        id: &str,
        caller: Producer,
        group: &str,
        (member, generation): (Caller<'_>, i32),
        commits: Commits,
    ) -> Result<(), ResponseError> {
        self.change(id, caller, |transaction| {
            transaction.check_group(group)?;
            self.groups.pend(&self.journal, group, member, generation, caller.id, commits)
        })
    }

    /// Ends the caller's transaction.
    pub(crate) fn end(&self, id: &str, caller: Producer, committed: bool) -> Result<(), ResponseError> {
        self.change(id, caller, |transaction| if transaction.decide(committed)? { self.settle(id, transaction) } else { Ok(()) })
    }

    /// Aborts transactions that are open for too long, fencing their producers, and ends those whose end could not be carried out.
    pub(crate) fn expire(&self, now: Instant) {
        let all: Vec<_> = self.by_id.lock().iter().map(|(id, transaction)| (id.clone(), Arc::clone(transaction))).collect();
        for (id, shared) in all {
            let mut transaction = shared.lock();
            if transaction.is_overdue(now)
                && let Err(error) = self.end_overdue(&id, &mut transaction)
            {
                tracing::error!(transactional_id = id, %error, "a transaction could not be ended");
                transaction.postpone(now + PAUSE);
            }
        }
    }

    fn end_overdue(&self, id: &str, transaction: &mut Transaction) -> Result<(), ResponseError> {
        if transaction.is_open() {
            tracing::info!(transactional_id = id, "aborting a transaction that was open for too long");
            transaction.fence(None);
        }
        self.settle(id, transaction)
    }

    fn find(&self, id: &str) -> Option<Arc<Mutex<Transaction>>> {
        self.by_id.lock().get(id).cloned()
    }

    fn create(&self, id: &str, timeout: Duration) -> Result<Producer, ResponseError> {
        let transaction = Transaction::new(self.new_producer_id()?, timeout);
        let producer = transaction.producer;
        self.keep(id, &transaction)?;
        self.by_id.lock().insert(id.to_owned(), Arc::new(Mutex::new(transaction)));
        Ok(producer)
    }

    fn change(
        &self,
        id: &str,
        caller: Producer,
        act: impl FnOnce(&mut Transaction) -> Result<(), ResponseError>,
    ) -> Result<(), ResponseError> {
        let shared = self.find(id).ok_or(ResponseError::InvalidProducerIdMapping)?;
        let mut transaction = shared.lock();
        transaction.check(caller)?;
        act(&mut transaction)
    }

    fn keep(&self, id: &str, transaction: &Transaction) -> Result<(), ResponseError> {
        self.journal.write(&Event::TransactionChanged { id: id.to_owned(), transaction: transaction.clone() })
    }

    /// Carries a decision out once it is kept: markers into the partitions, the outcome to the groups. May be repeated.
    fn settle(&self, id: &str, transaction: &mut Transaction) -> Result<(), ResponseError> {
        let Stage::Ending { committed } = transaction.stage else { return Ok(()) };
        self.keep(id, transaction)?;
        let Producer { id: producer_id, epoch } = transaction.producer;
        for (topic, index) in &transaction.partitions {
            // A topic that was deleted in the meantime needs no marker.
            if let Ok(partition) = self.topics.partition(topic, *index) {
                partition.lock().end_transaction(producer_id, epoch, committed, now_millis())?;
            }
        }
        for group in &transaction.groups {
            self.groups.settle(&self.journal, group, producer_id, committed)?;
        }
        transaction.finish();
        self.keep(id, transaction)
    }

    /// Lets the producer write to partitions.
    fn announce(&self, producer: Producer, partitions: &[TopicPartition]) -> Result<(), ResponseError> {
        for (topic, index) in partitions {
            self.topics.partition(topic, *index)?.lock().add_to_transaction(producer.id, producer.epoch);
        }
        Ok(())
    }

    /// Brings a transaction of an earlier life of the broker to where it stood.
    fn resume(&self, id: &str, transaction: &mut Transaction) -> Result<(), ResponseError> {
        for (topic, index) in &transaction.partitions {
            if let Ok(partition) = self.topics.partition(topic, *index) {
                partition.lock().add_to_transaction(transaction.producer.id, transaction.producer.epoch);
            }
        }
        transaction.restart(Instant::now());
        self.settle(id, transaction)
    }

    fn abort_orphans(&self) -> Result<(), ResponseError> {
        let known = |producer_id: i64, partition: &TopicPartition| {
            self.by_id.lock().values().any(|shared| {
                let transaction = shared.lock();
                transaction.producer.id == producer_id && transaction.partitions.contains(partition)
            })
        };
        for topic in self.topics.all() {
            for (index, partition) in topic.partitions().into_iter().enumerate() {
                let at = (topic.name.clone(), index as i32);
                let mut log = partition.lock();
                for producer_id in log.open_producers().into_iter().filter(|id| !known(*id, &at)) {
                    log.end_transaction(producer_id, 0, false, now_millis())?;
                }
            }
        }
        Ok(())
    }
}

/// Milliseconds since 1970.
fn now_millis() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_millis() as i64)
}

#[cfg(test)]
mod tests;
