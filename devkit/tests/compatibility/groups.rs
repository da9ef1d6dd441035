//! Consumer groups: assignment, rebalances, static members, committed offsets.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rdkafka::ClientContext;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaErrorCode;

use crate::clients::{
    PATIENCE, admin, admin_options, apache_kafka, brokers, committed, config, consumer, offsets, poll_until, produce, producer, read,
    runtime, topic, unique,
};

const FAST: [(&str, &str); 2] = [("session.timeout.ms", "6000"), ("heartbeat.interval.ms", "200")];

fn member(group: &str, topic: &str, settings: &[(&str, &str)]) -> BaseConsumer {
    let consumer = consumer(group, settings);
    consumer.subscribe(&[topic]).unwrap();
    consumer
}

fn assigned(consumer: &BaseConsumer<impl ConsumerContext>) -> usize {
    consumer.assignment().unwrap().count()
}

/// Members come and go, and each time the partitions are divided among those that are there.
fn partitions_follow_the_members(settings: &[(&str, &str)]) {
    let (name, group) = (topic(4), unique("group"));
    let first = member(&group, &name, settings);
    poll_until(&[&first], "all partitions for the first member", || assigned(&first) == 4);
    let second = member(&group, &name, settings);
    poll_until(&[&first, &second], "half of the partitions for each", || assigned(&first) == 2 && assigned(&second) == 2);
    second.unsubscribe();
    drop(second);
    poll_until(&[&first], "all partitions for the one that is left", || assigned(&first) == 4);
}

#[test]
fn range_assignment_follows_the_members() {
    partitions_follow_the_members(&[FAST[0], FAST[1], ("partition.assignment.strategy", "range")]);
}

#[test]
fn cooperative_assignment_follows_the_members() {
    partitions_follow_the_members(&[FAST[0], FAST[1], ("partition.assignment.strategy", "cooperative-sticky")]);
}

/// The new consumer group protocol (KIP-848) is Apache Kafka's alone: the development broker does not offer it, so there this says nothing.
#[test]
fn assignment_of_the_new_protocol_follows_the_members_on_apache_kafka() {
    if apache_kafka().is_some() {
        partitions_follow_the_members(&[("group.protocol", "consumer")]);
    }
}

#[test]
fn a_group_goes_on_where_it_committed() {
    let (name, group) = (topic(1), unique("group"));
    produce(&producer(&[]), &name, "k", 10);
    let first = member(&group, &name, &FAST);
    let records = read(&first, 4);
    let position = offsets(&name, &[(0, records[3].offset + 1)]);
    first.commit(&position, CommitMode::Sync).unwrap();
    drop(first);
    assert_eq!(read(&member(&group, &name, &FAST), 1)[0].offset, 4);
}

#[test]
fn offsets_are_committed_without_membership_and_unknown_ones_are_invalid() {
    let name = topic(2);
    let consumer = consumer(&unique("group"), &[]);
    consumer.commit(&offsets(&name, &[(0, 100)]), CommitMode::Sync).unwrap();
    assert_eq!(committed(&consumer, &name, 0), Offset::Offset(100));
    assert_eq!(committed(&consumer, &name, 1), Offset::Invalid);
}

#[test]
fn a_stranger_can_not_commit_for_a_group_that_has_members() {
    let (name, group) = (topic(1), unique("group"));
    let member = member(&group, &name, &FAST);
    poll_until(&[&member], "an assignment", || assigned(&member) == 1);
    let refused = consumer(&group, &[]).commit(&offsets(&name, &[(0, 1)]), CommitMode::Sync).unwrap_err();
    assert_eq!(refused.rdkafka_error_code(), Some(RDKafkaErrorCode::UnknownMemberId), "{refused}");
}

#[test]
fn groups_are_listed_and_deleted_when_they_are_empty() {
    let (name, group) = (topic(1), unique("group"));
    let member = member(&group, &name, &FAST);
    poll_until(&[&member], "an assignment", || assigned(&member) == 1);
    let listed = member.fetch_group_list(Some(&group), PATIENCE).unwrap();
    assert_eq!((listed.groups()[0].state(), listed.groups()[0].members().len()), ("Stable", 1));
    let delete =
        || runtime().block_on(admin(&brokers()).delete_groups(&[&group], &admin_options())).unwrap().remove(0).map_err(|(_, code)| code);
    assert_eq!(delete(), Err(RDKafkaErrorCode::NonEmptyGroup));
    member.commit(&offsets(&name, &[(0, 1)]), CommitMode::Sync).unwrap();
    member.unsubscribe();
    drop(member);
    assert_eq!(delete(), Ok(group.clone()));
    assert_eq!(committed(&consumer(&group, &[]), &name, 0), Offset::Invalid);
}

/// Counts the rebalances that a consumer sees.
#[derive(Clone, Default)]
struct Rebalances(Arc<AtomicUsize>);

impl ClientContext for Rebalances {}

impl ConsumerContext for Rebalances {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, _: &Rebalance<'_>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn counting_member(group: &str, topic: &str, instance: &str, rebalances: &Rebalances) -> BaseConsumer<Rebalances> {
    let settings =
        [("group.id", group), ("group.instance.id", instance), ("session.timeout.ms", "30000"), ("heartbeat.interval.ms", "200")];
    let consumer = BaseConsumer::from_config_and_context(&config(&brokers(), &settings), rebalances.clone()).unwrap();
    consumer.subscribe(&[topic]).unwrap();
    consumer
}

fn poll_both_until(consumers: &[&BaseConsumer<Rebalances>], what: &str, mut done: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while !done() {
        assert!(std::time::Instant::now() < deadline, "{what} did not come about in {PATIENCE:?}");
        for consumer in consumers {
            consumer.poll(std::time::Duration::from_millis(20));
        }
    }
}

#[test]
fn a_static_member_that_starts_again_gets_its_partitions_without_a_rebalance() {
    let (name, group) = (topic(4), unique("group"));
    let (seen_by_a, seen_by_b) = (Rebalances::default(), Rebalances::default());
    let a = counting_member(&group, &name, "a", &seen_by_a);
    let b = counting_member(&group, &name, "b", &seen_by_b);
    poll_both_until(&[&a, &b], "half of the partitions for each", || assigned(&a) == 2 && assigned(&b) == 2);
    let (before, had) = (seen_by_a.0.load(Ordering::SeqCst), partitions_of(&b));
    drop(b);
    let b = counting_member(&group, &name, "b", &seen_by_b);
    poll_both_until(&[&a, &b], "the same partitions again", || partitions_of(&b) == had);
    assert_eq!((seen_by_a.0.load(Ordering::SeqCst), assigned(&a)), (before, 2));
}

fn partitions_of(consumer: &BaseConsumer<Rebalances>) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for element in consumer.assignment().unwrap().elements() {
        list.add_partition(element.topic(), element.partition());
    }
    list
}

#[test]
fn a_static_member_is_fenced_by_its_successor() {
    let (name, group) = (topic(1), unique("group"));
    let first = counting_member(&group, &name, "a", &Rebalances::default());
    poll_both_until(&[&first], "an assignment", || assigned(&first) == 1);
    let second = counting_member(&group, &name, "a", &Rebalances::default());
    poll_both_until(&[&second], "the assignment of the predecessor", || assigned(&second) == 1);
    poll_both_until(&[&first, &second], "the end of the predecessor", || {
        first.client().fatal_error().is_some_and(|(code, _)| code == RDKafkaErrorCode::FencedInstanceId)
    });
}
