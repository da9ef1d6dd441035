//! Kafka's clients against a broker: the one that `MILLRACE_TEST_KAFKA` names, else the development broker.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use millrace_model::{Code, Header, Offsets, Records, TopicPartition};
use millrace_runtime::kafka::topics::{self, Declared};
use millrace_runtime::kafka::{Assigned, Cluster, Consumer, Event, Outgoing, Producer, Subscription, compacted, rights};
use millrace_runtime::project::{KafkaConfig, Scalar};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::producer::{BaseProducer, Producer as _};
use rdkafka_sys as sys;
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_secs(30);
/// How long a group waits for a member that has gone without a word.
const SESSION: Duration = Duration::from_secs(6);

/// A broker, and names that no other test uses.
struct Bench {
    brokers: String,
    _development: Option<millrace_devkit::broker::Running>,
    suffix: String,
}

impl Bench {
    async fn start() -> Self {
        if let Ok(brokers) = std::env::var("MILLRACE_TEST_KAFKA") {
            let suffix = Uuid::new_v4().simple().to_string();
            return Self { brokers, _development: None, suffix };
        }
        Self::development().await
    }

    /// On the development broker, whatever the others run on.
    async fn development() -> Self {
        let suffix = Uuid::new_v4().simple().to_string();
        let broker =
            millrace_devkit::broker::start(millrace_devkit::broker::Config::default()).await.expect("the development broker starts");
        Self { brokers: broker.addr.to_string(), _development: Some(broker), suffix }
    }

    fn cluster(&self, instance: &str) -> Cluster {
        let config = KafkaConfig { brokers: self.brokers.clone(), ..KafkaConfig::default() };
        Cluster::new(&config, &format!("{instance}-{}", self.suffix))
    }

    fn name(&self, what: &str) -> String {
        format!("{what}-{}", self.suffix)
    }

    async fn topic(&self, partitions: i32) -> String {
        let name = self.name("topic");
        let declared = Declared { name: name.clone(), partitions: Some(partitions), replication: Some(1), config: BTreeMap::new() };
        topics::ensure(&self.cluster("admin"), &[declared]).await.expect("the topic is made");
        name
    }

    fn subscribe(&self, instance: &str, topic: &str) -> Consumer {
        let subscription = Subscription { topic: topic.to_owned(), group: self.name("group") };
        Consumer::subscribe(&self.cluster(instance), &subscription).expect("subscribes")
    }
}

fn value(text: &str) -> Outgoing<'_> {
    Outgoing { key: Some(text.as_bytes()), value: Some(text.as_bytes()), timestamp: 1_700_000_000_000, ..Outgoing::default() }
}

fn send(producer: &mut Producer, topic: &str, values: &[&str]) {
    let topic = producer.topic(topic).expect("knows the topic");
    for text in values {
        producer.send(topic, &value(text)).expect("sends");
    }
}

async fn next(consumer: &mut Consumer) -> Event {
    tokio::time::timeout(PATIENCE, consumer.next()).await.expect("something happens in time").expect("no fault")
}

async fn assigned(consumer: &mut Consumer) -> Assigned {
    loop {
        if let Event::Assigned(assigned) = next(consumer).await {
            return assigned;
        }
    }
}

/// The values read until there are `count`.
async fn values(consumer: &mut Consumer, count: usize) -> Vec<String> {
    let mut read = Vec::new();
    while read.len() < count {
        match next(consumer).await {
            Event::Records(records) => read.extend(texts(&records)),
            Event::Assigned(assigned) => assigned.resume(),
            Event::Revoked(_) => {}
        }
    }
    read
}

fn texts(records: &Arc<Records>) -> Vec<String> {
    (0..records.len()).map(|row| String::from_utf8_lossy(records.value(row).unwrap_or_default()).into_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn key_value_headers_and_timestamp_survive() {
    let bench = Bench::start().await;
    let topic = bench.topic(1).await;
    let mut producer = Producer::idempotent(&bench.cluster("p")).expect("opens");
    let out = producer.topic(&topic).expect("knows the topic");
    let headers = [Header { key: "a".into(), value: Some(vec![0, 255]) }, Header { key: "a".into(), value: None }];
    producer.send(out, &Outgoing { headers: &headers, ..value("v") }).expect("sends");
    producer.send(out, &Outgoing { key: None, value: None, ..value("") }).expect("sends");
    producer.send(out, &Outgoing { key: Some(b""), value: Some(b""), traceparent: Some("00-1"), ..value("") }).expect("sends");
    producer.drain().expect("delivers");
    let mut consumer = bench.subscribe("c", &topic);
    assigned(&mut consumer).await.resume();
    let mut seen = Vec::new();
    while seen.len() < 3 {
        if let Event::Records(records) = next(&mut consumer).await {
            seen.extend((0..records.len()).map(|row| {
                let record = records.record(row);
                (record.key.map(<[u8]>::to_vec), record.value.map(<[u8]>::to_vec), record.timestamp, record.headers.to_vec())
            }));
        }
    }
    assert_eq!(seen[0], (Some(b"v".to_vec()), Some(b"v".to_vec()), 1_700_000_000_000, headers.to_vec()));
    assert_eq!((&seen[1].0, &seen[1].1), (&None, &None));
    assert_eq!((&seen[2].0, &seen[2].1), (&Some(Vec::new()), &Some(Vec::new())));
    assert_eq!(seen[2].3, [Header { key: "traceparent".into(), value: Some(b"00-1".to_vec()) }]);
    consumer.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_whose_name_is_no_text_is_read_beside_others() {
    let bench = Bench::start().await;
    let topic = bench.topic(1).await;
    send_with_a_header_named(b"\xff\xfe", &bench.brokers, &topic);
    let mut consumer = bench.subscribe("c", &topic);
    assigned(&mut consumer).await.resume();
    let Event::Records(records) = next(&mut consumer).await else { panic!("there is a record") };
    assert_eq!(records.headers(0), [Header { key: "\u{fffd}\u{fffd}".into(), value: Some(b"kept".to_vec()) }]);
    consumer.close().await;
}

/// Clients in Rust take text as names only; others do not.
fn send_with_a_header_named(name: &[u8], brokers: &str, topic: &str) {
    let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", brokers).create().expect("opens");
    let topic = CString::new(topic).expect("a name");
    // SAFETY: every pointer is live for its call; the last call takes the headers over, and copies the rest.
    unsafe {
        let headers = sys::rd_kafka_headers_new(1);
        sys::rd_kafka_header_add(headers, name.as_ptr().cast(), name.len() as isize, b"kept".as_ptr().cast(), 4);
        let mut arguments: [sys::rd_kafka_vu_t; 2] = std::mem::zeroed();
        arguments[0].vtype = sys::rd_kafka_vtype_t::RD_KAFKA_VTYPE_TOPIC;
        arguments[0].u.cstr = topic.as_ptr();
        arguments[1].vtype = sys::rd_kafka_vtype_t::RD_KAFKA_VTYPE_HEADERS;
        arguments[1].u.headers = headers;
        let error = sys::rd_kafka_produceva(producer.client().native_ptr(), arguments.as_ptr(), arguments.len());
        assert!(error.is_null(), "it is sent");
    }
    producer.flush(PATIENCE).expect("delivers");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_committed_is_read() {
    let bench = Bench::start().await;
    let topic = bench.topic(1).await;
    let mut producer = Producer::transactional(&bench.cluster("p"), &bench.name("tx")).expect("opens");
    producer.begin().expect("begins");
    send(&mut producer, &topic, &["aborted"]);
    producer.drain().expect("delivers");
    producer.abort().expect("aborts");
    producer.begin().expect("begins");
    send(&mut producer, &topic, &["committed"]);
    producer.commit().expect("commits");
    let mut consumer = bench.subscribe("c", &topic);
    assert_eq!(values(&mut consumer, 1).await, ["committed"]);
    consumer.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_with_records_on_their_way_is_aborted_at_once() {
    let bench = Bench::start().await;
    let topic = bench.topic(1).await;
    let mut producer = Producer::transactional(&bench.cluster("p"), &bench.name("tx")).expect("opens");
    producer.begin().expect("begins");
    send(&mut producer, &topic, &["aborted"; 1000]);
    producer.abort().expect("aborts");
    producer.begin().expect("begins");
    send(&mut producer, &topic, &["committed"]);
    producer.commit().expect("what was aborted is no failure of this transaction");
    let mut consumer = bench.subscribe("c", &topic);
    assert_eq!(values(&mut consumer, 1).await, ["committed"]);
    consumer.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_after_a_record_that_was_too_large_for_its_topic_is_delivered() {
    let bench = Bench::start().await;
    let topic = bench.name("small");
    let small = [("max.message.bytes".to_owned(), "30000".to_owned())];
    let declared = Declared { partitions: Some(1), config: small.into(), ..Declared::named(&topic) };
    topics::ensure(&bench.cluster("admin"), &[declared]).await.expect("made");
    // Kafka measures a batch as it is sent.
    let uncompressed = BTreeMap::from([("compression.type".to_owned(), Scalar::new("none"))]);
    let config = KafkaConfig { brokers: bench.brokers.clone(), options: uncompressed, ..KafkaConfig::default() };
    let mut producer = Producer::transactional(&Cluster::new(&config, "p"), &bench.name("tx")).expect("opens");
    for round in 0..10 {
        producer.begin().expect("begins");
        send(&mut producer, &topic, &["before", &"x".repeat(60_000), "after"]);
        let refused = producer.drain().expect_err("is refused");
        assert_eq!(refused.code(), Code::KafkaTooLarge, "round {round}: {refused}");
        producer.abort().expect("aborts");
        producer.begin().expect("begins");
        send(&mut producer, &topic, &["passes"]);
        producer.drain().unwrap_or_else(|fault| panic!("round {round}: {fault}"));
        producer.abort().expect("aborts");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn offsets_move_with_the_transaction_that_they_are_in() {
    let bench = Bench::start().await;
    let (topic, output) = (bench.topic(1).await, bench.name("out"));
    topics::ensure(&bench.cluster("admin"), &[Declared::named(&output)]).await.expect("made");
    let mut producer = Producer::transactional(&bench.cluster("p"), &bench.name("tx")).expect("opens");
    producer.begin().expect("begins");
    send(&mut producer, &topic, &["1", "2", "3"]);
    producer.commit().expect("commits");
    let mut consumer = bench.subscribe("c", &topic);
    assert_eq!(values(&mut consumer, 3).await, ["1", "2", "3"]);
    producer.begin().expect("begins");
    send(&mut producer, &output, &["made of 1 and 2"]);
    let offsets = Offsets::from([(TopicPartition::new(topic.as_str(), 0), 2)]);
    producer.commit_with_offsets(&offsets, consumer.group_metadata().expect("is a member")).expect("commits");
    consumer.close().await;
    let mut successor = bench.subscribe("c", &topic);
    assert_eq!(values(&mut successor, 1).await, ["3"]);
    successor.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_successor_ends_what_its_predecessor_left_open_and_fences_it() {
    let bench = Bench::start().await;
    let topic = bench.topic(1).await;
    let mut zombie = Producer::transactional(&bench.cluster("p"), &bench.name("tx")).expect("opens");
    zombie.begin().expect("begins");
    send(&mut zombie, &topic, &["left open"]);
    zombie.drain().expect("delivers");
    let mut successor = Producer::transactional(&bench.cluster("p"), &bench.name("tx")).expect("opens");
    successor.begin().expect("begins");
    send(&mut successor, &topic, &["kept"]);
    successor.commit().expect("commits");
    let fault = zombie.commit().expect_err("the zombie is fenced");
    assert_eq!(fault.code(), Code::KafkaFenced, "{fault}");
    let mut consumer = bench.subscribe("c", &topic);
    assert_eq!(values(&mut consumer, 1).await, ["kept"]);
    consumer.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_assignment_starts_where_it_is_told() {
    let bench = Bench::start().await;
    let topic = bench.topic(1).await;
    let mut producer = Producer::idempotent(&bench.cluster("p")).expect("opens");
    send(&mut producer, &topic, &["0", "1", "2", "3"]);
    producer.drain().expect("delivers");
    let mut consumer = bench.subscribe("c", &topic);
    assigned(&mut consumer).await.start_at(Offsets::from([(TopicPartition::new(topic.as_str(), 0), 2)]));
    assert_eq!(values(&mut consumer, 2).await, ["2", "3"]);
    consumer.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_pass_to_a_second_member_after_the_first_has_finished_with_them() {
    let bench = Bench::start().await;
    let topic = bench.topic(2).await;
    let mut first = bench.subscribe("a", &topic);
    assert_eq!(assigned_and_resumed(&mut first).await, 2);
    let mut second = bench.subscribe("b", &topic);
    let (gone, come) = tokio::join!(revoked(&mut first), assigned_and_resumed(&mut second));
    assert_eq!((gone, come), (1, 1));
    let (a, b) = tokio::join!(first.close(), second.close());
    assert_eq!((a, b), ((), ()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_whose_events_another_takes_leaves_when_both_have_gone() {
    let bench = Bench::start().await;
    let topic = bench.topic(1).await;
    let mut first = bench.subscribe("a", &topic);
    let mut events = first.take_events();
    match tokio::time::timeout(PATIENCE, events.next()).await.expect("tells in time") {
        Ok(Event::Assigned(assigned)) => assigned.resume(),
        other => panic!("the partition has not come: {other:?}"),
    }
    let leaving = first.leave();
    drop(events);
    tokio::time::timeout(PATIENCE, leaving.left()).await.expect("leaves in time");
    let mut second = bench.subscribe("b", &topic);
    assert_eq!(assigned_and_resumed(&mut second).await, 1);
    second.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_leaves_though_an_event_of_it_is_never_answered() {
    let bench = Bench::start().await;
    let topic = bench.topic(1).await;
    let mut consumer = bench.subscribe("a", &topic);
    let unanswered = assigned(&mut consumer).await;
    tokio::time::timeout(SESSION / 2, consumer.close()).await.expect("leaves in time");
    drop(unanswered);
    let mut next = bench.subscribe("b", &topic);
    assert_eq!(assigned_and_resumed(&mut next).await, 1);
    next.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_does_not_wait_for_a_member_that_left_without_partitions() {
    let bench = Bench::start().await;
    let topic = bench.topic(1).await;
    let mut busy = bench.subscribe("a", &topic);
    assert_eq!(assigned_and_resumed(&mut busy).await, 1);
    let idle = bench.subscribe("b", &topic);
    let joined = async {
        while members(&bench) < 2 {
            let event = tokio::time::timeout(Duration::from_millis(100), busy.next()).await;
            assert!(event.is_err(), "the one partition stays where it is: {event:?}");
        }
    };
    tokio::time::timeout(PATIENCE, joined).await.expect("joins in time");
    idle.close().await;
    busy.close().await;
    let mut next = bench.subscribe("c", &topic);
    let comes = tokio::time::timeout(SESSION / 2, assigned_and_resumed(&mut next));
    assert_eq!(comes.await.expect("the partition comes before a session would have timed out"), 1);
    next.close().await;
}

/// How many members the group of [`Bench::subscribe`] has, once it has given them work.
fn members(bench: &Bench) -> usize {
    let client: BaseConsumer = ClientConfig::new().set("bootstrap.servers", &bench.brokers).create().expect("a client");
    let groups = client.fetch_group_list(Some(&bench.name("group")), PATIENCE).expect("the group is described");
    groups.groups().iter().filter(|group| group.state() == "Stable").map(|group| group.members().len()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_pass_on_soon_in_a_topic_that_has_thousands() {
    // Which makes that many in no time.
    let bench = Bench::development().await;
    let topic = bench.topic(2000).await;
    let mut first = bench.subscribe("a", &topic);
    assert_eq!(assigned_and_resumed(&mut first).await, 2000);
    let mut second = bench.subscribe("b", &topic);
    let pass = async { tokio::join!(revoked(&mut first), assigned_and_resumed(&mut second)) };
    // Two heartbeats and the client's own work take 5 s; 21 s when each line of the client's log for a partition had a turn of its own.
    let passed = tokio::time::timeout(Duration::from_secs(12), pass).await.expect("they pass on soon");
    assert_eq!(passed, (1000, 1000));
    tokio::join!(first.close(), second.close());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_leaves_in_time_though_no_broker_answers() {
    // A broker that goes away: always the development one.
    let broker = millrace_devkit::broker::start(millrace_devkit::broker::Config::default()).await.expect("the development broker starts");
    let bench = Bench { brokers: broker.addr.to_string(), _development: None, suffix: Uuid::new_v4().simple().to_string() };
    let topic = bench.topic(1).await;
    let mut consumer = bench.subscribe("a", &topic);
    assert_eq!(assigned_and_resumed(&mut consumer).await, 1);
    // What it tells before it knows that the broker has gone waits for an answer for minutes.
    let offsets = Offsets::from([(TopicPartition::new(&*topic, 0), 0)]);
    let tells = async {
        for _ in 0..50 {
            consumer.report(&offsets).expect("is told without waiting for the answer");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::join!(tells, broker.stop());
    tokio::time::timeout(PATIENCE, consumer.close()).await.expect("leaves in time");
}

async fn assigned_and_resumed(consumer: &mut Consumer) -> usize {
    let assigned = assigned(consumer).await;
    let count = assigned.partitions.len();
    assigned.resume();
    count
}

async fn revoked(consumer: &mut Consumer) -> usize {
    loop {
        match next(consumer).await {
            Event::Revoked(revoked) => return revoked.partitions.len(),
            Event::Assigned(assigned) => assigned.resume(),
            Event::Records(_) => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_whose_loop_is_busy_waits_with_all_records_kept() {
    let bench = Bench::start().await;
    let topic = bench.topic(1).await;
    let mut producer = Producer::idempotent(&bench.cluster("p")).expect("opens");
    let mut sent: Vec<String> = (0..30_000).map(|number| number.to_string()).collect();
    send(&mut producer, &topic, &sent.iter().map(String::as_str).collect::<Vec<_>>());
    producer.drain().expect("delivers");
    let mut consumer = bench.subscribe("c", &topic);
    assigned(&mut consumer).await.resume();
    let partition = TopicPartition::new(topic.as_str(), 0);
    assert!(notices(&consumer, &partition, sent.len() as i64, PATIENCE).await, "it fetches though nobody takes a batch");
    send(&mut producer, &topic, &["one more"]);
    producer.drain().expect("delivers");
    sent.push("one more".to_owned());
    assert!(notices(&consumer, &partition, sent.len() as i64, PATIENCE).await, "it goes on fetching");
    assert_eq!(values(&mut consumer, sent.len()).await, sent);
    consumer.close().await;
}

/// Whether the consumer learns in time that the partition ends at `end`; it does with each fetch, ten times a second.
async fn notices(consumer: &Consumer, partition: &TopicPartition, end: i64, time: Duration) -> bool {
    let start = Offsets::from([(partition.clone(), 0)]);
    let seen = async {
        while !consumer.lag(&start).iter().any(|(_, lag)| *lag >= end) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(time, seen).await.is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compacted_topic_is_read_to_its_end_with_transactions_that_were_open_when_reading_began() {
    let bench = Bench::start().await;
    let (topic, settled) = (bench.name("compacted"), bench.name("settled"));
    topics::ensure(&bench.cluster("admin"), &[Declared::compacted(&topic, 2), Declared::compacted(&settled, 2)]).await.expect("made");
    let mut producer = Producer::transactional(&bench.cluster("p"), &bench.name("tx")).expect("opens");
    producer.begin().expect("begins");
    send(&mut producer, &topic, &["a", "b", "c"]);
    producer.drain().expect("delivers");
    let cluster = bench.cluster("reader");
    let (sender, receiver) = channel();
    let reading = tokio::spawn(async move {
        compacted::read_to_end(&cluster, &topic, move |record| sender.send(record.value.map(<[u8]>::to_vec)).unwrap_or_default()).await
    });
    compacted::read_to_end(&bench.cluster("later"), &settled, |_| {}).await.expect("reads");
    assert!(!reading.is_finished(), "a reader that came later has ended; this one waits for the open transaction");
    producer.commit().expect("commits");
    reading.await.expect("no panic").expect("reads");
    let mut read: Vec<_> = receiver.into_iter().flatten().collect();
    read.sort();
    assert_eq!(read, [b"a", b"b", b"c"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_topic_waits_for_an_operator_and_is_named() {
    let bench = Bench::start().await;
    let fault = topics::partitions(&bench.cluster("admin"), "no-such-topic").await.expect_err("is missing");
    assert_eq!(fault.code(), Code::KafkaTopicMissing);
    assert!(fault.to_string().contains("no-such-topic"), "{fault}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_away_is_passing_trouble() {
    let config = KafkaConfig { brokers: "127.0.0.1:1".into(), ..KafkaConfig::default() };
    let fault = topics::list(&Cluster::new(&config, "x")).await.expect_err("is away");
    assert_eq!(fault.retry(), millrace_model::Retry::BackOff, "{fault}");
}

#[tokio::test(flavor = "multi_thread")]
async fn to_ask_for_a_right_disturbs_no_transaction() {
    let bench = Bench::start().await;
    let (topic, id) = (bench.topic(1).await, bench.name("id"));
    let mut producer = Producer::transactional(&bench.cluster("producer"), &id).expect("opens");
    producer.begin().expect("begins");
    send(&mut producer, &topic, &["before"]);
    let denied = rights::denied_transactions(&bench.cluster("asks"), std::slice::from_ref(&id)).await.expect("is told");
    assert!(denied.is_empty(), "{denied:?}");
    send(&mut producer, &topic, &["after"]);
    producer.commit().expect("was not fenced");
    assert_eq!(values(&mut bench.subscribe("reader", &topic), 2).await, ["before", "after"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_asked_about_before_it_exists() {
    let bench = Bench::start().await;
    let group = bench.name("group");
    let told = rights::of_groups(&bench.cluster("asks"), &[group.clone(), group.clone()]).await.expect("is told");
    assert!(told[&group].as_ref().is_none_or(|may| may.contains(&topics::Operation::Read)), "{told:?}");
}
