//! The broker under test, and clients of it.

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use millrace_devkit::broker::{self, Config, Running};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::{ClientConfig, FromClientConfig};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tokio::runtime::Runtime;
use uuid::Uuid;

/// Longer than anything here takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// A record as it was read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Read {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) key: String,
    pub(crate) value: Option<Vec<u8>>,
}

impl Read {
    fn of(message: &BorrowedMessage<'_>) -> Self {
        Self {
            partition: message.partition(),
            offset: message.offset(),
            key: String::from_utf8_lossy(message.key().unwrap_or_default()).into_owned(),
            value: message.payload().map(<[u8]>::to_vec),
        }
    }
}

pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Runtime::new().unwrap())
}

/// The brokers of Apache Kafka, if the suite runs against those.
pub(crate) fn apache_kafka() -> Option<String> {
    std::env::var("MILLRACE_TEST_KAFKA").ok().filter(|brokers| !brokers.is_empty())
}

/// The brokers under test.
pub(crate) fn brokers() -> String {
    static DEVELOPMENT: OnceLock<Running> = OnceLock::new();
    apache_kafka().unwrap_or_else(|| DEVELOPMENT.get_or_init(|| start(Config::default())).addr.to_string())
}

/// A development broker of one's own.
pub(crate) fn start(config: Config) -> Running {
    runtime().block_on(broker::start(config)).unwrap()
}

/// The first of the brokers under test as an address, to speak to it without a client.
pub(crate) fn address() -> SocketAddr {
    use std::net::ToSocketAddrs;
    brokers().split(',').next().unwrap().to_socket_addrs().unwrap().next().unwrap()
}

pub(crate) fn unique(stem: &str) -> String {
    format!("{stem}-{}", Uuid::new_v4().simple())
}

pub(crate) fn config(brokers: &str, settings: &[(&str, &str)]) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers);
    for (name, value) in settings {
        config.set(*name, *value);
    }
    config
}

pub(crate) fn admin(brokers: &str) -> AdminClient<DefaultClientContext> {
    AdminClient::from_config(&config(brokers, &[])).unwrap()
}

pub(crate) fn admin_options() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(PATIENCE)).request_timeout(Some(PATIENCE))
}

/// Creates a topic with settings on given brokers.
pub(crate) fn create_topic(brokers: &str, name: &str, partitions: i32, settings: &[(&str, &str)]) -> Result<(), String> {
    let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
    for (name, value) in settings {
        topic = topic.set(name, value);
    }
    let created = runtime().block_on(admin(brokers).create_topics([&topic], &admin_options()));
    created.unwrap().remove(0).map(drop).map_err(|(_, code)| format!("{code:?}"))
}

/// Creates a topic of one's own.
pub(crate) fn topic(partitions: i32) -> String {
    let name = unique("topic");
    create_topic(&brokers(), &name, partitions, &[]).unwrap();
    name
}

pub(crate) fn producer(settings: &[(&str, &str)]) -> BaseProducer {
    config(&brokers(), &[("acks", "all"), ("linger.ms", "1")]).create_with(settings)
}

/// A producer that has fenced its predecessors.
pub(crate) fn transactional(id: &str, settings: &[(&str, &str)]) -> BaseProducer {
    let defaults = [("transactional.id", id), ("transaction.timeout.ms", "60000"), ("linger.ms", "1")];
    let producer: BaseProducer = config(&brokers(), &defaults).create_with(settings);
    producer.init_transactions(PATIENCE).unwrap();
    producer
}

/// A consumer that begins at the beginning, commits nothing by itself and tells where a partition ends.
pub(crate) fn consumer(group: &str, settings: &[(&str, &str)]) -> BaseConsumer {
    consumer_of(&brokers(), group, settings)
}

pub(crate) fn consumer_of(brokers: &str, group: &str, settings: &[(&str, &str)]) -> BaseConsumer {
    let defaults = [
        ("group.id", group),
        ("enable.auto.commit", "false"),
        ("auto.offset.reset", "earliest"),
        ("enable.partition.eof", "true"),
        ("fetch.wait.max.ms", "100"),
    ];
    config(brokers, &defaults).create_with(settings)
}

trait CreateWith<T> {
    fn create_with(self, settings: &[(&str, &str)]) -> T;
}

impl<T: FromClientConfig> CreateWith<T> for ClientConfig {
    fn create_with(mut self, settings: &[(&str, &str)]) -> T {
        for (name, value) in settings {
            self.set(*name, *value);
        }
        self.create().unwrap()
    }
}

/// Hands a record over to the producer, waiting while its queue is full.
pub(crate) fn send(producer: &BaseProducer, mut record: BaseRecord<'_, str, [u8]>) {
    while let Err((error, refused)) = producer.send(record) {
        assert_eq!(error.rdkafka_error_code(), Some(rdkafka::types::RDKafkaErrorCode::QueueFull), "{error}");
        producer.poll(Duration::from_millis(10));
        record = refused;
    }
}

/// Produces `count` records with the keys `<tag>-0`, `<tag>-1`, … and waits until they are acknowledged.
pub(crate) fn produce(producer: &BaseProducer, topic: &str, tag: &str, count: usize) {
    for index in 0..count {
        send(producer, BaseRecord::to(topic).key(format!("{tag}-{index}").as_str()).payload(&b"value"[..]));
    }
    producer.flush(PATIENCE).unwrap();
}

/// Polls until there is a record or the end of a partition; errors other than that fail the test.
pub(crate) fn poll(consumer: &BaseConsumer) -> Result<Read, i32> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => return Ok(Read::of(&message)),
            Some(Err(KafkaError::PartitionEOF(partition))) => return Err(partition),
            Some(Err(error)) if error.rdkafka_error_code() != Some(rdkafka::types::RDKafkaErrorCode::AllBrokersDown) => panic!("{error}"),
            Some(Err(_)) | None => {}
        }
    }
    panic!("no record and no end of a partition in {PATIENCE:?}");
}

/// Reads exactly `count` records.
pub(crate) fn read(consumer: &BaseConsumer, count: usize) -> Vec<Read> {
    std::iter::repeat_with(|| poll(consumer)).filter_map(Result::ok).take(count).collect()
}

/// Reads a topic from its beginning until the end of each partition, as the consumer's isolation level shows it.
pub(crate) fn read_all(topic: &str, partitions: i32, settings: &[(&str, &str)]) -> Vec<Read> {
    read_all_of(&brokers(), topic, partitions, settings)
}

pub(crate) fn read_all_of(brokers: &str, topic: &str, partitions: i32, settings: &[(&str, &str)]) -> Vec<Read> {
    let consumer = consumer_of(brokers, &unique("reader"), settings);
    assign(&consumer, topic, partitions);
    let (mut records, mut ended) = (Vec::new(), std::collections::BTreeSet::new());
    while ended.len() < partitions as usize {
        match poll(&consumer) {
            Ok(record) => records.push(record),
            Err(partition) => drop(ended.insert(partition)),
        }
    }
    records
}

/// Assigns every partition from its beginning.
pub(crate) fn assign(consumer: &BaseConsumer, topic: &str, partitions: i32) {
    let mut list = TopicPartitionList::new();
    for partition in 0..partitions {
        list.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&list).unwrap();
}

pub(crate) fn offsets(topic: &str, offsets: &[(i32, i64)]) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for (partition, offset) in offsets {
        list.add_partition_offset(topic, *partition, Offset::Offset(*offset)).unwrap();
    }
    list
}

/// What the group committed for a partition.
pub(crate) fn committed(consumer: &BaseConsumer, topic: &str, partition: i32) -> Offset {
    let mut list = TopicPartitionList::new();
    list.add_partition(topic, partition);
    consumer.committed_offsets(list, PATIENCE).unwrap().elements()[0].offset()
}

pub(crate) fn keys(records: &[Read]) -> Vec<&str> {
    records.iter().map(|record| record.key.as_str()).collect()
}

/// Polls all consumers until `done` says so.
pub(crate) fn poll_until(consumers: &[&BaseConsumer], what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "{what} did not come about in {PATIENCE:?}");
        for consumer in consumers {
            match consumer.poll(Duration::from_millis(20)) {
                Some(Err(KafkaError::PartitionEOF(_)) | Ok(_)) | None => {}
                Some(Err(error)) => eprintln!("while waiting for {what}: {error}"),
            }
        }
    }
}
