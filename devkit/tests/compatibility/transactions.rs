//! Transactions: what readers see, who may write, offsets inside.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, Producer};
use rdkafka::topic_partition_list::Offset;

use crate::clients::{
    PATIENCE, assign, committed, consumer, keys, offsets, poll, poll_until, produce, producer, read, read_all, topic, transactional, unique,
};

const COMMITTED: [(&str, &str); 1] = [("isolation.level", "read_committed")];
const UNCOMMITTED: [(&str, &str); 1] = [("isolation.level", "read_uncommitted")];

fn commit(producer: &BaseProducer, topic: &str, tag: &str, count: usize) {
    producer.begin_transaction().unwrap();
    produce(producer, topic, tag, count);
    producer.commit_transaction(PATIENCE).unwrap();
}

fn abort(producer: &BaseProducer, topic: &str, tag: &str, count: usize) {
    producer.begin_transaction().unwrap();
    produce(producer, topic, tag, count);
    producer.abort_transaction(PATIENCE).unwrap();
}

fn is_fatal(error: &KafkaError) -> bool {
    matches!(error, KafkaError::Transaction(error) if error.is_fatal())
}

#[test]
fn committed_readers_do_not_see_aborted_records() {
    let name = topic(2);
    let producer = transactional(&unique("id"), &[]);
    commit(&producer, &name, "first", 10);
    abort(&producer, &name, "aborted", 10);
    commit(&producer, &name, "second", 10);
    let seen = read_all(&name, 2, &COMMITTED);
    assert!(seen.len() == 20 && !seen.iter().any(|record| record.key.starts_with("aborted")), "{:?}", keys(&seen));
    assert_eq!(read_all(&name, 2, &UNCOMMITTED).len(), 30);
}

#[test]
fn aborted_records_amid_those_of_others_are_left_out() {
    let name = topic(1);
    let (one, two, plain) = (transactional(&unique("id"), &[]), transactional(&unique("id"), &[]), producer(&[]));
    one.begin_transaction().unwrap();
    two.begin_transaction().unwrap();
    for round in 0..3 {
        produce(&one, &name, &format!("one-{round}"), 1);
        produce(&plain, &name, &format!("plain-{round}"), 1);
        produce(&two, &name, &format!("two-{round}"), 1);
    }
    one.abort_transaction(PATIENCE).unwrap();
    two.commit_transaction(PATIENCE).unwrap();
    assert_eq!(keys(&read_all(&name, 1, &COMMITTED)), ["plain-0-0", "two-0-0", "plain-1-0", "two-1-0", "plain-2-0", "two-2-0"]);
}

#[test]
fn an_open_transaction_holds_committed_readers_back() {
    let name = topic(1);
    let writer = transactional(&unique("id"), &[]);
    writer.begin_transaction().unwrap();
    produce(&writer, &name, "open", 5);
    produce(&producer(&[]), &name, "plain", 1);
    let reader = consumer(&unique("reader"), &COMMITTED);
    assign(&reader, &name, 1);
    assert_eq!(poll(&reader), Err(0), "the end comes before the open transaction");
    writer.commit_transaction(PATIENCE).unwrap();
    assert_eq!(read(&reader, 6).len(), 6);
}

#[test]
fn a_transaction_spans_partitions_and_topics() {
    let (one, two) = (topic(3), topic(1));
    let writer = transactional(&unique("id"), &[]);
    writer.begin_transaction().unwrap();
    produce(&writer, &one, "one", 30);
    produce(&writer, &two, "two", 3);
    assert!(read_all(&one, 3, &COMMITTED).is_empty() && read_all(&two, 1, &COMMITTED).is_empty());
    writer.commit_transaction(PATIENCE).unwrap();
    assert_eq!((read_all(&one, 3, &COMMITTED).len(), read_all(&two, 1, &COMMITTED).len()), (30, 3));
}

/// A consumer that is a member of its group and has its partitions.
fn joined(group: &str, topic: &str) -> BaseConsumer {
    let consumer = consumer(group, &[COMMITTED[0], ("session.timeout.ms", "6000"), ("heartbeat.interval.ms", "200")]);
    consumer.subscribe(&[topic]).unwrap();
    poll_until(&[&consumer], "an assignment", || consumer.assignment().unwrap().count() > 0);
    consumer
}

#[test]
fn offsets_inside_a_transaction_count_only_when_it_commits() {
    let (input, output, group) = (topic(1), topic(1), unique("group"));
    let consumer = joined(&group, &input);
    let metadata = consumer.group_metadata().unwrap();
    let writer = transactional(&unique("id"), &[]);
    let in_transaction = |offset| {
        writer.begin_transaction().unwrap();
        produce(&writer, &output, "out", 1);
        writer.send_offsets_to_transaction(&offsets(&input, &[(0, offset)]), &metadata, PATIENCE).unwrap();
    };
    in_transaction(1);
    writer.abort_transaction(PATIENCE).unwrap();
    assert_eq!(committed(&consumer, &input, 0), Offset::Invalid);
    in_transaction(3);
    writer.commit_transaction(PATIENCE).unwrap();
    assert_eq!(committed(&consumer, &input, 0), Offset::Offset(3));
}

#[test]
fn who_asks_for_stable_offsets_waits_for_the_end_of_a_transaction() {
    let (input, group) = (topic(1), unique("group"));
    let consumer = joined(&group, &input);
    let writer = transactional(&unique("id"), &[]);
    writer.begin_transaction().unwrap();
    writer.send_offsets_to_transaction(&offsets(&input, &[(0, 3)]), &consumer.group_metadata().unwrap(), PATIENCE).unwrap();
    let mut asked = rdkafka::TopicPartitionList::new();
    asked.add_partition(&input, 0);
    assert!(consumer.committed_offsets(asked, Duration::from_secs(2)).is_err());
    writer.commit_transaction(PATIENCE).unwrap();
    assert_eq!(committed(&consumer, &input, 0), Offset::Offset(3));
}

#[test]
fn a_former_member_can_not_commit_offsets_in_a_transaction() {
    let (input, group) = (topic(1), unique("group"));
    let former = joined(&group, &input);
    let metadata = former.group_metadata().unwrap();
    former.unsubscribe();
    drop(former);
    let current = joined(&group, &input);
    let writer = transactional(&unique("id"), &[]);
    writer.begin_transaction().unwrap();
    let refused = writer.send_offsets_to_transaction(&offsets(&input, &[(0, 3)]), &metadata, PATIENCE).unwrap_err();
    assert!(matches!(&refused, KafkaError::Transaction(error) if error.txn_requires_abort()), "{refused}");
    writer.abort_transaction(PATIENCE).unwrap();
    assert_eq!(committed(&current, &input, 0), Offset::Invalid);
}

#[test]
fn a_new_producer_of_the_same_id_fences_the_former_and_aborts_what_it_left_open() {
    let (name, id) = (topic(1), unique("id"));
    let former = transactional(&id, &[]);
    former.begin_transaction().unwrap();
    produce(&former, &name, "former", 2);
    let current = transactional(&id, &[]);
    commit(&current, &name, "current", 1);
    assert_eq!(keys(&read_all(&name, 1, &COMMITTED)), ["current-0"]);
    let refused = former.commit_transaction(PATIENCE).unwrap_err();
    assert!(is_fatal(&refused), "{refused}");
    assert_eq!(keys(&read_all(&name, 1, &COMMITTED)), ["current-0"]);
}

#[test]
fn a_transaction_that_takes_too_long_is_aborted_and_its_producer_fenced() {
    let name = topic(1);
    let slow = transactional(&unique("id"), &[("transaction.timeout.ms", "1500"), ("message.timeout.ms", "1500")]);
    slow.begin_transaction().unwrap();
    produce(&slow, &name, "slow", 2);
    produce(&producer(&[]), &name, "plain", 1);
    let reader = consumer(&unique("reader"), &COMMITTED);
    assign(&reader, &name, 1);
    assert_eq!(keys(&read(&reader, 1)), ["plain-0"]);
    let refused = slow.commit_transaction(PATIENCE).unwrap_err();
    assert!(is_fatal(&refused), "{refused}");
    assert_eq!(keys(&read_all(&name, 1, &COMMITTED)), ["plain-0"]);
}

#[test]
fn many_transactions_of_one_producer_follow_each_other() {
    let name = topic(2);
    let writer = transactional(&unique("id"), &[]);
    for round in 0..50 {
        commit(&writer, &name, &format!("round-{round}"), 20);
    }
    assert_eq!(read_all(&name, 2, &COMMITTED).len(), 1000);
}
