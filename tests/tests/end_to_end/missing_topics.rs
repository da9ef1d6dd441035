//! A topic that is not there, and can't be made or was deleted.

use std::time::Duration;

use millrace_tests::orders::{SCHEMA, order, register};
use millrace_tests::postgres::Warehouse;
use millrace_tests::{Project, Servers, Service, kafka, until};

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

/// So that a client learns of a topic's end within a second.
const IMPATIENT: &str = "options: { topic.metadata.propagation.max.ms: 1000, topic.metadata.refresh.interval.ms: 1000 } }";

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_deleted_halts_its_readers_and_one_made_anew_halts_a_load_that_was_further() {
    let servers = Servers::of_this_run();
    let project = Project::new(&servers, PIPELINES);
    project.change(r#""${KAFKA_BROKERS}" }"#, &format!(r#""${{KAFKA_BROKERS}}", {IMPATIENT}"#));
    project.write("order.avsc", SCHEMA);
    let (warehouse, topic) = (Warehouse::of(&servers, &project).await, project.topic("orders"));
    let schema = register(&servers.registry, &topic, SCHEMA).await;
    let mut services = ["transform", "loader"].map(|name| Service::start(&project, name));
    for service in &services {
        service.ready().await;
    }
    let write = async |id: &str| kafka::write(&servers.kafka, &topic, &[(None, Some(&order(schema, id, 1)))]).await;
    let transformed = async |count: usize| {
        let read = async || kafka::read(&servers.kafka, &project.topic("same")).await.len();
        until(&format!("{count} orders are transformed"), PATIENCE, async || (read().await == count).then_some(())).await;
    };
    write("ann").await;
    transformed(1).await;
    until("an order is loaded", PATIENCE, async || (warehouse.count("orders").await == 1).then_some(())).await;

    kafka::delete_topic(&servers.kafka, &topic).await;
    for service in &services {
        let state = service.is("halted").await;
        assert_eq!(state["code"], "MR0204", "{state}");
        assert!(state["fault"].as_str().expect("a fault").contains(&topic), "{state}");
    }
    for service in &mut services {
        assert!(service.terminate().await.success(), "it ends well while its pipeline is halted");
        service.restart();
    }
    let [transform, loader] = &services;
    transform.ready().await;
    // Kafka forgot the group's offsets with the topic; the target still has its position, and of which topic it is.
    let state = loader.is("halted").await;
    assert_eq!(state["code"], "MR0209", "{state}");
    write("ben").await;
    transformed(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_cannot_be_made_halts_its_pipelines_and_is_named() {
    let servers = Servers::of_this_run();
    let project = Project::new(&servers, PIPELINES);
    project.change("partitions: 1,", "partitions: 1, replication: 3,");
    project.write("order.avsc", SCHEMA);
    let _schema = Warehouse::of(&servers, &project).await;
    for mut service in ["transform", "loader"].map(|name| Service::start(&project, name)) {
        let state = service.is("halted").await;
        assert_eq!(state["code"], "MR0206", "{state}");
        assert!(state["fault"].as_str().expect("a fault").contains(&project.topic("orders")), "{state}");
        assert!(service.runs(), "one pipeline's topic never ends the process");
    }
}
