//! The budget of `service: { memory: … }`: what is in flight stays within it, however much waits and however large records are.

use std::time::Duration;

use millrace_tests::kafka::{self, KeyAndValue};
use millrace_tests::orders::{SCHEMA, order, register};
use millrace_tests::{Project, Servers, Service};
use rand::Rng as _;
use rand::distr::Alphanumeric;
use tokio::time::{Instant, sleep};

const PIPELINES: &str = r#"
service: { memory: 32MiB }
topics:
  "{name}.orders": { partitions: 1, schema: order.avsc }
transform:
  same:
    from: "{name}.orders"
    to: { topic: "{name}.same" }
"#;

const BUDGET: u64 = 32 << 20;
/// What comes with work beside what is in flight: threads' own heaps, the allocator's slack, the codec's tables.
const BASE: u64 = 16 << 20;
const RECORDS: usize = 20_000;
const PATIENCE: Duration = Duration::from_mins(1);

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_of_large_records_does_not_grow_the_process_beyond_its_budget() {
    let servers = Servers::of_this_run();
    let project = Project::new(&servers, PIPELINES);
    project.write("order.avsc", SCHEMA);
    let topic = project.topic("orders");
    kafka::create_topic(&servers.kafka, &topic, 1).await;
    let schema = register(&servers.registry, &topic, SCHEMA).await;

    let transform = Service::start(&project, "transform");
    transform.ready().await;
    let idle = transform.memory();
    fill(&servers.kafka, &topic, schema).await;

    let (mut most, deadline) = (idle, Instant::now() + PATIENCE);
    while transform.counted("transform", "same", "records_out").await < RECORDS as u64 {
        assert!(Instant::now() < deadline, "the backlog was not worked off in {PATIENCE:?}");
        most = most.max(transform.memory());
        sleep(Duration::from_millis(20)).await;
    }
    let grown = most - idle;
    assert!(grown <= BUDGET + BASE, "the process grew by {} KiB, of {} KiB", grown >> 10, (BUDGET + BASE) >> 10);
}

/// Ten times the budget, in records of 10,000 bytes that can't be compressed.
async fn fill(brokers: &str, topic: &str, schema: u32) {
    let text: String = rand::rng().sample_iter(Alphanumeric).map(char::from).take(2 * 10_000).collect();
    let values: Vec<_> = (0..RECORDS).map(|number| order(schema, &text[number % 10_000..][..10_000], 1)).collect();
    let records: Vec<KeyAndValue<'_>> = values.iter().map(|value| -> KeyAndValue<'_> { (None, Some(value)) }).collect();
    kafka::write(brokers, topic, &records).await;
}
