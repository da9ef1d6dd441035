//! Log lines that nobody takes: the work goes on without them.

use std::time::Duration;

use millrace_tests::flights::{Flights, SCHEMA};
use millrace_tests::surroundings::Log;
use millrace_tests::{Project, Servers, Service, Surroundings, kafka, until};
use reqwest::StatusCode;

const PATIENCE: Duration = Duration::from_mins(1);

const PIPELINES: &str = r#"
topics:
  "{name}.raw": { partitions: 1 }
ingest:
  posted:
    from: { http: { path: /flights } }
    to: { topic: "{name}.raw", schema: flight.avsc, key: carrier }
transform:
  same:
    from: "{name}.raw"
    to: { topic: "{name}.same" }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_log_on_a_full_disk_ends_nothing() {
    works_without(Log::Full).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_whose_reader_has_gone_ends_nothing() {
    works_without(Log::Unread).await;
}

/// Everything that is logged while a service starts, waits, works and ends.
async fn works_without(log: Log) {
    let servers = Servers::of_this_run();
    let project = Project::new(&servers, PIPELINES);
    project.write("flight.avsc", SCHEMA);
    let surroundings = Surroundings::default().with("RUST_LOG", "debug").logging(log);
    let mut services = ["ingest", "transform"].map(|name| Service::start_in(surroundings.clone(), &project, name));
    for service in &services {
        service.ready().await;
    }
    let flight = Flights::all().first_json().to_string();
    let answer = services[0].post("/flights", "application/json", &[], flight).await.expect("the gateway answers");
    assert_eq!(answer.status(), StatusCode::OK);
    until("the flight is transformed", PATIENCE, async || {
        (kafka::read(&servers.kafka, &project.topic("same")).await.len() == 1).then_some(())
    })
    .await;
    for service in &mut services {
        assert!(service.terminate().await.success(), "it ends well");
    }
}
