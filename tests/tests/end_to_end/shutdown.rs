//! SIGTERM: what is in hand is committed first.

use std::time::Duration;

use millrace_tests::kafka::{self, KeyAndValue};
use millrace_tests::orders::{SCHEMA, order, register};
use millrace_tests::postgres::Warehouse;
use millrace_tests::{Project, Servers, Service, until};

const PIPELINES: &str = r#"
topics:
  "{name}.orders": { partitions: 1, schema: order.avsc }
transform:
  same:
    from: "{name}.orders"
    to: { topic: "{name}.same" }
    commit_interval: 10s
load:
  rows:
    from: "{name}.orders"
    to: { connection: warehouse, table: orders }
    commit_interval: 60s
"#;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_hand_at_sigterm_is_committed_before_the_process_ends() {
    let servers = Servers::of_this_run();
    let project = Project::new(&servers, PIPELINES).with("RUST_LOG", "info,millrace_transform=debug,millrace_loader=debug");
    project.write("order.avsc", SCHEMA);
    let (warehouse, topic) = (Warehouse::of(&servers, &project).await, project.topic("orders"));
    kafka::create_topic(&servers.kafka, &topic, 1).await;
    let schema = register(&servers.registry, &topic, SCHEMA).await;
    let orders = ["ann", "ben", "cid"].map(|id| order(schema, id, 1));
    let records = orders.each_ref().map(|order| -> KeyAndValue<'_> { (None, Some(order)) });
    kafka::write(&servers.kafka, &topic, &records).await;

    let mut loader = Service::start(&project, "loader");
    has_in_hand(&loader, "staged").await;
    // The last to start, as it commits the earliest.
    let mut transform = Service::start(&project, "transform");
    has_in_hand(&transform, "transformed").await;
    let transformed = async || kafka::read(&servers.kafka, &project.topic("same")).await.len();
    assert_eq!((transformed().await, warehouse.count("orders").await), (0, 0), "before SIGTERM");

    assert!(transform.terminate().await.success() && loader.terminate().await.success(), "both end well");
    assert_eq!((transformed().await, warehouse.count("orders").await), (3, 3), "after SIGTERM");
}

/// Waits until the service has logged that it has done that to the three orders.
async fn has_in_hand(service: &Service, word: &str) {
    let done = || service.log().lines().any(|line| line.contains(word) && line.contains("records=3"));
    until(&format!("the orders are {word}"), Duration::from_mins(1), async || done().then_some(())).await;
}
