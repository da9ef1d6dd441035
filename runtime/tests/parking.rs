//! Parked keys of several instances against a broker: the one that `MILLRACE_TEST_KAFKA` names, else the development broker.

use std::time::Duration;

use millrace_devkit::broker;
use millrace_model::{Code, Offsets, Record, Records, RecordsBuilder, Result, TopicPartition};
use millrace_runtime::kafka::{Cluster, Producer};
use millrace_runtime::parking::keys::{Known, Lineup};
use millrace_runtime::parking::rebuild::Truth;
use millrace_runtime::parking::{Amount, Parking};
use millrace_runtime::project::{KafkaConfig, ParkedConfig};
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_secs(30);
const INPUT: &str = "in";

/// One instance of a pipeline that has three records to park at most.
struct Instance {
    parking: Parking,
    producer: Producer,
}

impl Instance {
    async fn start(cluster: &Cluster, pipeline: &str, partition: i32) -> Self {
        let most = ParkedConfig { max_records: 3.try_into().expect("not zero"), ..ParkedConfig::default() };
        let mut parking = Parking::open(cluster, pipeline, INPUT, &most).await.expect("opens");
        let (partition, positions) = (TopicPartition::new(INPUT, partition), Offsets::new());
        parking.take_over(cluster, &[partition], &positions, Truth::Topic).await.expect("takes over");
        Self { parking, producer: Producer::idempotent(cluster).expect("a producer") }
    }

    /// Takes records of one key, the first of which is rejected.
    fn take(&mut self, records: &Records) -> Result<()> {
        let known = Known { rejected: [0].into(), ..Known::default() };
        let line = Lineup::default().line_up(self.parking.keys(), records, known);
        self.parking.hold_back(&mut self.producer, records, &line)?;
        self.producer.drain()
    }

    async fn until_held(&mut self, records: usize) {
        let seen = tokio::time::timeout(PATIENCE, async {
            while self.parking.held().records != records {
                // It learns while it waits for marks; those that come are not of its letters.
                drop(tokio::time::timeout(Duration::from_millis(20), self.parking.marks()).await);
            }
        });
        seen.await.expect("learns what the others hold");
    }
}

fn records(partition: i32, count: i64) -> Records {
    let mut records = RecordsBuilder::new(INPUT.into(), 0);
    for offset in 0..count {
        records.push(&Record { topic: INPUT, partition, offset, timestamp: 0, key: Some(b"k"), value: Some(b"v"), headers: &[] });
    }
    records.finish()
}

/// The broker to use, and the development broker where it is that.
async fn broker() -> (String, Option<broker::Running>) {
    if let Ok(brokers) = std::env::var("MILLRACE_TEST_KAFKA") {
        return (brokers, None);
    }
    let development = broker::start(broker::Config::default()).await.expect("a broker");
    (development.addr.to_string(), Some(development))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_wait_is_for_all_instances_of_a_pipeline_together() {
    let (brokers, _development) = broker().await;
    let cluster = Cluster::new(&KafkaConfig { brokers, ..KafkaConfig::default() }, "test");
    let pipeline = format!("shop.{}", Uuid::new_v4().simple());
    let mut one = Instance::start(&cluster, &pipeline, 0).await;
    let mut two = Instance::start(&cluster, &pipeline, 1).await;
    one.take(&records(0, 2)).expect("has room");
    two.until_held(2).await;
    let fault = two.take(&records(1, 2)).expect_err("there would be four");
    assert_eq!(fault.code(), Code::ParkedFull, "{fault}");

    let mut successor = Instance::start(&cluster, &pipeline, 1).await;
    assert_eq!(successor.parking.held(), Amount { records: 2, bytes: 2 }, "nothing of what was too much, and known from the start");
    successor.take(&records(1, 1)).expect("has room for one");
    one.until_held(3).await;
    let mut other = Instance::start(&cluster, &format!("{pipeline}.other"), 0).await;
    other.take(&records(0, 3)).expect("another pipeline has room of its own");
}
