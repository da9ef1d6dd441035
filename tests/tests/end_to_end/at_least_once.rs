//! `delivery: at_least_once`: without transactions nothing is lost either, whatever is killed; records may come twice.

use std::collections::BTreeSet;
use std::time::Duration;

use millrace_tests::flights::{Flights, SCHEMA};
use millrace_tests::{Project, Servers, Service, kafka, until};

const PATIENCE: Duration = Duration::from_mins(1);

const PIPELINES: &str = r#"
topics:
  "{name}.raw": { partitions: 1 }
  "{name}.same": { partitions: 1 }
ingest:
  files:
    from: { files: { path: "in/*.csv", null: [NA] } }
    to: { topic: "{name}.raw", schema: flight.avsc, key: carrier }
    delivery: at_least_once
transform:
  same:
    from: "{name}.raw"
    to: { topic: "{name}.same" }
    delivery: at_least_once
"#;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_services_without_transactions_are_killed_at_work() {
    let servers = Servers::of_this_run();
    let project = Project::new(&servers, PIPELINES);
    project.write("flight.avsc", SCHEMA);
    let flights = Flights::all().parts(2).next().expect("flights");
    project.write("in/flights.csv", flights.csv());
    let all = flights.len();

    for (name, topic) in [("ingest", project.topic("raw")), ("transform", project.topic("same"))] {
        let mut service = Service::start(&project, name);
        let told = format!("{name} writes to {topic}");
        until(&told, PATIENCE, async || (kafka::length(&servers.kafka, &topic).await > 0).then_some(())).await;
        service.kill();
        let written = kafka::length(&servers.kafka, &topic).await;
        assert!(written < all as i64, "{name} had written all {all} flights before it was killed");
        service.restart();
        until(&format!("all {all} flights are in {topic}"), PATIENCE, async || {
            let enough = kafka::length(&servers.kafka, &topic).await >= all as i64;
            (enough && different(&servers, &topic).await == all).then_some(())
        })
        .await;
        assert!(service.terminate().await.success(), "{name} ends well");
    }
}

/// How many different values the topic has.
async fn different(servers: &Servers, topic: &str) -> usize {
    let records = kafka::read(&servers.kafka, topic).await;
    records.into_iter().map(|record| record.value).collect::<BTreeSet<_>>().len()
}
