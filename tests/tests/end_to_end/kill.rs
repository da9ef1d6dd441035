//! Whatever is killed, whenever: nothing is lost and nothing is doubled.

use std::cell::Cell;
use std::time::Duration;

use millrace_tests::flights::{Flights, SCHEMA};
use millrace_tests::postgres::Warehouse;
use millrace_tests::service::Gateway;
use millrace_tests::{Project, Servers, Service, kafka, until};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::time::sleep;

const PIPELINES: &str = r#"
topics:
  "{name}.files": { partitions: 3 }
  "{name}.posted": { partitions: 3 }
  "{name}.checked": { partitions: 3 }
ingest:
  files:
    from: { files: { path: "in/*.csv", null: [NA] } }
    to: { topic: "{name}.files", schema: flight.avsc, key: [carrier, flight] }
  posted:
    from: { http: { path: /flights, max_body: 8MiB } }
    to: { topic: "{name}.posted", schema: flight.avsc, key: carrier }
transform:
  checked:
    from: "{name}.files"
    steps:
      - validate: { rules: [ { not_null: [carrier] }, { range: { column: distance, min: 1 } } ] }
      - sql: SELECT carrier, flight, origin, dest, tailnum, time_hour, dep_delay, arr_delay, distance FROM input
    to: { topic: "{name}.checked" }
load:
  appended:
    from: "{name}.checked"
    to: { connection: warehouse, table: appended }
  posted_rows:
    from: "{name}.posted"
    to: { connection: warehouse, table: posted }
  latest:
    from: "{name}.checked"
    to: { connection: warehouse, table: latest }
    mode: upsert
    keys: [carrier, flight, time_hour]
"#;

const COLUMNS: [&str; 9] = ["carrier", "flight", "origin", "dest", "tailnum", "time_hour", "dep_delay", "arr_delay", "distance"];
const TIME_HOUR: &str = r#"to_char(time_hour, 'YYYY-MM-DD"T"HH24:MI:SS"Z"')"#;
const FLIGHTS: usize = 80_789;
const PARTS: usize = 15;
/// Kills come at an instant of so many milliseconds.
const INSTANTS: u64 = 250;
/// So many offsets are work, and not the markers of transactions.
const WORK: i64 = 100;
/// How many kills must have hit a service at work: else the test shows nothing.
const HITS: usize = 5;
const TABLES: [&str; 3] = ["appended", "latest", "posted"];
const SERVICES: [&str; 3] = ["ingest", "transform", "loader"];
const PATIENCE: Duration = Duration::from_mins(4);

/// 80,789 flights are read from files, worked on, appended and upserted, and the same ones, posted, are appended, while
/// ingest, transform and loader are killed in turn, five times each, at a random instant of the work.
#[tokio::test(flavor = "multi_thread")]
async fn every_flight_is_in_the_table_once_however_often_services_are_killed() {
    let seed = std::env::var("MILLRACE_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| rand::rng().random());
    println!("MILLRACE_TEST_SEED={seed} kills at the same instants again");
    let servers = Servers::of_this_run();
    let project = Project::new(&servers, PIPELINES);
    project.write("flight.avsc", SCHEMA);
    let warehouse = Warehouse::of(&servers, &project).await;
    let flights = Flights::all();
    assert_eq!(flights.len(), FLIGHTS, "flights in the file");

    let mut services = SERVICES.map(|name| Service::start(&project, name));
    services[0].ready().await;
    let hits = publish_and_kill(&servers, &project, &flights, &mut services, SmallRng::seed_from_u64(seed)).await;
    assert!(hits >= HITS, "only {hits} of {PARTS} kills hit a service at work");

    let all = flights.len() as i64;
    for table in TABLES {
        until(&format!("{all} rows in {table}"), PATIENCE, async || (warehouse.count(table).await >= all).then_some(())).await;
    }
    for service in &mut services {
        assert!(service.terminate().await.success(), "the service ends well");
    }
    is_exact(&warehouse, &flights).await;
    for topic in ["files", "posted", "checked"] {
        let stored = kafka::read(&servers.kafka, &project.topic(topic)).await.len();
        assert_eq!(stored, flights.len(), "committed records of the topic {topic}");
    }
}

/// Publishes part after part, by file and by request; a service is killed while each is under way. Returns how many kills hit
/// a service that had work.
async fn publish_and_kill(
    servers: &Servers,
    project: &Project,
    flights: &Flights,
    services: &mut [Service; 3],
    mut random: SmallRng,
) -> usize {
    let mut hits = 0;
    for (number, part) in flights.parts(PARTS).enumerate() {
        let victim = number % SERVICES.len();
        let before = come(servers, project, SERVICES[victim]).await;
        project.write(&format!("in/part-{number:02}.csv"), part.csv());
        let (gateway, answered) = (services[0].gateway(), Cell::new(false));
        let posting = async {
            post(&gateway, number, &part).await;
            answered.set(true);
        };
        let instant = Duration::from_millis(random.random_range(0..INSTANTS));
        let killing = async {
            wait_for_work(servers, project, SERVICES[victim], before).await;
            // Not a wait for something: this is the random instant.
            sleep(instant).await;
            services[victim].kill();
            let at_work = (victim == 0 && !answered.get()) || waiting(servers, project, SERVICES[victim]).await > WORK;
            println!("killed {} in part {number} after {instant:?}, {}", SERVICES[victim], if at_work { "at work" } else { "idle" });
            services[victim].restart();
            at_work
        };
        hits += usize::from(tokio::join!(posting, killing).1);
    }
    hits
}

/// Waits until more has come for the service than there was `before`. A request is work at once.
async fn wait_for_work(servers: &Servers, project: &Project, service: &str, before: i64) {
    if service != "ingest" {
        let has_come = async || (come(servers, project, service).await > before + WORK).then_some(());
        until(&format!("{service} has something to read"), PATIENCE, has_come).await;
    }
}

/// The pipeline of a service that is looked at, and its topic; none of ingest.
fn input(service: &str) -> Option<(&'static str, &'static str)> {
    match service {
        "transform" => Some(("checked", "files")),
        "loader" => Some(("appended", "checked")),
        _ => None,
    }
}

/// How many offsets have come for the service.
async fn come(servers: &Servers, project: &Project, service: &str) -> i64 {
    match input(service) {
        Some((_, topic)) => kafka::length(&servers.kafka, &project.topic(topic)).await,
        None => 0,
    }
}

/// How many offsets are there for the service that it has not committed yet.
async fn waiting(servers: &Servers, project: &Project, service: &str) -> i64 {
    match input(service) {
        Some((pipeline, topic)) => kafka::lag(&servers.kafka, &format!("{}.{pipeline}", project.name()), &project.topic(topic)).await,
        None => 0,
    }
}

/// Posts until it is answered. An answer that was lost with the gateway leaves it open whether the flights are stored; the key
/// makes the repetition harmless.
async fn post(gateway: &Gateway, number: usize, part: &Flights) {
    let (body, key) = (part.ndjson(), format!("part-{number}"));
    until(&format!("part {number} is answered"), PATIENCE, async || {
        let answer = gateway.post("/flights", "application/x-ndjson", &[("idempotency-key", &key)], body.clone()).await?;
        answer.status().is_success().then_some(())
    })
    .await;
}

async fn is_exact(warehouse: &Warehouse, flights: &Flights) {
    let expected = flights.rows(&COLUMNS);
    let columns = COLUMNS.map(|column| if column == "time_hour" { TIME_HOUR } else { column });
    for table in TABLES {
        let rows = warehouse.rows(table, &columns).await;
        assert_eq!(rows.len(), expected.len(), "rows in {table}");
        let difference = rows.iter().zip(&expected).find(|(row, expected)| row != expected);
        assert_eq!(difference, None, "the first row of {table} that differs (there, expected)");
    }
}
