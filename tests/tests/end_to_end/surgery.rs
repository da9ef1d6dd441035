//! A replay that is killed again and again brings each letter to its end once.

use std::collections::BTreeMap;
use std::process::Child;
use std::time::Duration;

use millrace_tests::command::{said, start};
use millrace_tests::kafka::{self, KeyAndValue};
use millrace_tests::orders::{SCHEMA, order, register};
use millrace_tests::postgres::Warehouse;
use millrace_tests::{Project, Servers, Service, until};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::Value;
use tokio::time::sleep;

const PATIENCE: Duration = Duration::from_mins(1);
const ORDERS: usize = 80;
const KEYS: usize = 7;
/// How many kills must have hit a replay at work: else the test shows nothing.
const HITS: usize = 3;
/// And after so many a replay may run to its end.
const ENOUGH: usize = 7;
/// Kills come at an instant of so many milliseconds.
const INSTANTS: u64 = 300;

const PIPELINES: &str = r#"
topics:
  "{name}.orders": { partitions: 1, schema: order.avsc }
  "{name}.clean": { partitions: 1 }
transform:
  clean:
    from: "{name}.orders"
    steps: [ { validate: { rules: [ { range: { column: amount, min: 1 } } ] } } ]
    to: { topic: "{name}.clean" }
    dead_letters: "{name}.dead"
load:
  rows:
    from: "{name}.orders"
    to: { connection: warehouse, table: orders }
    dead_letters: "{name}.refused"
"#;

const REPLAY: &[&str] = &["dead-letters", "replay", "--every", "--patch", "amount = abs(amount)", "--rate", "60/s"];

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_that_is_killed_at_random_instants_brings_each_letter_to_its_end_once() {
    let seed = std::env::var("MILLRACE_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| rand::rng().random());
    println!("MILLRACE_TEST_SEED={seed} kills at the same instants again");
    let servers = Servers::of_this_run();
    let project = Project::new(&servers, PIPELINES);
    project.write("order.avsc", SCHEMA);
    let warehouse = Warehouse::of(&servers, &project).await;
    let table = format!("CREATE TABLE {}.orders (id text NOT NULL, amount integer NOT NULL CHECK (amount > 0))", project.name());
    warehouse.execute(&table).await;
    reject_all(&servers, &project).await;

    let hits = replay_and_kill(&servers, &project, &warehouse, SmallRng::seed_from_u64(seed)).await;
    assert!(hits >= HITS, "only {hits} kills hit a replay at work");

    let ids: Vec<String> = (0..ORDERS).map(|number| format!("o{number:04}")).collect();
    assert_eq!(warehouse.rows("orders", &["id"]).await, ids, "rows of the table");
    let clean = kafka::read(&servers.kafka, &project.topic("clean")).await;
    let mut of_key: BTreeMap<Vec<u8>, Vec<Vec<u8>>> = BTreeMap::new();
    for record in &clean {
        of_key.entry(record.key.clone().expect("a key")).or_default().push(record.value.clone().expect("a value")[5..].to_vec());
    }
    assert_eq!(clean.len(), ORDERS, "records of the topic");
    assert!(of_key.len() == KEYS && of_key.values().all(|values| values.is_sorted()), "each key's in their order");
    assert!(said(&project, REPLAY).contains("No dead letters to replay."));
    let stats: Vec<Value> =
        said(&project, &["dead-letters", "stats", "--json"]).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(stats.iter().all(|count| count["waiting"] == 0), "{stats:?}");
    assert_eq!(stats.iter().filter_map(|count| count["letters"].as_u64()).sum::<u64>(), 2 * ORDERS as u64);
}

/// Orders that both pipelines reject; ends when every one is a dead letter twice, and the load has passed them.
async fn reject_all(servers: &Servers, project: &Project) {
    let topic = project.topic("orders");
    kafka::create_topic(&servers.kafka, &topic, 1).await;
    let schema = register(&servers.registry, &topic, SCHEMA).await;
    let orders: Vec<(String, Vec<u8>)> =
        (0..ORDERS).map(|number| (format!("k{}", number % KEYS), order(schema, &format!("o{number:04}"), -1 - number as i32))).collect();
    let records: Vec<KeyAndValue<'_>> = orders.iter().map(|(key, value)| (Some(key.as_bytes()), Some(value.as_slice()))).collect();
    kafka::write(&servers.kafka, &topic, &records).await;
    let mut services = ["transform", "loader"].map(|name| Service::start(project, name));
    for what in ["dead", "refused"] {
        let dead = project.topic(what);
        let all = async || (kafka::read(&servers.kafka, &dead).await.len() >= ORDERS).then_some(());
        until(&format!("{ORDERS} letters in {dead}"), PATIENCE, all).await;
    }
    let group = format!("{}.rows", project.name());
    until("the load has passed the orders", PATIENCE, async || (kafka::lag(&servers.kafka, &group, &topic).await == 0).then_some(())).await;
    for service in &mut services {
        assert!(service.terminate().await.success(), "the service ends well");
    }
}

/// Replays until a replay ends by itself; the others are killed, most of them at a random instant after they have brought a letter to its
/// end. Returns how many of those were killed before all was done.
async fn replay_and_kill(servers: &Servers, project: &Project, warehouse: &Warehouse, mut random: SmallRng) -> usize {
    let (mut hits, mut before) = (0, 0);
    for number in 0.. {
        let mut replay = start(project, REPLAY);
        let done = async || kafka::read(&servers.kafka, &project.topic("clean")).await.len() + warehouse.count("orders").await as usize;
        if hits >= ENOUGH {
            until("a replay that is left alone ends", PATIENCE, async || has_ended(&mut replay).then_some(())).await;
        } else if random.random_bool(0.8) {
            let at_work = async || (done().await > before || has_ended(&mut replay)).then_some(());
            until("a replay is at work", PATIENCE, at_work).await;
        }
        // Not a wait for something: this is the random instant.
        let instant = Duration::from_millis(random.random_range(0..INSTANTS));
        sleep(instant).await;
        if has_ended(&mut replay) && replay.wait().expect("it has ended").success() {
            return hits;
        }
        // One that ended badly met the transaction of the one before it; it is replayed again all the same.
        replay.kill().ok();
        replay.wait().expect("it has ended");
        let now = done().await;
        println!("killed replay {number}, {instant:?} later: {now} of {}", 2 * ORDERS);
        hits += usize::from(before < now && now < 2 * ORDERS);
        before = now;
        assert!(number < 60, "the replays come to no end");
    }
    unreachable!("the loop returns")
}

fn has_ended(replay: &mut Child) -> bool {
    replay.try_wait().expect("the replay can be waited for").is_some()
}
