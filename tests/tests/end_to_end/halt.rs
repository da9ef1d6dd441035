//! `on_error: halt`: the pipeline stands at the record, nothing passes it, and other pipelines go on.

use std::time::Duration;

use millrace_devkit::proxy::{Network, Proxy};
use millrace_tests::orders::{SCHEMA, order, register};
use millrace_tests::postgres::Warehouse;
use millrace_tests::{Project, Servers, Service, kafka, until};

const PATIENCE: Duration = Duration::from_mins(1);

const PIPELINES: &str = r#"
topics:
  "{name}.strict": { partitions: 1, schema: order.avsc }
  "{name}.lenient": { partitions: 1, schema: order.avsc }
ingest:
  strict_file:
    from: { files: { path: "strict/*.csv" } }
    to: { topic: "{name}.strict", schema: order.avsc, key: id }
    on_error: halt
    dead_letters: "{name}.dead"
  lenient_file:
    from: { files: { path: "lenient/*.csv" } }
    to: { topic: "{name}.lenient", schema: order.avsc, key: id }
    dead_letters: "{name}.lenient.dead"
transform:
  strict_check:
    from: "{name}.strict"
    steps: [ { validate: { rules: [ { range: { column: amount, min: 1 } } ] } } ]
    to: { topic: "{name}.strict.checked" }
    on_error: halt
    dead_letters: "{name}.dead"
  lenient_check:
    from: "{name}.lenient"
    steps: [ { validate: { rules: [ { range: { column: amount, min: 1 } } ] } } ]
    to: { topic: "{name}.lenient.checked" }
    dead_letters: "{name}.lenient.dead"
load:
  strict_rows:
    from: "{name}.strict"
    to: { connection: warehouse, table: strict }
    on_error: halt
    dead_letters: "{name}.dead"
  lenient_rows:
    from: "{name}.lenient"
    to: { connection: warehouse, table: lenient }
    dead_letters: "{name}.lenient.dead"
"#;

struct Shop {
    servers: Servers,
    project: Project,
    warehouse: Warehouse,
}

impl Shop {
    async fn new() -> Self {
        let servers = Servers::of_this_run();
        let project = Project::new(&servers, PIPELINES);
        project.write("order.avsc", SCHEMA);
        let warehouse = Warehouse::of(&servers, &project).await;
        Self { servers, project, warehouse }
    }

    /// Writes three orders to both topics: the one in the middle is of nothing, or is no Avro.
    async fn write_orders(&self, broken: impl Fn(u32) -> Vec<u8>) {
        for topic in ["strict", "lenient"].map(|what| self.project.topic(what)) {
            kafka::create_topic(&self.servers.kafka, &topic, 1).await;
            let schema = register(&self.servers.registry, &topic, SCHEMA).await;
            let values = [order(schema, "ann", 1), broken(schema), order(schema, "cid", 3)];
            let records = values.each_ref().map(|value| (Some(&b"key"[..]), Some(value.as_slice())));
            kafka::write(&self.servers.kafka, &topic, &records).await;
        }
    }

    async fn stored(&self, what: &str) -> usize {
        kafka::read(&self.servers.kafka, &self.project.topic(what)).await.len()
    }

    async fn come_to_be(&self, what: &str, count: usize) {
        let told = format!("{count} records in {what}");
        until(&told, PATIENCE, async || (self.stored(what).await == count).then_some(())).await;
    }

    async fn rows(&self, table: &str, count: i64) {
        let told = format!("{count} rows in {table}");
        until(&told, PATIENCE, async || (self.warehouse.count(table).await == count).then_some(())).await;
    }

    /// The strict pipeline has not gone past the second of its three records, and has written no dead letter.
    async fn nothing_passed(&self, pipeline: &str) {
        let group = format!("{}.{pipeline}", self.project.name());
        let passed = kafka::committed(&self.servers.kafka, &group, &self.project.topic("strict")).await;
        assert!(passed.unwrap_or(0) <= 1, "{pipeline} has passed the record at offset 1: it is at {passed:?}");
        assert_eq!(self.stored("dead").await, 0, "dead letters of {pipeline}");
    }
}

/// Waits until the strict pipeline stands at a record of that code, while the process is alive and not ready.
async fn halts_at(service: &mut Service, pipeline: &str, code: &str) {
    let said = service.pipeline_is(pipeline, "halted").await;
    assert_eq!(said["code"], code, "{said}");
    let (status, all) = service.readiness().await.expect("health is served");
    assert_eq!((status, &all["ready"]), (503, &false.into()), "{all}");
    let (kind, name) = pipeline.split_once('/').expect("service/pipeline");
    assert!(service.metrics().await.contains(&format!("millrace_{kind}_halted{{pipeline=\"{name}\"}} 1")));
    assert!(service.runs(), "one pipeline's record never ends the process");
}

async fn is_not_ready_before_its_pipelines_run(service: &Service) {
    let (status, said) = until("health is served", PATIENCE, async || service.readiness().await).await;
    assert_eq!((status, &said["ready"]), (503, &false.into()), "{said}");
    let pipelines = said["pipelines"].as_object().expect("an object");
    assert!(pipelines.values().all(|pipeline| pipeline["state"] == "starting"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_stands_at_its_bad_line_until_it_may_pass_and_other_files_go_on() {
    let shop = Shop::new().await;
    for folder in ["strict", "lenient"] {
        shop.project.write(&format!("{folder}/orders.csv"), "id,amount\nann,1\nben,many\ncid,3\n");
    }
    let mut ingest = Service::start(&shop.project, "ingest");
    halts_at(&mut ingest, "ingest/strict_file", "MR0404").await;
    shop.come_to_be("lenient", 2).await;
    assert_eq!((shop.stored("lenient.dead").await, shop.stored("dead").await), (1, 0), "dead letters");
    assert!(shop.stored("strict").await <= 1, "a record behind the bad one has passed");

    assert!(ingest.terminate().await.success(), "it ends well while a pipeline is halted");
    shop.project.change("on_error: halt", "on_error: dead_letter");
    ingest.restart();
    shop.come_to_be("strict", 2).await;
    assert_eq!(shop.stored("dead").await, 1, "dead letters");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transform_stands_at_a_rejected_record_until_it_may_pass_and_others_go_on() {
    let shop = Shop::new().await;
    shop.write_orders(|schema| order(schema, "ben", 0)).await;
    let mut transform = Service::start(&shop.project, "transform");
    halts_at(&mut transform, "transform/strict_check", "MR0504").await;
    shop.come_to_be("lenient.checked", 2).await;
    shop.nothing_passed("strict_check").await;
    assert!(shop.stored("strict.checked").await <= 1, "a record behind the bad one has passed");

    assert!(transform.terminate().await.success(), "it ends well while a pipeline is halted");
    shop.project.change("on_error: halt", "on_error: dead_letter");
    transform.restart();
    shop.come_to_be("strict.checked", 2).await;
    assert_eq!(shop.stored("dead").await, 1, "dead letters");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loader_stands_at_a_rejected_record_until_it_may_pass_and_others_go_on() {
    let mut shop = Shop::new().await;
    let kafka = Proxy::to(&shop.servers.kafka).await.expect("listens");
    shop.project = shop.project.with("KAFKA_BROKERS", kafka.address().to_string());
    shop.write_orders(|_| b"no avro".to_vec()).await;
    kafka.is(Network::Silent);
    let mut loader = Service::start(&shop.project, "loader");
    is_not_ready_before_its_pipelines_run(&loader).await;
    kafka.is(Network::Good);
    halts_at(&mut loader, "loader/strict_rows", "MR0310").await;
    shop.rows("lenient", 2).await;
    shop.nothing_passed("strict_rows").await;
    let (status, said) = loader.readiness().await.expect("health is served");
    assert_eq!((status, &said["pipelines"]["loader/lenient_rows"]["state"]), (503, &"running".into()), "it stays red: {said}");
    assert!(shop.warehouse.count("strict").await <= 1, "a row behind the bad record has passed");

    assert!(loader.terminate().await.success(), "it ends well while a pipeline is halted");
    shop.project.change("on_error: halt", "on_error: dead_letter");
    loader.restart();
    shop.rows("strict", 2).await;
    assert_eq!(shop.stored("dead").await, 1, "dead letters");
}
