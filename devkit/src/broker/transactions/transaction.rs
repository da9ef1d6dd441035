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
    /// What the latest producer was before, if it named it when it asked: it may not have had the answer and ask again (KIP-360).
    former: Option<Producer>,
    timeout: Duration,
    pub(crate) stage: Stage,
    pub(crate) partitions: BTreeSet<TopicPartition>,
    pub(crate) groups: BTreeSet<String>,
    /// When the broker ends it by itself. After a restart of the broker the time counts anew.
    #[serde(skip)]
    due: Option<Instant>,
}

impl Transaction {
    /// A transactional id that was not known before.
    pub(crate) fn new(producer_id: i64, timeout: Duration) -> Self {
        Self {
            producer: Producer { id: producer_id, epoch: 0 },
            former: None,
            timeout,
            stage: Stage::Empty,
            partitions: BTreeSet::new(),
            groups: BTreeSet::new(),
            due: None,
        }
    }

    /// Whether the caller is the latest producer of this id.
    pub(crate) fn check(&self, caller: Producer) -> Result<(), ResponseError> {
        if caller.id != self.producer.id {
            return Err(ResponseError::InvalidProducerIdMapping);
        }
        if caller.epoch == self.producer.epoch { Ok(()) } else { Err(ResponseError::ProducerFenced) }
    }

    /// Whether a producer that names what it was before is to have the next epoch; `Ok(false)`: it has it, the client repeats itself.
    pub(crate) fn check_former(&self, former: Producer) -> Result<bool, ResponseError> {
        match former {
            former if former == self.producer => Ok(true),
            former if Some(former) == self.former => Ok(false),
            _ => Err(ResponseError::ProducerFenced),
        }
    }

    /// Shuts the producer out by the next epoch; what is open is aborted. `former`: the caller, if it is that producer.
    pub(crate) fn fence(&mut self, former: Option<Producer>) {
        if self.is_open() {
            self.stage = Stage::Ending { committed: false };
        }
        self.former = former;
        self.producer.epoch = self.producer.epoch.saturating_add(1);
    }

    /// Whether the epochs are used up: the last one only fences.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.producer.epoch == i16::MAX
    }

    /// Takes a new producer id.
    pub(crate) fn renew(&mut self, id: i64) {
        self.producer = Producer { id, epoch: 0 };
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
    pub(crate) fn add_partitions(
        &mut self,
        partitions: impl IntoIterator<Item = TopicPartition>,
        now: Instant,
    ) -> Result<(), ResponseError> {
        self.begin(now)?;
        self.partitions.extend(partitions);
        Ok(())
    }

    /// Adds a group, whose offsets may then be committed inside.
    pub(crate) fn add_group(&mut self, group: &str, now: Instant) -> Result<(), ResponseError> {
        self.begin(now)?;
        self.groups.insert(group.to_owned());
        Ok(())
    }

    /// Whether offsets of the group may be committed inside.
    pub(crate) fn check_group(&self, group: &str) -> Result<(), ResponseError> {
        if self.is_open() && self.groups.contains(group) { Ok(()) } else { Err(ResponseError::InvalidTxnState) }
    }

    /// Decides the outcome, which is then to be carried out. `Ok(false)`: it was before, a client repeats itself.
    pub(crate) fn decide(&mut self, committed: bool) -> Result<bool, ResponseError> {
        match self.stage {
            Stage::Open => {
                self.stage = Stage::Ending { committed };
                Ok(true)
            }
            Stage::Ending { committed: before } if before == committed => Ok(true),
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
            self.due = None;
        }
    }

    /// The broker was started again: the time of an open transaction counts from now.
    pub(crate) fn restart(&mut self, now: Instant) {
        self.due = self.is_open().then_some(now + self.timeout);
    }

    /// Whether it has lasted for longer than its producer said it would: it is open, or its end could not be carried out.
    pub(crate) fn is_overdue(&self, now: Instant) -> bool {
        self.due.is_some_and(|due| now >= due)
    }

    /// It is overdue but can't be ended now.
    pub(crate) fn postpone(&mut self, until: Instant) {
        self.due = Some(until);
    }

    fn begin(&mut self, now: Instant) -> Result<(), ResponseError> {
        match self.stage {
            Stage::Open => Ok(()),
            Stage::Ending { .. } => Err(ResponseError::ConcurrentTransactions),
            Stage::Empty | Stage::Ended { .. } => {
                self.stage = Stage::Open;
                self.due = Some(now + self.timeout);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_mins(1);

    fn open(now: Instant) -> Transaction {
        let mut transaction = Transaction::new(7, TIMEOUT);
        transaction.add_partitions([("topic".to_owned(), 0)], now).unwrap();
        transaction
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
    fn an_end_that_was_not_carried_out_may_be_repeated_and_nothing_is_added_meanwhile() {
        let mut transaction = open(Instant::now());
        assert_eq!(transaction.decide(true), Ok(true));
        assert_eq!(transaction.decide(true), Ok(true));
        assert_eq!(transaction.decide(false), Err(ResponseError::InvalidTxnState));
        assert_eq!(transaction.add_group("group", Instant::now()), Err(ResponseError::ConcurrentTransactions));
        assert_eq!(transaction.add_partitions([], Instant::now()), Err(ResponseError::ConcurrentTransactions));
    }

    #[test]
    fn fencing_shuts_the_former_producer_out_and_aborts_what_it_left_open() {
        let mut transaction = open(Instant::now());
        let former = transaction.producer;
        transaction.fence(None);
        assert_eq!(transaction.stage, Stage::Ending { committed: false });
        assert_eq!(transaction.check(former), Err(ResponseError::ProducerFenced));
        assert_eq!(transaction.check(Producer { id: 7, epoch: 1 }), Ok(()));
        assert_eq!(transaction.check(Producer { id: 8, epoch: 1 }), Err(ResponseError::InvalidProducerIdMapping));
    }

    #[test]
    fn a_producer_that_was_fenced_by_a_successor_can_not_fence_it() {
        let mut transaction = open(Instant::now());
        let former = transaction.producer;
        transaction.fence(None);
        assert_eq!(transaction.check_former(former), Err(ResponseError::ProducerFenced));
    }

    #[test]
    fn a_producer_that_named_itself_may_ask_again_until_a_successor_comes() {
        let mut transaction = open(Instant::now());
        let former = transaction.producer;
        assert_eq!(transaction.check_former(former), Ok(true));
        transaction.fence(Some(former));
        assert_eq!(transaction.check_former(former), Ok(false));
        transaction.fence(None);
        assert_eq!(transaction.check_former(former), Err(ResponseError::ProducerFenced));
    }

    #[test]
    fn a_producer_id_whose_epochs_are_used_up_is_replaced_and_its_last_producer_may_ask_again() {
        let mut transaction = open(Instant::now());
        transaction.producer.epoch = i16::MAX - 1;
        let former = transaction.producer;
        transaction.fence(Some(former));
        assert!(transaction.is_exhausted());
        transaction.renew(9);
        assert_eq!((transaction.producer, transaction.check_former(former)), (Producer { id: 9, epoch: 0 }, Ok(false)));
    }

    #[test]
    fn it_is_overdue_when_its_timeout_has_passed_since_it_was_begun() {
        let now = Instant::now();
        let mut transaction = open(now);
        transaction.add_group("group", now + TIMEOUT / 2).unwrap();
        assert!(!transaction.is_overdue(now + TIMEOUT / 2));
        assert!(transaction.is_overdue(now + TIMEOUT));
        transaction.restart(now + TIMEOUT);
        assert!(!transaction.is_overdue(now + TIMEOUT));
        transaction.decide(true).unwrap();
        assert!(transaction.is_overdue(now + TIMEOUT * 2));
        transaction.finish();
        assert!(!transaction.is_overdue(now + TIMEOUT * 2));
    }

    #[test]
    fn only_groups_that_were_added_may_commit_inside() {
        let mut transaction = open(Instant::now());
        assert_eq!(transaction.check_group("group"), Err(ResponseError::InvalidTxnState));
        transaction.add_group("group", Instant::now()).unwrap();
        assert_eq!(transaction.check_group("group"), Ok(()));
    }
}
