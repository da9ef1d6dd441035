//! Topics as any other Kafka client sees them.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _, OwnedHeaders};
use rdkafka::metadata::{MetadataPartition, MetadataTopic};
use rdkafka::producer::{BaseRecord, FutureProducer, Producer as _, ThreadedProducer};
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

const PATIENCE: Duration = Duration::from_secs(30);

/// A record as a committed reader gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// The partition it stands in.
    pub partition: i32,
    /// Its offset there.
    pub offset: i64,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub value: Option<Vec<u8>>,
    /// Its timestamp in milliseconds since the epoch.
    pub timestamp: Option<i64>,
    /// Its headers, in their order.
    pub headers: Vec<(String, Vec<u8>)>,
}

impl Read {
    fn of(message: &BorrowedMessage<'_>) -> Self {
        let header = |header: rdkafka::message::Header<'_, &[u8]>| (header.key.to_owned(), header.value.unwrap_or_default().to_vec());
        Self {
            partition: message.partition(),
            offset: message.offset(),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            timestamp: message.timestamp().to_millis(),
            headers: message.headers().map(|headers| headers.iter().map(header).collect()).unwrap_or_default(),
        }
    }

    /// The header of that name as text.
    pub fn header(&self, name: &str) -> Option<String> {
        let (_, value) = self.headers.iter().find(|(key, _)| key == name)?;
        Some(String::from_utf8_lossy(value).into_owned())
    }
}

fn client(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("message.max.bytes", "20000000");
    config
}

/// Creates a topic.
pub async fn create_topic(brokers: &str, topic: &str, partitions: i32) {
    let admin: AdminClient<_> = client(brokers).create().expect("an admin client");
    let topic = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
    let results = admin.create_topics([&topic], &AdminOptions::new()).await.expect("the broker answers");
    for result in results {
        result.expect("the topic is created");
    }
}

/// Deletes a topic.
pub async fn delete_topic(brokers: &str, topic: &str) {
    let admin: AdminClient<_> = client(brokers).create().expect("an admin client");
    for deleted in admin.delete_topics(&[topic], &AdminOptions::new()).await.expect("the broker answers") {
        deleted.expect("the topic is deleted");
    }
}

/// Deletes a topic and makes another of its name at once.
pub async fn make_anew(brokers: &str, topic: &str, partitions: i32) {
    delete_topic(brokers, topic).await;
    let admin: AdminClient<_> = client(brokers).create().expect("an admin client");
    let deadline = Instant::now() + PATIENCE;
    loop {
        let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
        match admin.create_topics([&new], &AdminOptions::new()).await.expect("the broker answers").remove(0) {
            Ok(_) => return,
            // The deletion is still on its way.
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) if Instant::now() < deadline => {}
            Err(refused) => panic!("the topic is not made: {refused:?}"),
        }
    }
}

/// Adds partitions, up to so many in all.
pub async fn add_partitions(brokers: &str, topic: &str, partitions: usize) {
    let admin: AdminClient<_> = client(brokers).create().expect("an admin client");
    let grown = admin.create_partitions(&[NewPartitions::new(topic, partitions)], &AdminOptions::new()).await;
    grown.expect("the broker answers").remove(0).expect("partitions are added");
}

/// Deletes the records of partition 0 before that offset, as retention does.
pub async fn delete_records(brokers: &str, topic: &str, before: i64) {
    let admin: AdminClient<_> = client(brokers).create().expect("an admin client");
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, Offset::Offset(before)).expect("an offset");
    let deleted = admin.delete_records(&list, &AdminOptions::new()).await.expect("the broker answers");
    deleted.elements().iter().for_each(|partition| partition.error().expect("the records are deleted"));
}

/// Up to where a group has committed its reading of a topic's partition 0; `None` when it has not.
pub async fn committed(brokers: &str, group: &str, topic: &str) -> Option<i64> {
    let (mut config, topic) = (client(brokers), topic.to_owned());
    config.set("group.id", group);
    let asked = tokio::task::spawn_blocking(move || {
        let consumer: BaseConsumer = config.create().expect("a consumer");
        let mut partition = TopicPartitionList::new();
        partition.add_partition(&topic, 0);
        consumer.committed_offsets(partition, PATIENCE).expect("the group is known")
    });
    match asked.await.expect("asking does not panic").elements()[0].offset() {
        Offset::Offset(offset) => Some(offset),
        _ => None,
    }
}

/// How many members a group has.
pub async fn members(brokers: &str, group: &str) -> usize {
    let (config, group) = (client(brokers), group.to_owned());
    let asked = tokio::task::spawn_blocking(move || {
        let consumer: BaseConsumer = config.create().expect("a consumer");
        let groups = consumer.fetch_group_list(Some(&group), PATIENCE).expect("the group is known");
        groups.groups().iter().map(|group| group.members().len()).sum()
    });
    asked.await.expect("asking does not panic")
}

/// How many offsets a topic has, all partitions together: its records, and a marker for each transaction; 0 when there is no such topic.
pub async fn length(brokers: &str, topic: &str) -> i64 {
    let (config, topic) = (client(brokers), topic.to_owned());
    let asked = tokio::task::spawn_blocking(move || {
        let consumer: BaseConsumer = config.create().expect("a consumer");
        let end = |partition: i32| consumer.fetch_watermarks(&topic, partition, PATIENCE).map_or(0, |(_, end)| end);
        partitions(&consumer, &topic).into_iter().map(end).sum()
    });
    asked.await.expect("asking does not panic")
}

/// How far a group's committed reading of a topic is behind its end, in offsets, all partitions together.
pub async fn lag(brokers: &str, group: &str, topic: &str) -> i64 {
    let (mut config, topic) = (client(brokers), topic.to_owned());
    config.set("group.id", group);
    let asked = tokio::task::spawn_blocking(move || {
        let consumer: BaseConsumer = config.create().expect("a consumer");
        let mut list = TopicPartitionList::new();
        for partition in partitions(&consumer, &topic) {
            list.add_partition(&topic, partition);
        }
        let committed = consumer.committed_offsets(list, PATIENCE).expect("the group is known");
        committed.elements().iter().map(|partition| behind(&consumer, partition)).sum()
    });
    asked.await.expect("asking does not panic")
}

fn behind(consumer: &BaseConsumer, committed: &TopicPartitionListElem<'_>) -> i64 {
    let (start, end) = consumer.fetch_watermarks(committed.topic(), committed.partition(), PATIENCE).expect("the broker answers");
    match committed.offset() {
        Offset::Offset(offset) => end - offset,
        _ => end - start,
    }
}

/// A key and a value, each of them or null.
pub type KeyAndValue<'a> = (Option<&'a [u8]>, Option<&'a [u8]>);

/// Writes values with their keys, in order, and waits until they are stored.
pub async fn write(brokers: &str, topic: &str, records: &[KeyAndValue<'_>]) {
    let producer: ThreadedProducer<_> = client(brokers).set("acks", "all").create().expect("a producer");
    for (key, value) in records {
        let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic).partition(0);
        record.key = *key;
        record.payload = *value;
        producer.send(record).map_err(|(error, _)| error).expect("the record is queued");
    }
    flush(producer).await;
}

/// Writes one record with headers, and waits until it is stored.
pub async fn write_with_headers(brokers: &str, topic: &str, value: Option<&[u8]>, headers: &[(&str, &str)]) {
    let producer: ThreadedProducer<_> = client(brokers).set("acks", "all").create().expect("a producer");
    let mut owned = OwnedHeaders::new();
    for (key, value) in headers {
        owned = owned.insert(rdkafka::message::Header { key, value: Some(*value) });
    }
    let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic).partition(0).headers(owned);
    record.payload = value;
    producer.send(record).map_err(|(error, _)| error).expect("the record is queued");
    flush(producer).await;
}

async fn flush(producer: ThreadedProducer<rdkafka::producer::DefaultProducerContext>) {
    let flushed = tokio::task::spawn_blocking(move || producer.flush(PATIENCE)).await;
    flushed.expect("flushing does not panic").expect("the records are stored");
}

/// All committed records of a topic, partition by partition; none when there is no such topic.
pub async fn read(brokers: &str, topic: &str) -> Vec<Read> {
    let (config, topic) = (client(brokers), topic.to_owned());
    tokio::task::spawn_blocking(move || read_to_the_end(config, &topic)).await.expect("reading does not panic")
}

fn read_to_the_end(mut config: ClientConfig, topic: &str) -> Vec<Read> {
    config
        .set("group.id", "reader")
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed")
        .set("auto.offset.reset", "earliest")
        .set("fetch.wait.max.ms", "20")
        .set("enable.partition.eof", "true");
    let consumer: BaseConsumer = config.create().expect("a consumer");
    let mut open = assign_all(&consumer, topic);
    let (mut records, deadline) = (Vec::new(), Instant::now() + PATIENCE);
    while !open.is_empty() {
        assert!(Instant::now() < deadline, "{topic} was not read to its end in {PATIENCE:?}");
        match consumer.poll(Duration::from_millis(200)) {
            Some(Ok(message)) => records.push(Read::of(&message)),
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                open.remove(&partition);
            }
            Some(Err(error)) => panic!("{topic} can't be read: {error}"),
            None => {}
        }
    }
    records
}

fn assign_all(consumer: &BaseConsumer, topic: &str) -> BTreeSet<i32> {
    let partitions = partitions(consumer, topic);
    let mut assignment = TopicPartitionList::new();
    for partition in &partitions {
        assignment.add_partition_offset(topic, *partition, Offset::Offset(0)).expect("an offset");
    }
    consumer.assign(&assignment).expect("partitions are assigned");
    partitions
}

fn partitions(consumer: &BaseConsumer, topic: &str) -> BTreeSet<i32> {
    let metadata = consumer.fetch_metadata(Some(topic), PATIENCE).expect("the broker answers");
    metadata.topics().iter().flat_map(MetadataTopic::partitions).map(MetadataPartition::id).collect()
}

/// Whether a client with these settings gets an answer: used to see that a listener wants what it should.
pub fn answers(settings: &[(&str, &str)]) -> bool {
    let mut config = ClientConfig::new();
    for (name, value) in settings {
        config.set(*name, *value);
    }
    let producer: FutureProducer = config.create().expect("a client");
    producer.client().fetch_metadata(None, Duration::from_secs(5)).is_ok()
}
