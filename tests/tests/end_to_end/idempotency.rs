//! Two replicas of the gateway behind a balancer that sends each request anywhere, and are killed: a request with an
//! `Idempotency-Key` is written once, and every repetition gets the first answer.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use millrace_tests::service::Gateway;
use millrace_tests::{Project, Servers, Service, kafka, until};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::sleep;

const PIPELINES: &str = r#"
topics:
  "{name}.orders": { partitions: 3 }
ingest:
  orders:
    from: { http: { path: /orders, api_keys: [one-key, another-key] } }
    to: { topic: "{name}.orders", schema: order.avsc, key: id }
    dead_letters: "{name}.dead"
"#;

const SCHEMA: &str =
    r#"{ "type": "record", "name": "Order", "fields": [{ "name": "id", "type": "string" }, { "name": "part", "type": "int" }] }"#;
const SENDERS: usize = 8;
const REQUESTS: usize = 60;
const KILLS: usize = 5;
/// Records of one request.
const PARTS: usize = 3;
const PATIENCE: Duration = Duration::from_mins(2);

#[tokio::test(flavor = "multi_thread")]
async fn every_key_is_written_once_and_answered_alike_whichever_replica_is_killed() {
    let seed = std::env::var("MILLRACE_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| rand::rng().random());
    println!("MILLRACE_TEST_SEED={seed} kills at the same instants again");
    let servers = Servers::of_this_run();
    let project = Project::new(&servers, PIPELINES);
    project.write("order.avsc", SCHEMA);
    let mut replicas = ["a", "b"].map(|instance| Service::replica(&project, "ingest", instance));
    for replica in &replicas {
        replica.ready().await;
    }
    let gateways = [replicas[0].gateway(), replicas[1].gateway()];
    let answers = LocalSet::new().run_until(send_and_kill(&mut replicas, &gateways, seed)).await;
    assert!(answers.len() >= SENDERS * REQUESTS, "{} requests were answered", answers.len());
    for (key, answer) in &answers {
        for gateway in &gateways {
            assert_eq!(&post(gateway, key).await, answer, "{key} is answered as it was at first, by each replica");
        }
    }
    for replica in &mut replicas {
        assert!(replica.terminate().await.success(), "a replica ends well");
    }
    let written = kafka::read(&servers.kafka, &project.topic("orders")).await;
    let values: BTreeSet<_> = written.iter().map(|record| record.value.clone()).collect();
    assert_eq!((written.len(), values.len()), (answers.len() * PARTS, answers.len() * PARTS), "every record once");
}

/// Has all senders post while one replica after the other is killed and starts again; returns what each key was answered.
async fn send_and_kill(replicas: &mut [Service; 2], gateways: &[Gateway; 2], seed: u64) -> BTreeMap<String, (u16, Value)> {
    let kills_are_over = Rc::new(Cell::new(false));
    let senders: Vec<_> =
        (0..SENDERS).map(|sender| spawn_local(send(sender, gateways.clone(), seed, Rc::clone(&kills_are_over)))).collect();
    let mut random = SmallRng::seed_from_u64(seed);
    for kill in 0..KILLS {
        sleep(Duration::from_millis(random.random_range(300..1500))).await;
        let victim = &mut replicas[kill % 2];
        victim.kill();
        victim.restart();
        victim.ready().await;
    }
    kills_are_over.set(true);
    let mut answers = BTreeMap::new();
    for sender in senders {
        answers.extend(sender.await.expect("a sender ends well"));
    }
    answers
}

/// Posts requests one after the other, each to any replica and some twice at once, until each is answered; at least [`REQUESTS`] of them
/// and as long as replicas are killed.
async fn send(sender: usize, gateways: [Gateway; 2], seed: u64, kills_are_over: Rc<Cell<bool>>) -> BTreeMap<String, (u16, Value)> {
    let mut random = SmallRng::seed_from_u64(seed ^ sender as u64);
    let mut answers = BTreeMap::new();
    for request in 0.. {
        if request >= REQUESTS && kills_are_over.get() {
            break;
        }
        let key = format!("{sender}-{request}");
        let (first, second) = (&gateways[random.random_range(0..2)], &gateways[random.random_range(0..2)]);
        let answer = if random.random_bool(0.3) {
            let (answer, twin) = tokio::join!(post(first, &key), post(second, &key));
            assert_eq!(answer, twin, "twins of {key}");
            answer
        } else {
            post(first, &key).await
        };
        answers.insert(key, answer);
    }
    answers
}

/// Posts the request of that key until it is answered for good.
async fn post(gateway: &Gateway, key: &str) -> (u16, Value) {
    let parts: Vec<Value> = (0..PARTS).map(|part| json!({ "id": key, "part": part })).collect();
    let (body, headers) = (json!(parts).to_string(), [("idempotency-key", key), ("x-api-key", "another-key")]);
    until(&format!("{key} is answered"), PATIENCE, async || {
        let answer = gateway.post("/orders", "application/json", &headers, body.clone()).await?;
        let status = answer.status().as_u16();
        let said: Value = answer.json().await.ok()?;
        if status == 503 {
            return None;
        }
        assert_eq!((status, &said["accepted"]), (200, &json!(PARTS)), "{key}: {said}");
        Some((status, said))
    })
    .await
}
