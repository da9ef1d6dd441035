//! Topics, their settings and partitions.

use rdkafka::admin::{AlterConfig, NewPartitions, ResourceSpecifier};
use rdkafka::consumer::Consumer;
use rdkafka::types::RDKafkaErrorCode;

use crate::clients::{
    PATIENCE, admin, admin_options, brokers, consumer, create_topic, keys, offsets, produce, producer, read_all, runtime, topic, unique,
};

fn setting(topic: &str, name: &str) -> Option<String> {
    let resources = [ResourceSpecifier::Topic(topic)];
    let described = runtime().block_on(admin(&brokers()).describe_configs(&resources, &admin_options()));
    let resource = described.unwrap().remove(0).unwrap();
    resource.get(name).and_then(|entry| entry.value.clone())
}

fn partitions(name: &str) -> usize {
    let metadata = consumer(&unique("reader"), &[("allow.auto.create.topics", "false")]).fetch_metadata(Some(name), PATIENCE).unwrap();
    metadata.topics()[0].partitions().len()
}

#[test]
fn a_topic_is_created_once() {
    let name = topic(3);
    assert_eq!(partitions(&name), 3);
    assert_eq!(create_topic(&brokers(), &name, 3, &[]), Err("TopicAlreadyExists".to_owned()));
}

#[test]
fn names_and_numbers_that_can_not_be_are_refused() {
    assert_eq!(create_topic(&brokers(), "no/such", 1, &[]), Err("InvalidTopic".to_owned()));
    assert_eq!(create_topic(&brokers(), &unique("topic"), 1, &[("retention.msec", "1")]), Err("InvalidConfig".to_owned()));
}

#[test]
fn settings_are_shown_with_their_defaults_and_changed() {
    let name = unique("topic");
    create_topic(&brokers(), &name, 1, &[("cleanup.policy", "compact")]).unwrap();
    assert_eq!(setting(&name, "cleanup.policy").as_deref(), Some("compact"));
    assert_eq!(setting(&name, "max.message.bytes").as_deref(), Some("1048588"));
    let change = AlterConfig::new(ResourceSpecifier::Topic(&name)).set("retention.ms", "1000");
    runtime().block_on(admin(&brokers()).alter_configs([&change], &admin_options())).unwrap().remove(0).unwrap();
    assert_eq!(setting(&name, "retention.ms").as_deref(), Some("1000"));
}

#[test]
fn partitions_are_added() {
    let name = topic(1);
    let grown = runtime().block_on(admin(&brokers()).create_partitions([&NewPartitions::new(&name, 4)], &admin_options()));
    grown.unwrap().remove(0).unwrap();
    let consumer = consumer(&unique("reader"), &[]);
    // A partition that has just been made has no leader for a moment.
    let deadline = std::time::Instant::now() + PATIENCE;
    let watermarks = loop {
        match consumer.fetch_watermarks(&name, 3, PATIENCE) {
            Err(error) if std::time::Instant::now() < deadline => println!("not yet: {error}"),
            answered => break answered.unwrap(),
        }
    };
    assert_eq!(watermarks, (0, 0));
}

#[test]
fn records_before_an_offset_are_deleted() {
    let name = topic(1);
    let producer = producer(&[]);
    produce(&producer, &name, "a", 3);
    produce(&producer, &name, "b", 2);
    let deleted = runtime().block_on(admin(&brokers()).delete_records(&offsets(&name, &[(0, 4)]), &admin_options())).unwrap();
    assert!(deleted.elements()[0].error().is_ok());
    assert_eq!(consumer(&unique("reader"), &[]).fetch_watermarks(&name, 0, PATIENCE).unwrap(), (4, 5));
    assert_eq!(keys(&read_all(&name, 1, &[])), ["b-1"]);
}

#[test]
fn a_deleted_topic_is_gone() {
    let name = topic(1);
    produce(&producer(&[]), &name, "a", 1);
    let deleted = runtime().block_on(admin(&brokers()).delete_topics(&[&name], &admin_options())).unwrap();
    assert!(deleted[0].is_ok());
    let again = runtime().block_on(admin(&brokers()).delete_topics(&[&name], &admin_options())).unwrap();
    assert!(matches!(&again[0], Err((_, RDKafkaErrorCode::UnknownTopicOrPartition))), "{again:?}");
}
