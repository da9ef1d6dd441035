//! Parked keys under kills: two transforms and two loaders that share partitions, all with records that are rejected, while letters are replayed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use millrace_tests::command::{run, said};
use millrace_tests::kafka::{self, KeyAndValue};
use millrace_tests::orders::{SCHEMA, order, register};
use millrace_tests::postgres::Warehouse;
use millrace_tests::{Project, Servers, Service};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::Value;
use tokio::time::sleep;

const PATIENCE: Duration = Duration::from_mins(3);
const ORDERS: usize = 240;
const KEYS: usize = 9;
const KILLS: usize = 6;

const PIPELINES: &str = r#"
topics:
  "{name}.orders": { partitions: 2, schema: order.avsc }
  "{name}.clean": { partitions: 1 }
transform:
  clean:
    from: "{name}.orders"
    steps: [ { validate: { rules: [ { range: { column: amount, min: 1 } } ] } } ]
    to: { topic: "{name}.clean" }
    dead_letters: "{name}.dead"
    on_error: park_key
load:
  rows:
    from: "{name}.orders"
    to: { connection: warehouse, table: orders }
    dead_letters: "{name}.refused"
    on_error: park_key
    commit_interval: 200ms
"#;

const REPLAY: &[&str] = &["dead-letters", "replay", "--every", "--patch", "amount = abs(amount)"];

#[tokio::test(flavor = "multi_thread")]
async fn each_key_keeps_its_order_while_services_are_killed_and_letters_replayed() {
    let seed = std::env::var("MILLRACE_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| rand::rng().random());
    println!("MILLRACE_TEST_SEED={seed} makes the same orders and kills");
    let mut random = SmallRng::seed_from_u64(seed);
    let servers = Servers::of_this_run();
    let project = Project::new(&servers, PIPELINES);
    project.write("order.avsc", SCHEMA);
    let warehouse = Warehouse::of(&servers, &project).await;
    let columns = "id text NOT NULL, amount integer NOT NULL CHECK (amount > 0), number bigserial";
    warehouse.execute(&format!("CREATE TABLE {}.orders ({columns})", project.name())).await;
    let topic = project.topic("orders");
    kafka::create_topic(&servers.kafka, &topic, 2).await;
    let schema = register(&servers.registry, &topic, SCHEMA).await;

    let keys: Vec<String> = (0..ORDERS).map(|_| format!("k{}", random.random_range(0..KEYS))).collect();
    let orders = orders(&keys, schema, &mut random);

    let names = [("transform", "one"), ("transform", "two"), ("loader", "one"), ("loader", "two")];
    let mut services = names.map(|(name, instance)| Service::replica(&project, name, instance));
    let began = Instant::now();
    let (mut written, mut kills) = (0, 0);
    loop {
        let until = (written + random.random_range(10..40)).min(ORDERS);
        let records: Vec<KeyAndValue<'_>> =
            orders[written..until].iter().map(|(key, value)| (Some(key.as_bytes()), Some(value.as_slice()))).collect();
        kafka::write(&servers.kafka, &topic, &records).await;
        written = until;
        // Not a wait for something: this is the random instant.
        sleep(Duration::from_millis(random.random_range(0..1_500))).await;
        if kills < KILLS {
            let service = &mut services[random.random_range(0..names.len())];
            service.kill();
            service.restart();
            kills += 1;
        }
        // One that meets a load which has not passed a letter's record does the rest the next time.
        run(&project, REPLAY);
        let clean = kafka::read(&servers.kafka, &project.topic("clean")).await.len();
        let rows = warehouse.count("orders").await as usize;
        if (clean, rows) == (ORDERS, ORDERS) {
            break;
        }
        assert!(clean <= ORDERS && rows <= ORDERS, "doubled: {clean} records, {rows} rows");
        assert!(began.elapsed() < PATIENCE, "{clean} records and {rows} rows of {ORDERS}");
    }
    for service in &mut services {
        assert!(service.terminate().await.success(), "the service ends well");
    }

    let mut expected: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    keys.iter().enumerate().for_each(|(number, key)| expected.entry(key).or_default().push(format!("o{number:04}")));
    topic_has(&servers, &project, &expected).await;
    table_has(&warehouse, &keys, &expected).await;
    records_had_to_wait(&servers, &project).await;
    nothing_waits(&project);
}

/// An order of each of the keys; some have an amount that is refused.
fn orders<'a>(keys: &'a [String], schema: u32, random: &mut SmallRng) -> Vec<(&'a str, Vec<u8>)> {
    let mut orders = Vec::with_capacity(keys.len());
    for (number, key) in keys.iter().enumerate() {
        let amount = if random.random_bool(0.12) { -1 } else { 1 } * (1 + number as i32);
        orders.push((key.as_str(), order(schema, &format!("o{number:04}"), amount)));
    }
    orders
}

/// That no letter waits to be settled, and no record for one.
fn nothing_waits(project: &Project) {
    let stats: Vec<Value> =
        said(project, &["dead-letters", "stats", "--json"]).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(!stats.is_empty() && stats.iter().all(|count| count["waiting"] == 0 && count["behind"] == 0), "{stats:?}");
}

/// That the topic has the records of each key, in order.
async fn topic_has(servers: &Servers, project: &Project, expected: &BTreeMap<&str, Vec<String>>) {
    let mut written: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for record in kafka::read(&servers.kafka, &project.topic("clean")).await {
        let (key, value) = (record.key.expect("a key"), record.value.expect("a value"));
        let id = String::from_utf8(value[6..11].to_vec()).expect("an id");
        written.entry(String::from_utf8(key).expect("text")).or_default().push(id);
    }
    assert_eq!(written.iter().map(|(key, ids)| (key.as_str(), ids.clone())).collect::<BTreeMap<_, _>>(), *expected, "the topic");
}

/// That the table has the rows of each key, in order.
async fn table_has(warehouse: &Warehouse, keys: &[String], expected: &BTreeMap<&str, Vec<String>>) {
    let mut loaded: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for row in warehouse.rows("orders", &["lpad(number::text, 9, '0')", "id"]).await {
        let id = row.split_once('|').expect("two columns").1.to_owned();
        let number: usize = id[1..].parse().expect("a number");
        loaded.entry(&keys[number]).or_default().push(id);
    }
    assert_eq!(loaded, *expected, "the table");
}

/// That records of both pipelines had to wait: else the test shows nothing.
async fn records_had_to_wait(servers: &Servers, project: &Project) {
    let parked = kafka::read(&servers.kafka, "millrace.parked").await;
    for pipeline in ["clean", "rows"] {
        let id = format!("\"{}.{pipeline}\"", project.name());
        let is_own = |key: &[u8]| String::from_utf8_lossy(key).contains(&id);
        let waited = parked.iter().filter(|record| record.header("millrace.parked.kind").as_deref() == Some("waiting"));
        let waited = waited.filter(|record| record.key.as_deref().is_some_and(is_own)).count();
        assert!(waited > KEYS, "only {waited} records of {pipeline} had to wait: the test shows nothing");
    }
}
