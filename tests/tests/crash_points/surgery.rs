//! Replays of dead letters, through a transform and into a table.

use std::time::Duration;

use millrace_tests::command::{self, Answer};
use millrace_tests::kafka::{self, KeyAndValue};
use millrace_tests::orders::{SCHEMA, order, register};
use millrace_tests::postgres::Warehouse;
use millrace_tests::{Project, Servers, Service, until};

use crate::hop::difference;
use crate::plan::{Stop, beginning};
use crate::topic::orders_in;

const TRANSFORM: &str = r#"
topics:
  "{name}.orders": { partitions: 1, schema: order.avsc }
  "{name}.clean": { partitions: 1 }
transform:
  rows:
    from: "{name}.orders"
    steps: [ { validate: { rules: [ { range: { column: amount, min: 1 } } ] } } ]
    to: { topic: "{name}.clean" }
    dead_letters: "{name}.dead"
"#;

const LOAD: &str = r#"
topics:
  "{name}.orders": { partitions: 1, schema: order.avsc }
load:
  rows:
    from: "{name}.orders"
    to: { connection: warehouse, table: orders }
    dead_letters: "{name}.dead"
"#;

/// A rate so low makes a transaction for each few letters.
const REPLAY: &[&str] = &["dead-letters", "replay", "--every", "--patch", "amount = abs(amount)", "--rate", "20/s"];
const ORDERS: i32 = 60;
const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) fn points() -> Vec<&'static str> {
    beginning(&["surgery.", "kafka.commit."])
}

/// Lets a replay die at each stop, and the last one end.
pub(crate) async fn run(servers: &Servers, what: &str, stops: &[Stop]) {
    let is_load = what == "load";
    let project = Project::new(servers, if is_load { LOAD } else { TRANSFORM });
    project.write("order.avsc", SCHEMA);
    let warehouse = Warehouse::of(servers, &project).await;
    let columns = "id text NOT NULL, amount integer NOT NULL CHECK (amount > 0)";
    warehouse.execute(&format!("CREATE TABLE {}.orders ({columns})", project.name())).await;
    reject_all(servers, &project, if is_load { "loader" } else { "transform" }).await;
    for stop in stops {
        // One that meets the transaction of the one before it may end for that.
        let dies = async || Some(replay(&project, &stop.failpoints())).filter(|answer| answer.code.is_none());
        let answer = until(&format!("a replay dies at {stop}"), PATIENCE, dies).await;
        assert!(answer.err.contains(&stop.told()), "it did not die at {stop}: {answer:#?}");
    }
    let is_done = async || replay(&project, "").out.contains("No dead letters to replay.").then_some(());
    until("all letters are replayed", PATIENCE, is_done).await;
    let there = if is_load { warehouse.rows("orders", &["id", "amount"]).await } else { orders_in(servers, &project.topic("clean")).await };
    let expected: Vec<String> = (1..=ORDERS).map(|number| format!("o{number:04}|{number}")).collect();
    assert_eq!(difference("orders", &there, &expected), None, "after {stops:?}");
}

fn replay(project: &Project, failpoints: &str) -> Answer {
    command::run_with(project, REPLAY, &[("FAILPOINTS", failpoints)])
}

/// Orders that the pipeline rejects; ends when each is a dead letter, and passed.
async fn reject_all(servers: &Servers, project: &Project, service: &'static str) {
    let topic = project.topic("orders");
    kafka::create_topic(&servers.kafka, &topic, 1).await;
    let schema = register(&servers.registry, &topic, SCHEMA).await;
    let values: Vec<Vec<u8>> = (1..=ORDERS).map(|number| order(schema, &format!("o{number:04}"), -number)).collect();
    let records: Vec<KeyAndValue<'_>> = values.iter().map(|value| (None, Some(value.as_slice()))).collect();
    kafka::write(&servers.kafka, &topic, &records).await;
    let mut service = Service::armed(project, service, "one", "");
    let (dead, group) = (project.topic("dead"), format!("{}.rows", project.name()));
    let rejected = async || (kafka::read(&servers.kafka, &dead).await.len() >= ORDERS as usize).then_some(());
    until("all orders are dead letters", PATIENCE, rejected).await;
    let passed = async || (kafka::lag(&servers.kafka, &group, &topic).await == 0).then_some(());
    until("all orders are passed", PATIENCE, passed).await;
    assert!(service.terminate().await.success(), "the service ends well");
}
