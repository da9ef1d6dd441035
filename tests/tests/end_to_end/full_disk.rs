//! Disks that are full, and then have room again: of a target, and of `.millrace`.

use std::collections::BTreeSet;
use std::time::Duration;

use millrace_tests::command::{run, said};
use millrace_tests::disk::SmallDisk;
use millrace_tests::orders::{SCHEMA, order, register};
use millrace_tests::{Project, Servers, Service, kafka, until};
use serde_json::json;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_mins(2);
const ORDERS: usize = 4_000;

const LOAD: &str = r#"
  file: { type: sqlite, path: disk/orders.db }
topics:
  "{name}.orders": { partitions: 1, schema: order.avsc }
load:
  rows:
    from: "{name}.orders"
    to: { connection: file, table: orders }
    dead_letters: "{name}.dead"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_load_into_a_file_whose_disk_is_full_waits_says_so_and_goes_on_when_there_is_room() {
    let servers = Servers::of_this_run();
    let project = Project::new(&servers, LOAD);
    project.write("order.avsc", SCHEMA);
    let disk = SmallDisk::mounted_on(&project.folder().join("disk"), 64);
    let topic = project.topic("orders");
    kafka::create_topic(&servers.kafka, &topic, 1).await;
    let schema = register(&servers.registry, &topic, SCHEMA).await;
    let mut loader = Service::start_in(disk.surroundings(), &project, "loader");
    loader.ready().await;
    let count =
        async || said(&project, &["query", "--connection", "file", "SELECT count(*) || ' of ' || count(DISTINCT id) AS n FROM orders"]);
    let write = async |numbers: std::ops::Range<usize>| {
        let orders: Vec<_> = numbers.map(|number| order(schema, &format!("{number:0>1000}"), 1)).collect();
        let records: Vec<_> = orders.iter().map(|order| (None, Some(&order[..]))).collect();
        kafka::write(&servers.kafka, &topic, &records).await;
    };
    let loaded = async |orders: usize| {
        let all = format!("{orders} of {orders}");
        until(&format!("{all} are loaded"), PATIENCE, async || count().await.contains(&all).then_some(())).await;
    };
    write(0..ORDERS).await;
    loaded(ORDERS).await;

    disk.fill(&loader);
    // More than its log has room for by itself, which is written anew from its beginning.
    write(ORDERS..4 * ORDERS).await;
    let state = loader.is("waiting").await;
    let reason = state["reason"].as_str().expect("a reason");
    assert!(reason.contains("MR0601"), "{reason}");
    assert!(loader.metrics().await.contains("millrace_loader_retries_total"), "a retry is counted");
    assert!(loader.runs());

    disk.free(&loader);
    loaded(4 * ORDERS).await;
    loader.ready().await;
    assert_eq!(kafka::read(&servers.kafka, &project.topic("dead")).await, [], "dead letters");
    assert!(loader.terminate().await.success());
}

const DEV: &str = r#"
version: 1
name: "{name}"
connections:
  warehouse: { type: postgres, host: nowhere, database: dw, user: nobody }
ingest:
  posted:
    from: { http: { path: /orders } }
    to: { topic: raw, schema: order.avsc, key: id }
transform:
  same:
    from: raw
    to: { topic: same }
load:
  rows:
    from: same
    to: { connection: warehouse, table: orders }
"#;

/// What a request may take before it counts as not answered.
const ANSWER: Duration = Duration::from_secs(3);
/// How large an order is that a full disk has no room for.
const LARGE: usize = 100_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_project_that_is_kept_on_a_full_disk_goes_on_when_there_is_room() {
    let project = Project::alone(DEV);
    project.write("order.avsc", SCHEMA);
    let disk = SmallDisk::mounted_on(&project.folder().join(".millrace"), 48);
    let mut dev = Service::dev_kept_in(disk.surroundings(), &project);
    dev.ready().await;
    let mut posted = BTreeSet::new();
    for number in 0..5 {
        post_until_answered(&dev, number).await;
        posted.insert(number);
    }
    loaded(&project, &posted).await;

    disk.fill(&dev);
    let mut refused = 0;
    for number in 5..10 {
        refused += usize::from(!post(&dev, number).await);
        posted.insert(number);
    }
    assert!(refused > 0, "the disk is full");
    assert!(dev.runs(), "{}", dev.log());

    disk.free(&dev);
    for number in 5..10 {
        post_until_answered(&dev, number).await;
    }
    loaded(&project, &posted).await;
    dev.ready().await;
    assert!(dev.terminate().await.success(), "it ends well");
}

/// Posts an order under a key of its own; whether it was taken.
async fn post(dev: &Service, number: usize) -> bool {
    let (key, body) = (number.to_string(), json!({ "id": format!("{number}-{}", "x".repeat(LARGE)), "amount": number }).to_string());
    let headers = [("idempotency-key", key.as_str())];
    let answer = timeout(ANSWER, dev.post("/orders", "application/json", &headers, body)).await;
    answer.is_ok_and(|answer| answer.is_some_and(|answer| answer.status().as_u16() == 200))
}

async fn post_until_answered(dev: &Service, number: usize) {
    until(&format!("order {number} is taken"), PATIENCE, async || post(dev, number).await.then_some(())).await;
}

/// Waits until just these orders are in the warehouse.
async fn loaded(project: &Project, orders: &BTreeSet<usize>) {
    let all = format!("{} of {}", orders.len(), orders.len());
    until(&format!("{all} are loaded"), PATIENCE, async || {
        let answer = run(project, &["query", "SELECT count(*) || ' of ' || count(DISTINCT amount) AS n FROM orders"]);
        answer.out.contains(&all).then_some(())
    })
    .await;
}
