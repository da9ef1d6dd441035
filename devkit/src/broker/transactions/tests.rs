use std::path::Path;

use super::*;
use crate::broker::groups::group::Group;
use crate::broker::groups::offsets::Committed;
use crate::broker::log::batch::Batch;
use crate::broker::log::batch::tests::batch;
use crate::broker::log::{Isolation, Offsets};

const TIMEOUT: Duration = Duration::from_mins(1);

/// A broker in memory with the topic `topic` of one partition.
struct Room {
    transactions: Transactions,
}

fn at() -> TopicPartition {
    ("topic".to_owned(), 0)
}

fn nobody() -> (Caller<'static>, i32) {
    (Caller { member_id: "", instance: None }, -1)
}

impl Room {
    fn new(image: Image) -> Self {
        Self::with_log(image, |_| ())
    }

    /// `fill` writes to the partition before the transactions are opened.
    fn with_log(image: Image, fill: impl FnOnce(&Topics)) -> Self {
        Self::with(Journal::default(), image, fill)
    }

    /// Its journal is in a file.
    fn in_folder(folder: &Path) -> Self {
        let (journal, image) = Journal::open(&folder.join("journal")).unwrap();
        Self::with(journal, image, |_| ())
    }

    fn with(journal: Journal, image: Image, fill: impl FnOnce(&Topics)) -> Self {
        let (journal, topics, groups) = (Arc::new(journal), Topics::default(), Groups::open(&image));
        topics.create(&journal, "topic", 1, BTreeMap::new(), false).unwrap();
        fill(&topics);
        Self { transactions: Transactions::open(image, journal, Arc::new(topics), Arc::new(groups)).unwrap() }
    }

    fn init(&self) -> Producer {
        self.transactions.init("id", TIMEOUT, None).unwrap()
    }

    /// Opens a transaction with a record in it.
    fn open(&self) -> Producer {
        let producer = self.init();
        self.transactions.add_partitions("id", producer, &[at()]).unwrap();
        self.produce(producer, 0).unwrap();
        producer
    }

    fn produce(&self, producer: Producer, sequence: i32) -> Result<i64, ResponseError> {
        produce(&self.transactions.topics, producer, sequence)
    }

    fn offsets(&self) -> Offsets {
        self.transactions.topics.partition("topic", 0).unwrap().lock().offsets()
    }

    fn committed_offset(&self) -> Option<i64> {
        let offset = |group: &Group| group.offsets.get(&at()).map(|committed| committed.offset);
        self.transactions.groups.get("group")?.look(offset)
    }

    fn aborted(&self) -> usize {
        let room = crate::broker::log::Room { partition: usize::MAX, response: usize::MAX, at_least_one: true };
        let partition = self.transactions.topics.partition("topic", 0).unwrap();
        let found = partition.lock().read(0, Isolation::Committed, room).unwrap();
        found.aborted.len()
    }
}

fn produce(topics: &Topics, producer: Producer, sequence: i32) -> Result<i64, ResponseError> {
    let batch = Batch::produced(batch(producer.id, producer.epoch, sequence, &[1], true), 1 << 20)?;
    topics.partition("topic", 0)?.lock().produce(&batch)
}

fn commits(offset: i64) -> Commits {
    vec![(at(), Committed { offset, leader_epoch: -1, metadata: String::new() })]
}

/// A transaction of an earlier life of the broker, decided or not, with an offset inside.
fn image(decided: Option<bool>) -> (Image, Producer) {
    let mut transaction = Transaction::new(7, TIMEOUT);
    transaction.add_partitions([at()], Instant::now()).unwrap();
    transaction.add_group("group", Instant::now()).unwrap();
    if let Some(committed) = decided {
        transaction.decide(committed).unwrap();
    }
    let producer = transaction.producer;
    let mut image = Image { producer_ids: 1000, ..Image::default() };
    image.groups.entry("group".to_owned()).or_default().pend(producer.id, commits(5));
    image.transactions.insert("id".to_owned(), transaction);
    (image, producer)
}

fn left_open(producer: Producer) -> impl FnOnce(&Topics) {
    move |topics| {
        topics.partition("topic", 0).unwrap().lock().add_to_transaction(producer.id, producer.epoch);
        produce(topics, producer, 0).unwrap();
    }
}

#[test]
fn records_and_offsets_of_a_transaction_end_together() {
    let room = Room::new(Image::default());
    let producer = room.open();
    room.transactions.add_group("id", producer, "group").unwrap();
    room.transactions.commit_offsets("id", producer, "group", nobody(), commits(9)).unwrap();
    assert_eq!((room.offsets().last_stable, room.committed_offset()), (0, None));
    room.transactions.end("id", producer, true).unwrap();
    assert_eq!((room.offsets().last_stable, room.committed_offset()), (2, Some(9)));
    assert_eq!(room.transactions.end("id", producer, true), Ok(()));
    assert_eq!(room.offsets().end, 2);
}

#[test]
fn a_successor_aborts_what_is_open_and_fences_its_writer() {
    let room = Room::new(Image::default());
    let former = room.open();
    let current = room.init();
    assert_eq!((current.id, current.epoch), (former.id, former.epoch + 1));
    assert_eq!((room.offsets().last_stable, room.aborted()), (2, 1));
    assert_eq!(room.produce(former, 1), Err(ResponseError::InvalidProducerEpoch));
    assert_eq!(room.transactions.end("id", former, true), Err(ResponseError::ProducerFenced));
    room.transactions.add_partitions("id", current, &[at()]).unwrap();
    assert_eq!(room.produce(current, 0), Ok(2));
}

#[test]
fn a_transaction_that_takes_too_long_is_aborted_and_its_writer_fenced() {
    let room = Room::new(Image::default());
    let slow = room.open();
    room.transactions.expire(Instant::now() + TIMEOUT / 2);
    assert_eq!(room.aborted(), 0);
    room.transactions.expire(Instant::now() + TIMEOUT);
    assert_eq!((room.offsets().last_stable, room.aborted()), (2, 1));
    assert_eq!(room.transactions.end("id", slow, true), Err(ResponseError::ProducerFenced));
    assert_eq!(room.transactions.init("id", TIMEOUT, Some(slow)), Err(ResponseError::ProducerFenced));
    assert_eq!(room.init().epoch, slow.epoch + 2);
}

#[test]
fn a_producer_that_was_fenced_can_not_fence_its_successor() {
    let room = Room::new(Image::default());
    let former = room.init();
    let current = room.open();
    assert_eq!(room.transactions.init("id", TIMEOUT, Some(former)), Err(ResponseError::ProducerFenced));
    assert_eq!(room.transactions.end("id", current, true), Ok(()));
}

#[test]
fn a_producer_that_asks_again_for_its_next_epoch_gets_the_same_one() {
    let room = Room::new(Image::default());
    let former = room.open();
    let next = room.transactions.init("id", TIMEOUT, Some(former)).unwrap();
    assert_eq!((next.epoch, room.aborted()), (former.epoch + 1, 1));
    room.transactions.add_partitions("id", next, &[at()]).unwrap();
    assert_eq!(room.transactions.init("id", TIMEOUT, Some(former)), Ok(next));
    assert_eq!(room.transactions.end("id", next, true), Ok(()));
}

#[test]
fn an_end_that_could_not_be_kept_is_carried_out_when_it_is_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let room = Room::in_folder(folder.path());
    let producer = room.open();
    room.transactions.journal.fill_disk(true);
    assert_eq!(room.transactions.end("id", producer, true), Err(ResponseError::KafkaStorageError));
    room.transactions.journal.fill_disk(false);
    assert_eq!(room.transactions.end("id", producer, false), Err(ResponseError::InvalidTxnState));
    assert_eq!(room.transactions.end("id", producer, true), Ok(()));
    assert_eq!((room.offsets().last_stable, room.aborted()), (2, 0));
}

#[test]
fn an_end_that_is_never_repeated_is_carried_out_when_the_transaction_is_overdue() {
    for told_by_client in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let room = Room::in_folder(folder.path());
        let producer = room.open();
        let late = Instant::now() + TIMEOUT;
        room.transactions.journal.fill_disk(true);
        if told_by_client {
            room.transactions.end("id", producer, true).unwrap_err();
        }
        room.transactions.expire(late);
        assert_eq!(room.offsets().last_stable, 0);
        room.transactions.journal.fill_disk(false);
        room.transactions.expire(late + PAUSE);
        assert_eq!((room.offsets().last_stable, room.aborted()), (2, usize::from(!told_by_client)));
    }
}

#[test]
fn a_decision_that_was_kept_is_carried_out_after_a_restart() {
    for committed in [true, false] {
        let (image, producer) = image(Some(committed));
        let room = Room::with_log(image, left_open(producer));
        assert_eq!((room.offsets().last_stable, room.offsets().end), (2, 2));
        assert_eq!(room.aborted(), usize::from(!committed));
        assert_eq!(room.committed_offset(), committed.then_some(5));
    }
}

#[test]
fn a_transaction_that_was_open_is_open_after_a_restart_and_can_end() {
    let (image, producer) = image(None);
    let room = Room::with_log(image, left_open(producer));
    assert_eq!(room.offsets().last_stable, 0);
    assert_eq!(room.produce(producer, 1), Ok(1));
    room.transactions.end("id", producer, true).unwrap();
    assert_eq!((room.offsets().last_stable, room.committed_offset()), (3, Some(5)));
}

#[test]
fn records_of_a_transaction_that_nobody_knows_are_aborted_after_a_restart() {
    let room = Room::with_log(Image::default(), left_open(Producer { id: 3, epoch: 0 }));
    assert_eq!((room.offsets().last_stable, room.aborted()), (2, 1));
}

#[test]
fn timeouts_out_of_bounds_are_refused() {
    let room = Room::new(Image::default());
    for timeout in [Duration::ZERO, LONGEST + Duration::from_millis(1)] {
        assert_eq!(room.transactions.init("id", timeout, None), Err(ResponseError::InvalidTransactionTimeout));
    }
}

#[test]
fn producer_ids_are_never_given_out_twice() {
    let room = Room::new(Image { producer_ids: 1000, ..Image::default() });
    let ids: Vec<i64> = (0..3).map(|_| room.transactions.new_producer_id().unwrap()).collect();
    assert_eq!(ids, [1000, 1001, 1002]);
}
