//! Where Kafka's limits are met: records that are too large, and positions that a topic no longer has. On the development
//! broker.

use std::sync::Arc;
use std::time::Duration;

use millrace_devkit::broker;
use millrace_model::{Code, Offsets, Record, RecordsBuilder, Rejected, Rejection, Retry, Stage, TopicPartition};
use millrace_runtime::dead_letters::{self, DeadLetters};
use millrace_runtime::kafka::topics::{self, Declared};
use millrace_runtime::kafka::{Cluster, Consumer, Event, Outgoing, Producer, Subscription};
use millrace_runtime::project::KafkaConfig;

const PATIENCE: Duration = Duration::from_secs(30);

async fn cluster() -> (broker::Running, Cluster) {
    let broker = broker::start(broker::Config::default()).await.expect("the development broker starts");
    let config = KafkaConfig { brokers: broker.addr.to_string(), ..KafkaConfig::default() };
    let cluster = Cluster::new(&config, "test");
    topics::ensure(&cluster, &[Declared { partitions: Some(1), ..Declared::named("t") }]).await.expect("the topic is made");
    (broker, cluster)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_that_the_topic_does_not_have_waits_for_an_operator() {
    let (_broker, cluster) = cluster().await;
    let mut producer = Producer::idempotent(&cluster).expect("opens");
    let topic = producer.topic("t").expect("knows the topic");
    producer.send(topic, &Outgoing { value: Some(b"only"), ..Outgoing::default() }).expect("sends");
    producer.drain().expect("delivers");
    let subscription = Subscription { topic: "t".into(), group: "g".into() };
    let mut consumer = Consumer::subscribe(&cluster, &subscription).expect("subscribes");
    let fault = tokio::time::timeout(PATIENCE, async {
        loop {
            match consumer.next().await {
                Ok(Event::Assigned(assigned)) => assigned.start_at(Offsets::from([(TopicPartition::new("t", 0), 7)])),
                Ok(Event::Records(_)) => panic!("nothing is read from elsewhere"),
                Ok(Event::Revoked(_)) => {}
                Err(fault) => return fault,
            }
        }
    });
    let fault = fault.await.expect("the gap is told");
    assert_eq!((fault.code(), fault.retry()), (Code::KafkaPositionGone, Retry::Operator), "{fault}");
    consumer.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_too_large_for_a_dead_letter_is_kept_by_its_beginning_and_its_place() {
    let (_broker, cluster) = cluster().await;
    let mut records = RecordsBuilder::new("t".into(), 1);
    let value = vec![b'x'; 1_030_000];
    records.push(&Record { topic: "t", partition: 3, offset: 42, timestamp: 5, key: Some(b"k"), value: Some(&value), headers: &[] });
    let rejected = Rejected::new(&Arc::new(records.finish()), Stage::Decode, Rejection::new(0, Code::AvroInvalid, "truncated"));
    let mut producer = Producer::idempotent(&cluster).expect("opens");
    DeadLetters::new("p.x", "dead").send(&mut producer, &[rejected]).expect("sends");
    producer.drain().expect("delivers");
    let letters = dead_letters::read(&cluster, "dead").await.expect("reads");
    let said = ["topic", "partition", "offset", "omitted_bytes"].map(|name| letters[0].said(name).to_owned());
    assert_eq!((letters.len(), said), (1, ["t", "3", "42", "1013616"].map(str::to_owned)));
    assert_eq!((letters[0].key.as_deref(), letters[0].value.as_deref()), (Some(b"k".as_slice()), Some(&value[..16 << 10])));
}
