//! One transactional id: its producer, and what belongs to the transaction that is open. Pure: time comes as an argument.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use kafka_protocol::ResponseError;
use serde::{Deserialize, Serialize};

use crate::broker::groups::offsets::TopicPartition;

/// Where a transaction stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stage {
    /// None was begun by this producer.
    Empty,
    /// Partitions or offsets were added.
    Open,
    /// The outcome is decided and kept; markers are being written.
    Ending { committed: bool },
    /// Every marker is written.
    Ended { committed: bool },
}

/// A producer's id and epoch: of all that have the same id, only the latest epoch may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Producer {
    pub(crate) id: i64,
    pub(crate) epoch: i16,
}

/// The state of one transactional id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Transaction {
    pub(crate) producer: Producer,
    /// The epoch before the latest, which may still ask for the next one (KIP-360).
    previous_epoch: Option<i16>,
    timeout: Duration,
    pub(crate) stage: Stage,
    pub(crate) partitions: BTreeSet<TopicPartition>,
    pub(crate) groups: BTreeSet<String>,
    /// When it was begun. After a restart of the broker the time counts anew.
    #[serde(skip)]
    begun: Option<Instant>,
}

impl Transaction {
    /// A transactional id that was not known before.
    pub(crate) fn new(producer_id: i64, timeout: Duration) -> Self {
        Self {
            producer: Producer { id: producer_id, epoch: 0 },
            previous_epoch: None,
            timeout,
            stage: Stage::Empty,
            partitions: BTreeSet::new(),
            groups: BTreeSet::new(),
            begun: None,
        }
    }

    /// Whether the caller is the latest producer of this id.
    pub(crate) fn check(&self, caller: Producer) -> Result<(), ResponseError> {
        if caller.id != self.producer.id {
            return Err(ResponseError::InvalidProducerIdMapping);
        }
        if caller.epoch == self.producer.epoch { Ok(()) } else { Err(ResponseError::ProducerFenced) }
    }

    /// Whether a producer that names its former id and epoch may have the next epoch.
    pub(crate) fn check_successor(&self, caller: Producer) -> Result<(), ResponseError> {
        let known = caller.epoch == self.producer.epoch || Some(caller.epoch) == self.previous_epoch;
        if caller.id == self.producer.id && known { Ok(()) } else { Err(ResponseError::ProducerFenced) }
    }

    /// Fences the producer: the next epoch, or a new id once epochs are used up.
    pub(crate) fn fence(&mut self, new_id: impl FnOnce() -> Result<i64, ResponseError>) -> Result<(), ResponseError> {
        self.previous_epoch = Some(self.producer.epoch);
        if self.producer.epoch == i16::MAX - 1 {
            self.producer = Producer { id: new_id()?, epoch: 0 };
        } else {
            self.producer.epoch += 1;
        }
        Ok(())
    }

    /// A new producer begins with nothing open.
    pub(crate) fn reset(&mut self, timeout: Duration) {
        self.timeout = timeout;
        self.stage = Stage::Empty;
    }

    /// Whether records or offsets wait for its end.
    pub(crate) fn is_open(&self) -> bool {
        self.stage == Stage::Open
    }

    /// Adds partitions; the first begin the transaction.
    pub(crate) fn add_partitions(&mut self, partitions: impl IntoIterator<Item = TopicPartition>, now: Instant) {
        self.begin(now);
        self.partitions.extend(partitions);
    }

    /// Adds a group, whose offsets may then be committed inside.
    pub(crate) fn add_group(&mut self, group: &str, now: Instant) {
        self.begin(now);
        self.groups.insert(group.to_owned());
    }

    /// Whether offsets of the group may be committed inside.
    pub(crate) fn check_group(&self, group: &str) -> Result<(), ResponseError> {
        if self.is_open() && self.groups.contains(group) { Ok(()) } else { Err(ResponseError::InvalidTxnState) }
    }

    /// Decides the outcome. `Ok(false)`: it was decided so before, a client repeats itself.
    pub(crate) fn decide(&mut self, committed: bool) -> Result<bool, ResponseError> {
        match self.stage {
            Stage::Open => {
                self.stage = Stage::Ending { committed };
                Ok(true)
            }
            Stage::Ended { committed: before } if before == committed => Ok(false),
            _ => Err(ResponseError::InvalidTxnState),
        }
    }

    /// Every marker is written.
    pub(crate) fn finish(&mut self) {
        if let Stage::Ending { committed } = self.stage {
            self.stage = Stage::Ended { committed };
            self.partitions.clear();
            self.groups.clear();
            self.begun = None;
        }
    }

    /// The broker was started again: the time of an open transaction counts from now.
    pub(crate) fn restart(&mut self, now: Instant) {
        self.begun = self.is_open().then_some(now);
    }

    /// Whether it has been open for longer than its producer said it would.
    pub(crate) fn is_overdue(&self, now: Instant) -> bool {
        self.is_open() && self.begun.is_some_and(|begun| now >= begun + self.timeout)
    }

    fn begin(&mut self, now: Instant) {
        if !self.is_open() {
            self.stage = Stage::Open;
            self.begun = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_mins(1);

    fn open(now: Instant) -> Transaction {
        let mut transaction = Transaction::new(7, TIMEOUT);
        transaction.add_partitions([("topic".to_owned(), 0)], now);
        transaction
    }

    fn no_new_id() -> Result<i64, ResponseError> {
        Err(ResponseError::UnknownServerError)
    }

    #[test]
    fn an_open_transaction_ends_once_and_the_end_may_be_repeated() {
        let mut transaction = open(Instant::now());
        assert_eq!(transaction.decide(true), Ok(true));
        transaction.finish();
        assert!(transaction.partitions.is_empty());
        assert_eq!(transaction.decide(true), Ok(false));
        assert_eq!(transaction.decide(false), Err(ResponseError::InvalidTxnState));
    }

    #[test]
    fn a_transaction_that_was_not_begun_can_not_end() {
        assert_eq!(Transaction::new(7, TIMEOUT).decide(true), Err(ResponseError::InvalidTxnState));
    }

    #[test]
    fn fencing_shuts_the_former_epoch_out_but_lets_it_ask_for_the_next() {
        let mut transaction = open(Instant::now());
        transaction.fence(no_new_id).unwrap();
        let former = Producer { id: 7, epoch: 0 };
        assert_eq!(transaction.check(former), Err(ResponseError::ProducerFenced));
        assert_eq!(transaction.check_successor(former), Ok(()));
        assert_eq!(transaction.check(Producer { id: 7, epoch: 1 }), Ok(()));
        assert_eq!(transaction.check(Producer { id: 8, epoch: 1 }), Err(ResponseError::InvalidProducerIdMapping));
        transaction.fence(no_new_id).unwrap();
        assert_eq!(transaction.check_successor(former), Err(ResponseError::ProducerFenced));
    }

    #[test]
    fn a_producer_id_whose_epochs_are_used_up_is_replaced() {
        let mut transaction = open(Instant::now());
        transaction.producer.epoch = i16::MAX - 1;
        transaction.fence(|| Ok(9)).unwrap();
        assert_eq!(transaction.producer, Producer { id: 9, epoch: 0 });
    }

    #[test]
    fn it_is_overdue_when_its_timeout_has_passed_since_it_was_begun() {
        let now = Instant::now();
        let mut transaction = open(now);
        transaction.add_group("group", now + TIMEOUT / 2);
        assert!(!transaction.is_overdue(now + TIMEOUT / 2));
        assert!(transaction.is_overdue(now + TIMEOUT));
        transaction.restart(now + TIMEOUT);
        assert!(!transaction.is_overdue(now + TIMEOUT));
    }

    #[test]
    fn only_groups_that_were_added_may_commit_inside() {
        let mut transaction = open(Instant::now());
        assert_eq!(transaction.check_group("group"), Err(ResponseError::InvalidTxnState));
        transaction.add_group("group", Instant::now());
        assert_eq!(transaction.check_group("group"), Ok(()));
    }
}
