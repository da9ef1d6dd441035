//! Several processes of one service share its work, and what one leaves the others take over.

use std::time::Duration;

use millrace_tests::flights::{Flights, SCHEMA};
use millrace_tests::postgres::Warehouse;
use millrace_tests::{Project, Servers, Service, until};

const PATIENCE: Duration = Duration::from_mins(1);

const PIPELINES: &str = r#"
topics:
  "{name}.posted": { partitions: 4 }
  "{name}.checked": { partitions: 4 }
ingest:
  posted:
    from: { http: { path: /flights, max_body: 8MiB } }
    to: { topic: "{name}.posted", schema: flight.avsc, key: [carrier, flight] }
transform:
  checked:
    from: "{name}.posted"
    steps: [ { validate: { rules: [ { not_null: [carrier] } ] } } ]
    to: { topic: "{name}.checked" }
load:
  rows:
    from: "{name}.checked"
    to: { connection: warehouse, table: flights }
"#;

const COLUMNS: [&str; 5] = ["carrier", "flight", "origin", "dest", "distance"];

#[tokio::test(flavor = "multi_thread")]
async fn every_flight_is_in_the_table_once_when_one_of_two_replicas_is_killed_for_good() {
    let servers = Servers::of_this_run();
    let project = Project::new(&servers, PIPELINES);
    project.write("flight.avsc", SCHEMA);
    let warehouse = Warehouse::of(&servers, &project).await;
    let flights = Flights::all().parts(10).next().expect("flights");
    let mut halves = flights.parts(2);
    let (few, many) = (halves.next().expect("flights"), halves.next().expect("flights"));
    let mut parts = few.parts(300);

    let ingest = Service::start(&project, "ingest");
    let mut transforms = ["a", "b"].map(|instance| Service::replica(&project, "transform", instance));
    let mut loaders = ["a", "b"].map(|instance| Service::replica(&project, "loader", instance));
    for service in [&ingest].into_iter().chain(&transforms).chain(&loaders) {
        service.ready().await;
    }
    let mut published = 0;
    let mut publish = async |part: Flights| {
        published += part.len() as u64;
        let answer = ingest.post("/flights", "application/x-ndjson", &[], part.ndjson()).await.expect("the gateway answers");
        assert!(answer.status().is_success(), "{answer:?}");
        published
    };
    let mut posted = 0;
    until("all four replicas have work", PATIENCE, async || {
        let transformed = work(&transforms, "transform", "checked").await;
        let read = [transformed, work(&loaders, "loader", "rows").await].concat();
        if read.iter().all(|&records| records > 0) {
            return Some(());
        }
        // Nothing more is posted while a rebalance keeps what was posted from being read.
        if transformed.iter().sum::<u64>() >= posted {
            let part = parts.next().unwrap_or_else(|| panic!("all is posted, and transforms and loaders have read {read:?} records"));
            posted = publish(part).await;
        }
        None
    })
    .await;

    let published = publish(many).await;
    transforms[1].kill();
    loaders[1].kill();
    assert!(warehouse.count("flights").await < published as i64, "all {published} flights were loaded before the kills");
    for part in parts {
        publish(part).await;
    }
    let all = flights.len() as i64;
    until(&format!("{all} rows"), PATIENCE, async || (warehouse.count("flights").await >= all).then_some(())).await;
    for survivor in [&mut transforms[0], &mut loaders[0]] {
        assert!(survivor.terminate().await.success(), "a replica that was left ends well");
    }
    let (rows, expected) = (warehouse.rows("flights", &COLUMNS).await, flights.rows(&COLUMNS));
    assert_eq!(rows.len(), expected.len(), "rows");
    let difference = rows.iter().zip(&expected).find(|(row, expected)| row != expected);
    assert_eq!(difference, None, "the first row that differs (there, expected)");
}

/// How many records each replica has read.
async fn work(replicas: &[Service; 2], service: &str, pipeline: &str) -> [u64; 2] {
    let [a, b] = replicas;
    [a.counted(service, pipeline, "records_in").await, b.counted(service, pipeline, "records_in").await]
}
