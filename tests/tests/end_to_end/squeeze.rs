//! A process whose memory is squeezed: poison and large records stay within what it is given; one that is killed for its memory goes on when it is
//! started again.

use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use millrace_tests::kafka::{self, KeyAndValue};
use millrace_tests::orders::{SCHEMA, order, register};
use millrace_tests::squeeze::Squeeze;
use millrace_tests::{Project, Servers, Service, until};
use serde_json::json;
use tokio::time::{Instant, sleep};

const PATIENCE: Duration = Duration::from_mins(2);
/// SIGKILL.
const KILLED: i32 = 9;
const MIB: u64 = 1 << 20;

const PIPELINES: &str = r#"
service: { memory: 32MiB }
topics:
  "{name}.orders": { partitions: 1, schema: order.avsc, config: { max.message.bytes: 16777216 } }
ingest:
  posted:
    from: { http: { path: /orders } }
    to: { topic: "{name}.orders", schema: order.avsc, key: id }
    dead_letters: "{name}.dead"
transform:
  same:
    from: "{name}.orders"
    to: { topic: "{name}.same" }
    dead_letters: "{name}.dead"
"#;

/// What a container should have beside its process, as docs/operating.md says: twice the budget and 64 MiB.
const CONTAINER: u64 = 2 * 32 * MIB + 64 * MIB;
/// What an idle process has already.
const IDLE: u64 = 16 * MIB;
const LARGE: usize = 10_000_000;
const BAD: usize = 5;
const GOOD: usize = 200;

#[tokio::test(flavor = "multi_thread")]
async fn poison_of_ten_megabytes_bombs_and_deep_nesting_stay_within_what_a_container_should_have() {
    let servers = Servers::of_this_run();
    let project = project(&servers);
    let mut services = ["ingest", "transform"].map(|name| Service::start(&project, name));
    for service in &services {
        service.ready().await;
    }
    let _squeezes = services.each_ref().map(|service| Squeeze::of(service, CONTAINER - IDLE));
    poison_gateway(&services[0]).await;
    poison_topic(&servers, &project).await;
    let deadline = Instant::now() + PATIENCE;
    let mut most = [0; 2];
    while kafka::length(&servers.kafka, &project.topic("same")).await < GOOD as i64 + 1
        || kafka::length(&servers.kafka, &project.topic("dead")).await < BAD as i64
    {
        assert!(Instant::now() < deadline && services.iter_mut().all(Service::runs), "it goes on past the poison; it had {most:?} bytes");
        most = [0, 1].map(|number| most[number].max(services[number].memory()));
        sleep(Duration::from_millis(20)).await;
    }
    assert!(most.iter().all(|most| *most < CONTAINER), "{most:?} bytes");
    let same = kafka::read(&servers.kafka, &project.topic("same")).await;
    assert_eq!(same.len(), GOOD + 1, "each good one once");
    let letters = kafka::read(&servers.kafka, &project.topic("dead")).await;
    assert_eq!(letters.len(), BAD, "each bad one once");
    for service in &mut services {
        assert!(service.terminate().await.success(), "the first process has lived to its end");
    }
}

const BACKLOG: usize = 8_000;
const OF_BACKLOG: usize = 10_000;
/// Much less than what it may have in flight, by its settings.
const TOO_LITTLE: u64 = 24 * MIB;

#[tokio::test(flavor = "multi_thread")]
async fn a_transform_that_the_system_kills_for_its_memory_has_written_each_record_once_when_it_was_started_again() {
    let servers = Servers::of_this_run();
    let project = project(&servers);
    project.change("memory: 32MiB", "memory: 512MiB");
    let topic = project.topic("orders");
    let schema = register(&servers.registry, &topic, SCHEMA).await;
    let mut transform = Service::start(&project, "transform");
    transform.ready().await;
    let Some(_squeeze) = Squeeze::of(&transform, TOO_LITTLE) else { return };
    // It stands while they are written, so that they are there all at once.
    transform.freeze();
    write_backlog(&servers, &topic, schema).await;
    transform.go_on();
    let killed = until("the system kills it", PATIENCE, async || transform.ended()).await;
    assert_eq!(killed.signal(), Some(KILLED), "{killed}");

    transform.restart();
    let group = format!("{}.same", project.name());
    until("it has read all", PATIENCE, async || (kafka::lag(&servers.kafka, &group, &topic).await == 0).then_some(())).await;
    assert!(transform.terminate().await.success());
    let mut ids: Vec<Vec<u8>> =
        kafka::read(&servers.kafka, &project.topic("same")).await.into_iter().filter_map(|read| read.value).collect();
    assert_eq!(ids.len(), BACKLOG, "each once");
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), BACKLOG, "and all of them");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_goes_by_what_it_may_take_and_says_when_that_is_too_little() {
    let servers = Servers::of_this_run();
    let project = project(&servers);
    let Some(squeeze) = Squeeze::to(256 * MIB) else { return };
    let given = "service: { memory: 32MiB }";
    let sayings = [
        ("service: { latency: balanced }", "may take 256MiB, so 96MiB of that"),
        ("service: { memory: 100MiB }", "set `memory:` under `service:` to 96MiB"),
    ];
    for (service, said) in sayings {
        project.change(given, service);
        let mut transform = Service::start_in(squeeze.surroundings(), &project, "transform");
        transform.ready().await;
        assert!(transform.log().contains(said), "{}", transform.log());
        assert!(transform.terminate().await.success());
        project.change(service, given);
    }
}

async fn write_backlog(servers: &Servers, topic: &str, schema: u32) {
    let orders: Vec<Vec<u8>> = (0..BACKLOG).map(|number| order(schema, &format!("{number:0>OF_BACKLOG$}"), 1)).collect();
    let records: Vec<KeyAndValue<'_>> = orders.iter().map(|order| -> KeyAndValue<'_> { (None, Some(order)) }).collect();
    kafka::write(&servers.kafka, topic, &records).await;
}

/// Bodies that are much larger than they look, or than they may be; then a good one.
async fn poison_gateway(ingest: &Service) {
    let status = async |headers: &[(&str, &str)], body: Vec<u8>| {
        let answer = ingest.post("/orders", "application/json", headers, body).await;
        answer.map(|answer| answer.status().as_u16())
    };
    let bomb = bomb();
    for _ in 0..3 {
        let refused = status(&[("content-encoding", "gzip")], bomb.clone()).await;
        assert!(refused.is_none_or(|status| status == 413), "a bomb: {refused:?}");
        let nested = status(&[], "[".repeat(LARGE / 2).into_bytes()).await;
        assert!(nested.is_none_or(|status| (400..500).contains(&status)), "nested without end: {nested:?}");
        let large = status(&[], json!({ "id": "x".repeat(LARGE), "amount": 1 }).to_string().into_bytes()).await;
        assert!(large.is_none_or(|status| status == 413), "a large record: {large:?}");
    }
    assert_eq!(status(&[], json!({ "id": "good", "amount": 1 }).to_string().into_bytes()).await, Some(200));
}

/// A GiB of blanks in a MiB.
fn bomb() -> Vec<u8> {
    let mut writer = GzEncoder::new(Vec::new(), Compression::best());
    let blanks = vec![b' '; 1 << 20];
    (0..1024).for_each(|_| writer.write_all(&blanks).expect("compresses"));
    writer.finish().expect("compresses")
}

/// Bad records of ten megabytes between good ones.
async fn poison_topic(servers: &Servers, project: &Project) {
    let topic = project.topic("orders");
    let schema = register(&servers.registry, &topic, SCHEMA).await;
    let bad = vec![0xff; LARGE];
    let good: Vec<Vec<u8>> = (0..GOOD).map(|number| order(schema, &number.to_string(), 1)).collect();
    for some in good.chunks(GOOD / BAD) {
        let mut records: Vec<KeyAndValue<'_>> = some.iter().map(|good| -> KeyAndValue<'_> { (None, Some(good)) }).collect();
        records.insert(records.len() / 2, (None, Some(&bad)));
        kafka::write(&servers.kafka, &topic, &records).await;
    }
}

fn project(servers: &Servers) -> Project {
    let project = Project::new(servers, PIPELINES);
    project.change(r#""${KAFKA_BROKERS}" }"#, r#""${KAFKA_BROKERS}", options: { message.max.bytes: 16777216 } }"#);
    project.write("order.avsc", SCHEMA);
    project
}
