//! What is away is waited for; nothing that is away ends a process.

use std::net::SocketAddr;
use std::time::Duration;

use millrace_devkit::registry;
use millrace_tests::flights::{Flights, SCHEMA};
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

    let _registry = registry_at(address).await;
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

async fn registry_at(address: SocketAddr) -> registry::Running {
    let config = registry::Config { addr: address, data_dir: None };
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
