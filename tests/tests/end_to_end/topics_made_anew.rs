//! A topic that is deleted, and another that is made of its name.

use std::time::Duration;

use millrace_tests::orders::{SCHEMA, order, register};
use millrace_tests::postgres::Warehouse;
use millrace_tests::{Project, Servers, Service, command, kafka, until};

const PATIENCE: Duration = Duration::from_mins(1);

const PIPELINES: &str = r#"
topics:
  "{name}.orders": { partitions: 1, schema: order.avsc }
transform:
  same:
    from: "{name}.orders"
    to: { topic: "{name}.same" }
load:
  rows:
    from: "{name}.orders"
    to: { connection: warehouse, table: orders }
"#;

/// The pipelines on a topic of orders.
struct Orders {
    servers: Servers,
    project: Project,
    warehouse: Warehouse,
    topic: String,
    schema: u32,
}

impl Orders {
    async fn new() -> Self {
        let servers = Servers::of_this_run();
        let project = Project::new(&servers, PIPELINES);
        project.write("order.avsc", SCHEMA);
        let (warehouse, topic) = (Warehouse::of(&servers, &project).await, project.topic("orders"));
        let schema = register(&servers.registry, &topic, SCHEMA).await;
        Self { servers, project, warehouse, topic, schema }
    }

    async fn write(&self, ids: &[&str]) {
        let orders: Vec<Vec<u8>> = ids.iter().map(|id| order(self.schema, id, 1)).collect();
        let records: Vec<_> = orders.iter().map(|order| (None, Some(&order[..]))).collect();
        kafka::write(&self.servers.kafka, &self.topic, &records).await;
    }

    async fn loaded(&self, rows: i64) {
        until(&format!("{rows} orders are loaded"), PATIENCE, async || (self.rows().await == rows).then_some(())).await;
    }

    async fn rows(&self) -> i64 {
        self.warehouse.count("orders").await
    }

    async fn transformed(&self, count: usize) {
        let (brokers, same) = (&self.servers.kafka, self.project.topic("same"));
        let read = async || kafka::read(brokers, &same).await.len();
        until(&format!("{count} orders are transformed"), PATIENCE, async || (read().await == count).then_some(())).await;
    }

    async fn make_anew(&self, ids: &[&str]) {
        kafka::make_anew(&self.servers.kafka, &self.topic, 1).await;
        self.write(ids).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_skips_nothing_of_a_topic_made_anew_that_has_grown_past_its_position() {
    let orders = Orders::new().await;
    let mut loader = Service::start(&orders.project, "loader");
    loader.ready().await;
    orders.write(&["ann", "ben"]).await;
    orders.loaded(2).await;
    assert!(loader.terminate().await.success());
    orders.make_anew(&["cat", "dan", "eve"]).await;

    loader.restart();
    let state = loader.is("halted").await;
    assert_eq!((&state["code"], loader.readiness().await.map(|(status, _)| status)), (&"MR0209".into(), Some(503)), "{state}");
    let said = state["fault"].as_str().expect("a fault");
    let accept = format!("millrace positions accept {}.rows", orders.project.name());
    assert!(said.contains(&format!("{}-0", orders.topic)) && said.contains(&accept), "{said}");
    let metrics = loader.metrics().await;
    let halted = |line: &&str| line.starts_with("millrace_loader_halted{") && line.ends_with(" 1");
    assert!(metrics.lines().any(|line| halted(&line)), "{metrics}");
    assert_eq!(orders.rows().await, 2, "nothing of the new topic is loaded before somebody has said so");

    let told = command::said(&orders.project, &["positions", "accept", "rows"]);
    assert!(told.contains(&format!("{}-0", orders.topic)), "{told}");
    loader.kill();
    loader.restart();
    orders.loaded(5).await;
    let told = command::said(&orders.project, &["positions", "accept", "rows"]);
    assert!(told.contains("nothing was to be accepted"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_made_anew_while_it_is_read_gives_a_load_none_of_its_records_and_a_transform_all() {
    let orders = Orders::new().await;
    let [transform, mut loader] = ["transform", "loader"].map(|name| Service::start(&orders.project, name));
    for service in [&transform, &loader] {
        service.ready().await;
    }
    orders.write(&["ann", "ben"]).await;
    orders.loaded(2).await;
    orders.transformed(2).await;
    orders.make_anew(&["cat", "dan", "eve", "flo"]).await;

    // Kafka forgot the offsets of the group with the topic: there is no position that could be wrong.
    orders.transformed(6).await;
    let state = loader.is("halted").await;
    assert_eq!(state["code"], "MR0209", "{state}");
    assert_eq!(orders.rows().await, 2);
    command::said(&orders.project, &["positions", "accept", "rows", "--from", "end"]);
    loader.kill();
    loader.restart();
    orders.write(&["gus"]).await;
    orders.loaded(3).await;
}
