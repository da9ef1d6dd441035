//! Kafka behind SASL and TLS, and credentials that are refused.

use std::time::Duration;

use millrace_tests::flights::{Flights, SCHEMA};
use millrace_tests::postgres::Warehouse;
use millrace_tests::{Project, Servers, Service, kafka, until};

const PIPELINES: &str = r#"
ingest:
  posted:
    from: { http: { path: /flights } }
    to: { topic: "{name}.raw", schema: flight.avsc, key: carrier }
transform:
  same:
    from: "{name}.raw"
    to: { topic: "{name}.same" }
load:
  rows:
    from: "{name}.same"
    to: { connection: warehouse, table: flights }
"#;

const LOADER_ONLY: &str = r#"
topics:
  "{name}.raw": { partitions: 1, schema: flight.avsc }
load:
  rows:
    from: "{name}.raw"
    to: { connection: warehouse, table: flights }
"#;

fn secured(servers: &Servers, mechanism: &str) -> Project {
    let project = Project::new(servers, PIPELINES);
    let secure = &servers.secure;
    let file = std::fs::read_to_string(project.folder().join("millrace.yaml")).expect("the project file");
    let kafka = format!(r#"kafka: {{ brokers: "${{KAFKA_BROKERS}}", mechanism: {mechanism}, tls: true, ca: "{}" }}"#, secure.ca);
    project.write("millrace.yaml", file.replace(r#"kafka: { brokers: "${KAFKA_BROKERS}" }"#, &kafka));
    project.write("flight.avsc", SCHEMA);
    let project = project.with("KAFKA_BROKERS", &*secure.brokers);
    project.with("KAFKA_USERNAME", &*secure.username).with("KAFKA_PASSWORD", &*secure.password)
}

async fn goes_all_the_way(mechanism: &str) {
    let servers = Servers::of_this_run();
    let project = secured(&servers, mechanism);
    let warehouse = Warehouse::of(&servers, &project).await;
    let services = ["ingest", "transform", "loader"].map(|name| Service::start(&project, name));
    services[0].ready().await;
    let answer = services[0].post("/flights", "application/json", &[], Flights::all().first_json().to_string()).await;
    assert!(answer.expect("the gateway answers").status().is_success());
    until("the row is loaded", Duration::from_mins(1), async || (warehouse.count("flights").await == 1).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_go_all_the_way_with_plain_over_tls() {
    goes_all_the_way("PLAIN").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_go_all_the_way_with_scram_over_tls() {
    goes_all_the_way("SCRAM-SHA-256").await;
    goes_all_the_way("SCRAM-SHA-512").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_listener_refuses_who_has_no_credentials() {
    let secure = Servers::of_this_run().secure;
    let asked = [("bootstrap.servers", &*secure.brokers), ("security.protocol", "SSL"), ("ssl.ca.location", &*secure.ca)];
    assert!(!tokio::task::block_in_place(|| kafka::answers(&asked)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_kafka_password_halts_the_pipeline_and_names_the_variable() {
    let servers = Servers::of_this_run();
    let project = secured(&servers, "SCRAM-SHA-256").with("KAFKA_PASSWORD", "guessed");
    let mut transform = Service::start(&project, "transform");
    let state = transform.is("halted").await;
    assert_eq!(state["code"], "MR0202", "{state}");
    let said = format!("{} {}", state["fault"], state["help"]);
    assert!(said.contains("KAFKA_PASSWORD") && !transform.log().contains("guessed"), "{said}");
    assert!(transform.runs(), "one pipeline's credentials never end the process");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_database_password_halts_the_pipeline_and_names_the_setting() {
    let servers = Servers::of_this_run();
    let project = Project::new(&servers, LOADER_ONLY).with("DW_PASSWORD", "guessed");
    project.write("flight.avsc", SCHEMA);
    let mut loader = Service::start(&project, "loader");
    let state = loader.is("halted").await;
    assert_eq!(state["code"], "MR0602", "{state}");
    assert!(state["fault"].as_str().is_some_and(|fault| fault.contains("`user` and `password`")), "{state}");
    assert!(!loader.log().contains("guessed"), "the password is in the log");
    assert!(loader.runs(), "one pipeline's credentials never end the process");
    assert!(loader.metrics().await.contains("millrace_loader_halted{pipeline=\"rows\"} 1"));
}
