//! What is away is waited for; nothing that is away ends a process.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use millrace_devkit::proxy::{Network, Proxy};
use millrace_devkit::registry;
use millrace_tests::command::said;
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

const LOAD: &str = r#"
topics:
  "{name}.orders": { partitions: 1, schema: order.avsc }
load:
  rows:
    from: "{name}.orders"
    to: { connection: warehouse, table: orders }
    dead_letters: "{name}.dead"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_load_goes_on_by_another_host_and_waits_while_none_answers() {
    let servers = Servers::of_this_run();
    let server = servers.postgres.socket_addrs(|| Some(5432)).expect("has an address")[0].to_string();
    let hosts = [Proxy::to(&server).await.expect("listens"), Proxy::to(&server).await.expect("listens")];
    let addresses = hosts.each_ref().map(|host| host.address().to_string()).join(",");
    let project = Project::new(&servers, LOAD).with("DW_HOST", addresses);
    let schema = format!("schema: \"{}\"", project.name());
    project.change(&schema, &format!("{schema}\n    resilience: {{ breaker: {{ failures: 2, open_for: 1s }} }}"));
    project.write("order.avsc", orders::SCHEMA);
    let (warehouse, topic) = (Warehouse::of(&servers, &project).await, project.topic("orders"));
    kafka::create_topic(&servers.kafka, &topic, 1).await;
    let known = register(&servers.registry, &topic, orders::SCHEMA).await;
    let loader = Service::start(&project, "loader");
    loader.ready().await;
    let write = async |id: &str| kafka::write(&servers.kafka, &topic, &[(Some(id.as_bytes()), Some(&order(known, id, 1)))]).await;
    let loaded = async |count: i64| {
        let told = format!("{count} orders are loaded");
        until(&told, PATIENCE, async || (warehouse.count("orders").await == count).then_some(())).await;
    };
    write("ann").await;
    loaded(1).await;
    let checked = said(&project, &["check", "--connected"]);
    let answers = |line: &str| line.contains("answered in") && line.ends_with("ms");
    assert_eq!(checked.lines().filter(|line| answers(line)).count(), 3, "Kafka, the registry and the warehouse: {checked}");

    hosts[0].is(Network::Down);
    write("ben").await;
    loaded(2).await;

    hosts[1].is(Network::Down);
    write("cid").await;
    until("the pipeline says why it waits", PATIENCE, async || {
        let (status, said) = loader.readiness().await?;
        let reason = said["pipelines"]["loader/rows"]["reason"].as_str()?.to_owned();
        (status == 200 && reason.contains("warehouse is left alone for 1s") && said["connections"]["warehouse"]["state"] == "open")
            .then_some(())
    })
    .await;
    let connections = loader.connections().await;
    assert_eq!(connections["warehouse"]["state"], "open", "{connections}");
    assert!(["kafka", "registry"].iter().all(|system| connections[system]["latency_ms"].is_f64()), "{connections}");
    assert!(loader.metrics().await.contains("millrace_connection_breaker_state{connection=\"warehouse\",kind=\"postgres\"}"));

    hosts.iter().for_each(|host| host.is(Network::Good));
    loaded(3).await;
    assert_eq!(warehouse.rows("orders", &["id"]).await, ["ann", "ben", "cid"], "each once");
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
