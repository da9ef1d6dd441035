//! The schema of a topic changes while pipelines read it: nobody restarts anything, and whatever is killed nothing is lost or doubled.

use std::time::Duration;

use millrace_tests::kafka::{self, KeyAndValue};
use millrace_tests::orders::{LATER, SCHEMA, later_order, order, register};
use millrace_tests::postgres::Warehouse;
use millrace_tests::{Project, Servers, Service, until};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};
use tokio::time::sleep;

const PATIENCE: Duration = Duration::from_mins(2);

const PIPELINES: &str = r#"
topics:
  "{name}.orders": { partitions: 2, schema: order.avsc }
  "{name}.passed": { partitions: 2 }
transform:
  passed_on:
    from: "{name}.orders"
    steps: [ { sql: SELECT * FROM input WHERE amount > 0 } ]
    to: { topic: "{name}.passed" }
    dead_letters: "{name}.dead"
load:
  all_of_them:
    from: "{name}.passed"
    to: { connection: warehouse, table: all_of_them }
    dead_letters: "{name}.dead"
  newest:
    from: "{name}.passed"
    to: { connection: warehouse, table: newest }
    mode: upsert
    keys: [id]
    dead_letters: "{name}.dead"
"#;

/// How many orders are written between two kills.
const PART: usize = 3000;
const PARTS: usize = 6;
/// So many offsets are work, and not the markers of transactions.
const WORK: i64 = 100;
/// How many kills must have hit a service at work: else the test shows nothing.
const HITS: usize = 2;
/// What the two services read: the pipeline, and its topic.
const INPUTS: [(&str, &str); 2] = [("passed_on", "orders"), ("all_of_them", "passed")];
/// Kills come at an instant of so many milliseconds.
const INSTANTS: u64 = 400;

struct Shop {
    servers: Servers,
    project: Project,
    warehouse: Warehouse,
    topic: String,
}

impl Shop {
    async fn new() -> Self {
        let servers = Servers::of_this_run();
        let project = Project::new(&servers, PIPELINES);
        project.write("order.avsc", SCHEMA);
        let (warehouse, topic) = (Warehouse::of(&servers, &project).await, project.topic("orders"));
        Self { servers, project, warehouse, topic }
    }

    async fn write(&self, values: &[(String, Vec<u8>)]) {
        let records: Vec<KeyAndValue<'_>> = values.iter().map(|(id, value)| (Some(id.as_bytes()), Some(value.as_slice()))).collect();
        kafka::write(&self.servers.kafka, &self.topic, &records).await;
    }

    async fn loaded(&self, table: &str, count: usize) {
        until(&format!("{count} rows in {table}"), PATIENCE, async || (self.warehouse.count(table).await == count as i64).then_some(()))
            .await;
    }

    /// How many offsets have come for that service.
    async fn come(&self, service: usize) -> i64 {
        kafka::length(&self.servers.kafka, &self.project.topic(INPUTS[service].1)).await
    }

    /// How many of them it has not committed yet.
    async fn waiting(&self, service: usize) -> i64 {
        let (pipeline, topic) = INPUTS[service];
        kafka::lag(&self.servers.kafka, &format!("{}.{pipeline}", self.project.name()), &self.project.topic(topic)).await
    }

    async fn versions(&self, topic: &str) -> Vec<u32> {
        let path = format!("{}/subjects/{topic}-value/versions", self.servers.registry);
        reqwest::get(path).await.expect("answers").json().await.expect("is a list")
    }
}

/// Orders of a part: from the third part on every second one is of the later schema.
fn part(number: usize, first: u32, later: u32) -> Vec<(String, Vec<u8>)> {
    let one = |place: usize| {
        let id = format!("{number:02}-{place:04}");
        let is_later = number >= 2 && place % 2 == 1;
        let value = if is_later { later_order(later, &id, 7) } else { order(first, &id, 7) };
        (id, value)
    };
    (0..PART).map(one).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_comes_reaches_topics_and_tables_once_whatever_is_killed() {
    let seed = std::env::var("MILLRACE_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| rand::rng().random());
    println!("MILLRACE_TEST_SEED={seed} kills at the same instants again");
    let mut random = SmallRng::seed_from_u64(seed);
    let shop = Shop::new().await;
    let first = register(&shop.servers.registry, &shop.topic, SCHEMA).await;
    let mut services = ["transform", "loader"].map(|name| Service::start(&shop.project, name));
    for service in &services {
        service.ready().await;
    }
    shop.write(&part(0, first, first)).await;
    shop.loaded("all_of_them", PART).await;
    assert_eq!(shop.versions(&shop.project.topic("passed")).await, [1]);

    let later = register(&shop.servers.registry, &shop.topic, LATER).await;
    let mut hits = 0;
    for number in 1..PARTS {
        let victim = number % 2;
        let before = shop.come(victim).await;
        shop.write(&part(number, first, later)).await;
        until("the next victim has something to read", PATIENCE, async || (shop.come(victim).await > before + WORK).then_some(())).await;
        // Not a wait for something: this is the random instant.
        sleep(Duration::from_millis(random.random_range(0..INSTANTS))).await;
        if number > 1 {
            services[victim].kill();
            hits += usize::from(shop.waiting(victim).await > WORK);
            services[victim].restart();
        }
    }
    assert!(hits >= HITS, "only {hits} kills hit a service at work");
    for table in ["all_of_them", "newest"] {
        shop.loaded(table, PARTS * PART).await;
        let notes = shop.warehouse.rows(table, &["id", "coalesce(note, '')"]).await;
        let expected = (0..PARTS).flat_map(|number| (0..PART).map(move |place| (number, place)));
        let note = |number: usize, place: usize| if number >= 2 && place % 2 == 1 { "later" } else { "" };
        let expected: Vec<String> = expected.map(|(number, place)| format!("{number:02}-{place:04}|{}", note(number, place))).collect();
        assert_eq!(notes, expected, "{table}");
    }
    for service in &mut services {
        assert!(service.terminate().await.success(), "the service ends well");
    }
    assert_eq!(kafka::read(&shop.servers.kafka, &shop.project.topic("passed")).await.len(), PARTS * PART);
    assert_eq!(shop.versions(&shop.project.topic("passed")).await, [1, 2]);
    assert_eq!(kafka::read(&shop.servers.kafka, &shop.project.topic("dead")).await, [], "dead letters");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_can_not_be_followed_halts_and_says_what_changed_until_it_is_told_otherwise() {
    let shop = Shop::new().await;
    let first = register(&shop.servers.registry, &shop.topic, SCHEMA).await;
    let config = format!("{}/config/{}-value", shop.servers.registry, shop.topic);
    let allowed = reqwest::Client::new().put(config).json(&json!({ "compatibility": "NONE" })).send().await.expect("answers");
    assert!(allowed.status().is_success(), "{allowed:?}");
    let mut service = Service::start(&shop.project, "transform");
    service.ready().await;
    shop.write(&[("ann".to_owned(), order(first, "ann", 1))]).await;
    let passed = shop.project.topic("passed");
    let stored = async |count: usize| {
        let told = format!("{count} records in {passed}");
        until(&told, PATIENCE, async || (kafka::read(&shop.servers.kafka, &passed).await.len() == count).then_some(())).await;
    };
    stored(1).await;

    let renamed = SCHEMA.replace("\"amount\"", "\"sum\"");
    let other = register(&shop.servers.registry, &shop.topic, &renamed).await;
    shop.write(&[("ben".to_owned(), order(other, "ben", 2))]).await;
    let state: Value = service.is("halted").await;
    assert_eq!(state["code"], "MR0308", "{state}");
    for told in ["field `amount` is gone", "field `sum` is new", "on_incompatible: dead_letter"] {
        assert!(state["fault"].as_str().is_some_and(|fault| fault.contains(told)), "{told}: {state}");
    }
    assert!(service.runs());
    assert!(service.terminate().await.success(), "a halted service ends well");

    shop.project.change(
        "from: \"{name}.orders\"".replace("{name}", shop.project.name()).as_str(),
        &format!("on_incompatible: dead_letter\n    from: \"{}.orders\"", shop.project.name()),
    );
    shop.write(&[("cid".to_owned(), order(first, "cid", 3))]).await;
    service.restart();
    stored(2).await;
    let dead = kafka::read(&shop.servers.kafka, &shop.project.topic("dead")).await;
    assert_eq!(dead.iter().map(|letter| letter.header("millrace.error.code")).collect::<Vec<_>>(), [Some("MR0306".to_owned())]);
}
