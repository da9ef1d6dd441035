//! What is away is waited for; nothing that is away ends a process.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use millrace_devkit::registry;
use millrace_tests::flights::{Flights, SCHEMA};
use millrace_tests::orders::{self, later_order, order, register};
use millrace_tests::postgres::Warehouse;
use millrace_tests::service::free_address;
use millrace_tests::{Project, Servers, Service, kafka, until};
use reqwest::StatusCode;

const PATIENCE: Duration = Duration::from_mins(1);

const PIPELINES: &str = r#"
ingest:
  posted:
    from: { http: { path: /flights } }
    to: { topic: "{name}.raw", schema: flight.avsc, key: carrier }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_is_away_is_waited_for() {
    let servers = Servers::of_this_run();
    let address = free_address();
    let project = Project::new(&servers, PIPELINES).with("SCHEMA_REGISTRY_URL", format!("http://{address}"));
    project.write("flight.avsc", SCHEMA);
    let mut ingest = Service::start(&project, "ingest");
    let state = ingest.is("waiting").await;
    assert!(state["reason"].as_str().expect("a reason").contains("MR0301"), "{state}");
    assert!(ingest.runs());

    let _registry = registry_at(address, None).await;
    ingest.ready().await;
    posts_one(&ingest).await;
    assert_eq!(kafka::read(&servers.kafka, &project.topic("raw")).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn brokers_that_are_away_are_waited_for() {
    let servers = Servers::of_this_run();
    let project = Project::new(&servers, PIPELINES).with("KAFKA_BROKERS", free_address().to_string());
    project.write("flight.avsc", SCHEMA);
    let mut ingest = Service::start(&project, "ingest");
    let state = ingest.is("waiting").await;
    assert!(state["reason"].as_str().expect("a reason").contains("MR0201"), "{state}");
    assert!(ingest.runs());
    assert!(ingest.terminate().await.success(), "it ends well while it waits");
}

const READERS: &str = r#"
topics:
  "{name}.orders": { partitions: 1, schema: order.avsc }
transform:
  same:
    from: "{name}.orders"
    to: { topic: "{name}.same" }
    dead_letters: "{name}.dead"
load:
  rows:
    from: "{name}.orders"
    to: { connection: warehouse, table: orders }
    dead_letters: "{name}.dead"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_is_met_while_the_registry_is_away_is_waited_for() {
    let (servers, address) = (Servers::of_this_run(), free_address());
    let project = Project::new(&servers, READERS).with("SCHEMA_REGISTRY_URL", format!("http://{address}"));
    project.write("order.avsc", orders::SCHEMA);
    let (warehouse, kept) = (Warehouse::of(&servers, &project).await, project.folder().join("registry"));
    let registry = registry_at(address, Some(kept.clone())).await;
    let topic = project.topic("orders");
    let known = register(&registry.url(), &topic, orders::SCHEMA).await;
    let unmet = register(&registry.url(), &topic, orders::LATER).await;
    let services = ["transform", "loader"].map(|name| Service::start(&project, name));
    let gone_all_the_way = async |count: usize| {
        let told = format!("{count} orders are transformed and loaded");
        until(&told, PATIENCE, async || {
            let transformed = kafka::read(&servers.kafka, &project.topic("same")).await.len();
            (transformed == count && warehouse.count("orders").await == count as i64).then_some(())
        })
        .await;
    };
    for service in &services {
        service.ready().await;
    }
    kafka::write(&servers.kafka, &topic, &[(Some(b"ann"), Some(&order(known, "ann", 1)))]).await;
    gone_all_the_way(1).await;

    registry.stop().await;
    kafka::write(&servers.kafka, &topic, &[(Some(b"ben"), Some(&later_order(unmet, "ben", 2)))]).await;
    for service in &services {
        let state = service.is("waiting").await;
        assert!(state["reason"].as_str().expect("a reason").contains("MR0301"), "{state}");
    }
    let _registry = registry_at(address, Some(kept)).await;
    gone_all_the_way(2).await;
    assert_eq!(warehouse.rows("orders", &["id", "amount"]).await, ["ann|1", "ben|2"]);
    assert_eq!(kafka::read(&servers.kafka, &project.topic("dead")).await, [], "dead letters");
}

async fn registry_at(address: SocketAddr, data_dir: Option<PathBuf>) -> registry::Running {
    let config = registry::Config { addr: address, data_dir };
    registry::start(config).await.expect("the registry starts")
}

async fn posts_one(ingest: &Service) {
    let body = Flights::all().first_json().to_string();
    until("the gateway takes a flight", PATIENCE, async || {
        let answer = ingest.post("/flights", "application/json", &[], body.clone()).await?;
        (answer.status() == StatusCode::OK).then_some(())
    })
    .await;
}
