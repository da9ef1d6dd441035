//! The mirror of a change stream that parks keys: writes, deletions and tombstones wait alike, and a truncation waits for none.

use std::time::Duration;

use millrace_connectors::Mode;
use millrace_loader::config::Envelope;
use millrace_loader::service::Load;
use millrace_model::Header;
use millrace_runtime::kafka::{Outgoing, Producer};
use millrace_runtime::parking;
use millrace_surgery::Route;

use crate::parked::{PATIENCE, Service, discard_all, parking_load_of, replay_all, until_open};
use crate::world::{RAW, World, order};

/// A change: the key, the row (`amount`) if it has one, and what was done.
type Change<'a> = (Option<&'a str>, Option<f64>, &'a str);

/// The load, into a table with a row for each customer, which takes no negative amounts.
async fn mirror(world: &mut World) -> Load {
    let table = "CREATE TABLE orders (id INTEGER NOT NULL, customer TEXT PRIMARY KEY, amount REAL NOT NULL CHECK (amount >= 0), note TEXT)";
    let mut load = parking_load_of(world, table).await;
    (load.config.mode, load.config.envelope, load.config.keys) = (Mode::Mirror, Envelope::Flat, vec!["customer".to_owned()]);
    load.table = load.config.table("shop", "table");
    world.theatre.routes.insert("shop.table".to_owned(), Route::Load(Box::new(load.clone())));
    load
}

/// Writes changes to one partition; the `id` of each is `first` and what follows: its offset, if `first` is that of the first.
async fn publish(world: &World, first: i64, changes: &[Change<'_>]) {
    let mut producer = Producer::idempotent(&world.theatre.cluster).expect("a producer");
    let topic = producer.topic(RAW).expect("a topic");
    for ((key, amount, op), id) in changes.iter().zip(first..) {
        let value = match amount {
            Some(amount) => Some(world.avro(&order(id, key.unwrap_or_default(), *amount)).await),
            None => None,
        };
        let headers = [Header { key: "millrace.op".to_owned(), value: Some(op.as_bytes().to_vec()) }];
        let record = Outgoing { key: key.map(str::as_bytes), value: value.as_deref(), headers: &headers, ..Outgoing::default() };
        producer.send(topic, &record).expect("sends");
    }
    producer.drain().expect("delivers");
}

async fn rows(load: &Load) -> Vec<String> {
    let answer = load.connection.query("SELECT customer || ' ' || id FROM orders ORDER BY customer").await.expect("asks");
    answer.rows.into_iter().map(|mut row| row.remove(0).expect("a row")).collect()
}

async fn until_rows(load: &Load, expected: &[&str]) {
    let seen = tokio::time::timeout(PATIENCE, async {
        while rows(load).await != expected {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    assert!(seen.await.is_ok(), "expected {expected:?}, found {:?}", rows(load).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn deletions_and_tombstones_of_a_parked_key_wait_in_their_places() {
    let mut world = World::start().await;
    let load = mirror(&mut world).await;
    let (ann, bob) = (Some("ann"), Some("bob"));
    let service = Service::load(&world, &load);
    let changes = [(ann, Some(1.0), "c"), (ann, Some(-1.0), "u"), (bob, Some(1.0), "c"), (ann, Some(1.0), "d"), (ann, None, "d")];
    publish(&world, 0, &changes).await;
    until_rows(&load, &["ann 0", "bob 2"]).await;
    until_open(&world, &[(1, 2)]).await;
    replay_all(&world).await;
    until_rows(&load, &["bob 2"]).await;

    publish(&world, 5, &[(ann, Some(-1.0), "c"), (ann, Some(2.0), "u"), (bob, Some(-3.0), "u"), (bob, None, "d")]).await;
    until_open(&world, &[(5, 1), (7, 1)]).await;
    assert_eq!(rows(&load).await, ["bob 2"]);
    discard_all(&world).await;
    until_rows(&load, &["ann 6"]).await;
    service.stop().await;
    assert_eq!(parking::read_now(&world.theatre.cluster).await.expect("reads").len(), 0, "nothing is kept of what has gone on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncation_waits_for_no_key_and_nothing_before_it_comes_back() {
    let mut world = World::start().await;
    let load = mirror(&mut world).await;
    let (ann, bob, cid) = (Some("ann"), Some("bob"), Some("cid"));
    let changes = [
        (ann, Some(-1.0), "c"),
        (ann, Some(1.0), "u"),
        (bob, Some(1.0), "c"),
        (bob, Some(-1.0), "u"),
        (None, None, "t"),
        (cid, Some(1.0), "c"),
    ];
    publish(&world, 0, &changes).await;
    let service = Service::load(&world, &load);
    until_rows(&load, &["cid 5"]).await;
    until_open(&world, &[(0, 0), (3, 0)]).await;
    service.stop().await;

    publish(&world, 6, &[(ann, Some(2.0), "c"), (cid, Some(2.0), "u")]).await;
    let service = Service::load(&world, &load);
    until_rows(&load, &["cid 7"]).await;
    until_open(&world, &[(0, 1), (3, 0)]).await;
    replay_all(&world).await;
    until_rows(&load, &["ann 6", "cid 7"]).await;
    service.stop().await;
    assert_eq!(parking::read_now(&world.theatre.cluster).await.expect("reads").len(), 0, "nothing is kept of what has gone on");
}
