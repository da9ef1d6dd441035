//! SIGTERM: what is in hand is committed first.

use std::time::{Duration, Instant};

use millrace_devkit::proxy::{Network, Proxy};
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
    has_in_hand(&loader, "staged", 3).await;
    // The last to start, as it commits the earliest.
    let mut transform = Service::start(&project, "transform");
    has_in_hand(&transform, "transformed", 3).await;
    let transformed = async || kafka::read(&servers.kafka, &project.topic("same")).await.len();
    assert_eq!((transformed().await, warehouse.count("orders").await), (0, 0), "before SIGTERM");

    assert!(transform.terminate().await.success() && loader.terminate().await.success(), "both end well");
    assert_eq!((transformed().await, warehouse.count("orders").await), (3, 3), "after SIGTERM");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_silent_server_keeps_from_ending_is_given_up_in_time_and_read_again() {
    let servers = Servers::of_this_run();
    let server = servers.postgres.socket_addrs(|| Some(5432)).expect("has an address")[0].to_string();
    let way = Proxy::to(server).await.expect("listens");
    let project = Project::new(&servers, &format!("service: {{ shutdown_timeout: 2s }}\n{PIPELINES}"))
        .with("RUST_LOG", "info,millrace_loader=debug")
        .with("DW_HOST", way.address().ip().to_string())
        .with("DW_PORT", way.address().port().to_string());
    project.write("order.avsc", SCHEMA);
    let (warehouse, topic) = (Warehouse::of(&servers, &project).await, project.topic("orders"));
    kafka::create_topic(&servers.kafka, &topic, 1).await;
    let schema = register(&servers.registry, &topic, SCHEMA).await;
    kafka::write(&servers.kafka, &topic, &[(None, Some(&order(schema, "ann", 1)))]).await;
    let mut loader = Service::start(&project, "loader");
    has_in_hand(&loader, "staged", 1).await;

    way.is(Network::Silent);
    let asked = Instant::now();
    assert!(loader.terminate().await.success(), "it ends well");
    assert!((2..12).contains(&asked.elapsed().as_secs()), "after {:?}", asked.elapsed());
    let told = loader.log().lines().any(|line| line.contains("not ended within service.shutdown_timeout") && line.contains("loader/rows"));
    assert!(told, "{}", loader.log());

    way.is(Network::Good);
    assert_eq!(warehouse.count("orders").await, 0, "nothing was committed");
    loader.restart();
    let staged_twice = async || (loader.log().matches("staged").count() == 2).then_some(());
    until("the order is staged again", Duration::from_mins(1), staged_twice).await;
    assert!(loader.terminate().await.success(), "it ends well");
    assert_eq!(warehouse.rows("orders", &["id"]).await, ["ann"], "once");
}

/// Waits until the service has logged that it has done that to so many orders.
async fn has_in_hand(service: &Service, word: &str, orders: usize) {
    let done = || service.log().lines().any(|line| line.contains(word) && line.contains(&format!("records={orders}")));
    until(&format!("the orders are {word}"), Duration::from_mins(1), async || done().then_some(())).await;
}
