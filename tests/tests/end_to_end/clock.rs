//! The system's clock is set an hour forward and back while all services work: nothing is lost, doubled or held up.

use std::io::Write as _;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use millrace_tests::clock::Clock;
use millrace_tests::orders::SCHEMA;
use millrace_tests::postgres::Warehouse;
use millrace_tests::{Project, Servers, Service, kafka, until};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

/// What takes seconds by a clock that nobody sets must not take an hour, or a wait for one.
const PATIENCE: Duration = Duration::from_secs(40);
/// Longer than a session lasts whose heartbeats stand still (6 s).
const SESSION: Duration = Duration::from_secs(8);
const HOUR: i64 = 3600;

/// Keys are remembered for less than the clock is set by.
const PIPELINES: &str = r#"
topics:
  "{name}.raw": { partitions: 1 }
  "{name}.same": { partitions: 1 }
ingest:
  posted:
    from: { http: { path: /orders, idempotency: { window: 30m } } }
    to: { topic: "{name}.raw", schema: order.avsc, key: id }
  read:
    from: { files: { path: "in/*.ndjson.gz" } }
    to: { topic: "{name}.raw", schema: order.avsc, key: id }
    dead_letters: "{name}.dead"
transform:
  same:
    from: "{name}.raw"
    to: { topic: "{name}.same" }
    dead_letters: "{name}.dead"
load:
  rows:
    from: "{name}.same"
    to: { connection: warehouse, table: orders }
    dead_letters: "{name}.dead"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn an_hour_forward_and_back_loses_doubles_and_delays_nothing() {
    let (servers, clock) = (Servers::of_this_run(), Clock::new());
    let project = Project::new(&servers, PIPELINES);
    project.write("order.avsc", SCHEMA);
    let warehouse = Warehouse::of(&servers, &project).await;
    let mut services = ["ingest", "transform", "loader"].map(|name| Service::start_in(clock.surroundings(), &project, name));
    for service in &services {
        service.ready().await;
    }
    let (mut first, mut loaded) = (None, 0);
    // Back to an hour before the first: by two hours at once.
    for (step, hours) in [0, 1, 0, 1, -1, 0].into_iter().enumerate() {
        // Written by the clock of before, and just now.
        project.write(&format!("in/{step}.ndjson.gz"), compressed(&format!("{{\"id\": \"file {step}\", \"amount\": 1}}\n")));
        clock.is_ahead_by(hours * HOUR);
        let begun = Instant::now();
        let answer = post(&services[0], &format!("key {step}")).await;
        let remembered = first.get_or_insert((answer, "key 0")).clone();
        assert_eq!(post(&services[0], remembered.1).await, remembered.0, "step {step}: the first key's window is not over");
        loaded += 2;
        until(&format!("step {step}: {loaded} rows"), PATIENCE, async || (warehouse.count("orders").await >= loaded).then_some(())).await;
        println!("step {step}, the clock {hours} h ahead: loaded in {:?}", begun.elapsed());
    }
    let mut expected: Vec<String> = (0..6).flat_map(|step| [format!("file {step}"), format!("key {step}")]).collect();
    expected.sort_unstable();
    assert_eq!(warehouse.rows("orders", &["id"]).await, expected, "each once");
    assert_eq!(kafka::read(&servers.kafka, &project.topic("dead")).await, [], "dead letters");
    for service in &mut services {
        assert!(!service.log().contains("waiting; it goes on"), "no time was over that had not passed:\n{}", service.log());
        assert!(service.terminate().await.success(), "it ends well");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_set_back_stops_no_heartbeat() {
    let (servers, clock) = (Servers::of_this_run(), Clock::new());
    let project = Project::new(&servers, PIPELINES);
    project.write("order.avsc", SCHEMA);
    let mut transform = Service::start_in(clock.surroundings(), &project, "transform");
    transform.ready().await;
    let group = format!("{}.same", project.name());
    until("the group has its member", PATIENCE, async || (kafka::members(&servers.kafka, &group).await == 1).then_some(())).await;
    clock.is_ahead_by(-HOUR);
    sleep(SESSION).await;
    assert_eq!(kafka::members(&servers.kafka, &group).await, 1, "its session has lasted");
    assert!(transform.terminate().await.success(), "it ends well, and at once");
}

/// Posts an order of that id under a key of its own; its answer.
async fn post(ingest: &Service, key: &str) -> (u16, Value) {
    until(&format!("{key} is answered"), PATIENCE, async || {
        let body = json!({ "id": key, "amount": 1 }).to_string();
        let answer = ingest.post("/orders", "application/json", &[("idempotency-key", key)], body).await?;
        let status = answer.status().as_u16();
        // While partitions of keys are handed over.
        if status == 503 { None } else { Some((status, answer.json().await.ok()?)) }
    })
    .await
}

fn compressed(text: &str) -> Vec<u8> {
    let mut writer = GzEncoder::new(Vec::new(), Compression::fast());
    writer.write_all(text.as_bytes()).expect("compresses");
    writer.finish().expect("compresses")
}
