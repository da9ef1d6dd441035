//! A transform and a load that park keys, in this process, and what releases them.

use std::time::Duration;

use millrace_loader::service::{self as loading, Load};
use millrace_model::{Commit, Offsets, ParkedChanges, Stage, TopicPartition};
use millrace_runtime::kafka::{Outgoing, Producer};
use millrace_runtime::parking;
use millrace_runtime::parking::entry::Kept;
use millrace_runtime::parking::keys::Key;
use millrace_runtime::parking::rebuild::digest;
use millrace_runtime::pipeline::{Pipeline, Running};
use millrace_runtime::project::{Millis, OnError, ParkedConfig};
use millrace_runtime::service::{Health, Shutdown};
use millrace_surgery::Route;
use millrace_surgery::discard::discard;
use millrace_transform::service::{self, Transform};
use serde_json::Value;

use crate::world::{CLEAN, RAW, World, order, patched};

pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) struct Service {
    shutdown: Shutdown,
    health: Health,
    running: Running,
}

impl Service {
    pub(crate) fn load(world: &World, load: &Load) -> Self {
        let (health, shutdown) = (Health::new(), Shutdown::new());
        let pipeline = Pipeline::new("loader", "shop", "table", &health, &shutdown);
        let (load, cluster, registry) = (load.clone(), world.theatre.cluster.clone(), world.theatre.registry.clone());
        let work = async move |pipeline: &Pipeline| loading::run(&load, &cluster, &registry, pipeline).await;
        Self { running: pipeline.spawn(work).expect("starts"), shutdown, health }
    }

    fn start(world: &World, transform: &Transform) -> Self {
        let (health, shutdown) = (Health::new(), Shutdown::new());
        let pipeline = Pipeline::new("transform", "shop", "clean", &health, &shutdown);
        let (transform, cluster, registry) = (transform.clone(), world.theatre.cluster.clone(), world.theatre.registry.clone());
        let work = async move |pipeline: &Pipeline| service::run(&transform, &cluster, &registry, pipeline).await;
        Self { running: pipeline.spawn(work).expect("starts"), shutdown, health }
    }

    pub(crate) async fn stop(self) {
        self.shutdown.request();
        self.running.ended().await;
    }
}

fn parking_transform(world: &World) -> Transform {
    let Some(Route::Transform(transform)) = world.theatre.routes.get("shop.clean") else { panic!("a transform") };
    let mut transform = transform.clone();
    transform.config.on_error = OnError::ParkKey;
    *transform
}

/// The load, into a table that takes no negative amounts: what it refuses shows when a round is settled.
async fn parking_load(world: &World) -> Load {
    let table = "CREATE TABLE orders (id INTEGER NOT NULL, customer TEXT NOT NULL, amount REAL NOT NULL CHECK (amount >= 0), note TEXT)";
    parking_load_of(world, table).await
}

/// The load, into a table that is made by that statement.
pub(crate) async fn parking_load_of(world: &World, table: &str) -> Load {
    let Some(Route::Load(load)) = world.theatre.routes.get("shop.table") else { panic!("a load") };
    let mut load = load.clone();
    load.config.on_error = OnError::ParkKey;
    load.config.commit_interval = Some(Millis::new(50));
    load.connection.define(&[table.to_owned()]).await.expect("makes the table");
    *load
}

async fn until_loaded(world: &World, ids: &[i64]) {
    let seen = tokio::time::timeout(PATIENCE, async {
        while world.ids_as_they_came().await != ids {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    assert!(seen.await.is_ok(), "expected {ids:?}, found {:?}", world.ids_as_they_came().await);
}

/// Replays until the load has passed the letters' records and they have gone.
pub(crate) async fn replay_all(world: &World) {
    let done = tokio::time::timeout(PATIENCE, async {
        while world.replay(&patched("amount = abs(amount)")).await.iter().any(|(_, told)| told.starts_with("impossible")) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    done.await.expect("replays");
}

async fn publish(world: &World, orders: &[(i64, &str, f64)]) {
    let orders: Vec<_> = orders.iter().map(|(id, customer, amount)| order(*id, customer, *amount)).collect();
    publish_all(world, &orders).await;
}

async fn publish_all(world: &World, orders: &[Value]) {
    let mut producer = Producer::idempotent(&world.theatre.cluster).expect("a producer");
    let topic = producer.topic(RAW).expect("a topic");
    for order in orders {
        let (key, value) = (order["customer"].as_str().map(str::as_bytes), world.avro(order).await);
        producer.send(topic, &Outgoing { key, value: Some(&value), ..Outgoing::default() }).expect("sends");
    }
    producer.drain().expect("delivers");
}

/// A loader was killed while it tried what had waited: the letter is durable, and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn a_letter_of_a_record_that_waits_by_what_the_load_has_committed_is_not_replayed() {
    let mut world = World::start().await;
    let load = parking_load(&world).await;
    park(&load, b"ann", 6).await;
    world.theatre.routes.insert("shop.table".to_owned(), Route::Load(Box::new(load)));
    let value = world.avro(&order(7, "ann", 1.0)).await;
    world.reject("shop.table", Stage::Write, 7, Some(b"ann"), Some(&value));
    world.reject("shop.table", Stage::Write, 8, Some(b"bob"), Some(&value));
    world.pass(9).await;
    let mut told = world.replay(&patched("amount = abs(amount)")).await;
    told.sort();
    assert_eq!(told, [(7, "impossible: MR0804".into()), (8, "replayed to orders".into())]);
}

/// Has the load park a key from that record on.
async fn park(load: &Load, key: &[u8], head: i64) {
    let mut sink = load.connection.open(&load.table, &load.schema).await.expect("opens");
    let partition = TopicPartition::new(RAW, 0);
    sink.claim(std::slice::from_ref(&partition)).await.expect("claims");
    assert!(sink.parked(std::slice::from_ref(&partition)).await.expect("makes the books").is_empty());
    let parked = digest(RAW, &Key { partition: 0, bytes: key.into() });
    sink.settle().await.expect("settles");
    sink.park(&ParkedChanges::from([(parked, Some(head))])).await.expect("parks");
    let committed = sink.commit(&Offsets::new(), &Offsets::from([(partition, head + 1)])).await.expect("commits");
    assert_eq!(committed, Commit::Done);
}

async fn clean_ids(world: &World) -> Vec<i64> {
    world.orders_in(CLEAN).await.iter().map(|(_, order)| order["id"].as_i64().expect("an id")).collect()
}

async fn until_clean(world: &World, ids: &[i64]) {
    let seen = tokio::time::timeout(PATIENCE, async {
        while clean_ids(world).await != ids {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    assert!(seen.await.is_ok(), "expected {ids:?}, found {:?}", clean_ids(world).await);
}

/// The open letters: the offset of each one's record, and how many wait behind it.
async fn open(world: &World) -> Vec<(i64, u64)> {
    let open = world.letters().await.into_iter().filter(|letter| letter.resolution.is_none());
    open.map(|letter| (letter.letter.offset().expect("an offset"), letter.behind)).collect()
}

pub(crate) async fn until_open(world: &World, letters: &[(i64, u64)]) {
    let seen = tokio::time::timeout(PATIENCE, async {
        while open(world).await != letters {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    assert!(seen.await.is_ok(), "expected {letters:?}, found {:?}", open(world).await);
}

pub(crate) async fn discard_all(world: &World) {
    let open: Vec<_> = world.letters().await.into_iter().filter(|letter| letter.resolution.is_none()).map(|letter| letter.letter).collect();
    discard(&world.theatre, open, "ann", "for the test").await.expect("discards");
}

#[tokio::test(flavor = "multi_thread")]
async fn later_records_of_a_parked_key_wait_and_go_on_in_order_when_its_letter_is_settled() {
    let world = World::start().await;
    let transform = parking_transform(&world);
    let service = Service::start(&world, &transform);
    publish(&world, &[(0, "ann", 1.0), (1, "ann", -1.0), (2, "bob", 1.0), (3, "ann", 1.0), (4, "ann", -1.0), (5, "ann", 1.0)]).await;
    until_clean(&world, &[0, 2]).await;
    until_open(&world, &[(1, 3)]).await;
    publish(&world, &[(6, "ann", 1.0), (7, "bob", 1.0)]).await;
    until_clean(&world, &[0, 2, 7]).await;
    until_open(&world, &[(1, 4)]).await;

    world.replay(&patched("amount = abs(amount)")).await;
    until_clean(&world, &[0, 2, 7, 1, 3]).await;
    until_open(&world, &[(4, 2)]).await;

    service.stop().await;
    publish(&world, &[(8, "ann", 1.0)]).await;
    let service = Service::start(&world, &transform);
    until_open(&world, &[(4, 3)]).await;
    assert_eq!(clean_ids(&world).await, [0, 2, 7, 1, 3], "what waits is found again after a start");

    discard_all(&world).await;
    until_clean(&world, &[0, 2, 7, 1, 3, 5, 6, 8]).await;
    publish(&world, &[(9, "ann", 1.0)]).await;
    until_clean(&world, &[0, 2, 7, 1, 3, 5, 6, 8, 9]).await;
    service.stop().await;
    assert_eq!(parking::read_now(&world.theatre.cluster).await.expect("reads").len(), 0, "nothing is kept of what has gone on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_that_is_settled_while_the_service_stands_releases_its_key_at_the_start() {
    let world = World::start().await;
    let transform = parking_transform(&world);
    let service = Service::start(&world, &transform);
    publish(&world, &[(0, "ann", -1.0), (1, "ann", 1.0)]).await;
    until_open(&world, &[(0, 1)]).await;
    service.stop().await;
    discard_all(&world).await;
    publish(&world, &[(2, "ann", 1.0)]).await;
    let service = Service::start(&world, &transform);
    until_clean(&world, &[1, 2]).await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_that_would_hold_more_than_it_may_halts_and_keeps_what_it_has() {
    let world = World::start().await;
    let mut transform = parking_transform(&world);
    transform.config.parked = ParkedConfig { max_records: 2.try_into().expect("not zero"), ..ParkedConfig::default() };
    let service = Service::start(&world, &transform);
    publish(&world, &[(0, "ann", -1.0), (1, "ann", 1.0)]).await;
    until_open(&world, &[(0, 1)]).await;
    publish(&world, &[(2, "ann", 1.0)]).await;
    let halted = tokio::time::timeout(PATIENCE, async {
        while !format!("{:?}", service.health.states()).contains("MR0807") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    halted.await.expect("halts and says why");
    assert_eq!(open(&world).await, [(0, 1)], "nothing of the third is written");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_behind_one_that_the_table_refuses_wait_though_they_were_staged_with_it() {
    let world = World::start().await;
    let load = parking_load(&world).await;
    publish(&world, &[(0, "ann", 1.0), (1, "ann", -1.0), (2, "bob", 1.0), (3, "ann", 1.0), (4, "ann", -1.0), (5, "ann", 1.0)]).await;
    let service = Service::load(&world, &load);
    until_loaded(&world, &[0, 2]).await;
    until_open(&world, &[(1, 3)]).await;

    replay_all(&world).await;
    until_loaded(&world, &[0, 2, 1, 3]).await;
    until_open(&world, &[(4, 1)]).await;

    service.stop().await;
    publish(&world, &[(6, "ann", 1.0), (7, "bob", 1.0)]).await;
    let service = Service::load(&world, &load);
    until_loaded(&world, &[0, 2, 1, 3, 7]).await;
    until_open(&world, &[(4, 2)]).await;
    service.stop().await;

    discard_all(&world).await;
    publish(&world, &[(8, "ann", 1.0)]).await;
    let service = Service::load(&world, &load);
    until_loaded(&world, &[0, 2, 1, 3, 7, 5, 6, 8]).await;
    service.stop().await;
    let service = Service::load(&world, &load);
    publish(&world, &[(9, "ann", 1.0)]).await;
    until_loaded(&world, &[0, 2, 1, 3, 7, 5, 6, 8, 9]).await;
    service.stop().await;
}

fn with_note(id: i64, note: &str) -> Value {
    let mut order = order(id, "ann", 1.0);
    order["note"] = note.into();
    order
}

#[tokio::test(flavor = "multi_thread")]
async fn records_behind_one_that_can_not_be_written_are_not_written_either() {
    let world = World::start().await;
    let mut transform = parking_transform(&world);
    transform.key = vec!["note".to_owned()];
    publish_all(&world, &[with_note(0, "a"), order(1, "ann", 1.0), with_note(2, "a"), with_note(3, "b")]).await;
    let service = Service::start(&world, &transform);
    until_open(&world, &[(1, 2)]).await;
    assert_eq!(clean_ids(&world).await, [0], "a key that is null can't be made");
    discard_all(&world).await;
    until_clean(&world, &[0, 2, 3]).await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_too_large_to_be_copied_waits_where_it_stands() {
    let world = World::start().await;
    let transform = parking_transform(&world);
    let service = Service::start(&world, &transform);
    // Little less than Kafka's client takes: with headers about where it came from it is more.
    publish_all(&world, &[order(0, "ann", -1.0), with_note(1, &"x".repeat(999_700)), with_note(2, "small")]).await;
    until_open(&world, &[(0, 2)]).await;
    service.stop().await;
    let kept = parking::read_now(&world.theatre.cluster).await.expect("reads");
    assert!(kept.values().any(|entry| entry.kept == Kept::Omitted), "{kept:?}");
    let service = Service::start(&world, &transform);
    discard_all(&world).await;
    until_clean(&world, &[1, 2]).await;
    service.stop().await;
}
