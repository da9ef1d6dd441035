//! Parquet files in S3: loaders are killed, and an independent reader finds every record once.

use std::process::Command;
use std::time::Duration;

use millrace_tests::flights::{Flights, SCHEMA};
use millrace_tests::{Project, Servers, Service, until};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::time::sleep;

const PIPELINES: &str = r#"
  lake:
    type: lake
    url: "s3://millrace/{name}"
    store: { s3: { endpoint: "${S3}", access_key_id: test, secret_access_key: hunter2 } }
topics:
  "{name}.posted": { partitions: 4 }
ingest:
  posted:
    from: { http: { path: /flights, max_body: 8MiB } }
    to: { topic: "{name}.posted", schema: flight.avsc, key: [carrier, flight] }
load:
  files:
    from: "{name}.posted"
    to: { connection: lake, table: flights }
    partition_by: { column: time_hour, by: month }
    commit_interval: 200ms
"#;

const COLUMNS: [&str; 8] = ["carrier", "flight", "origin", "dest", "tailnum", "dep_delay", "arr_delay", "distance"];
const PARTS: usize = 10;
/// Kills come at an instant of so many milliseconds.
const INSTANTS: u64 = 400;
const PATIENCE: Duration = Duration::from_mins(2);

#[tokio::test(flavor = "multi_thread")]
async fn every_flight_is_published_once_while_two_loaders_are_killed_in_turn() {
    let seed = std::env::var("MILLRACE_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| rand::rng().random());
    println!("MILLRACE_TEST_SEED={seed} kills at the same instants again");
    let mut random = SmallRng::seed_from_u64(seed);
    let endpoint = std::env::var("MILLRACE_TEST_S3").expect("MILLRACE_TEST_S3 is not set: run this by scripts/services/with-servers.sh");
    let project = Project::new(&Servers::of_this_run(), PIPELINES).with("S3", endpoint.clone());
    project.write("flight.avsc", SCHEMA);
    let lake = Lake { url: format!("s3://millrace/{}/flights", project.name()), endpoint };
    let flights = Flights::all().parts(4).next().expect("flights");

    let mut ingest = Service::start(&project, "ingest");
    let mut loaders = ["a", "b"].map(|instance| Service::replica(&project, "loader", instance));
    for service in [&ingest].into_iter().chain(&loaders) {
        service.ready().await;
    }
    for (number, part) in flights.parts(PARTS).enumerate() {
        let answer = ingest.post("/flights", "application/x-ndjson", &[], part.ndjson()).await.expect("the gateway answers");
        assert!(answer.status().is_success(), "{answer:?}");
        // Not a wait for something: this is the random instant.
        sleep(Duration::from_millis(random.random_range(0..INSTANTS))).await;
        loaders[number % 2].kill();
        loaders[number % 2].restart();
    }
    until("all flights are published", PATIENCE, async || (lake.rows().len() >= flights.len()).then_some(())).await;
    for service in loaders.iter_mut().chain([&mut ingest]) {
        assert!(service.terminate().await.success(), "the service ends well");
    }
    let (rows, expected) = (lake.rows(), flights.rows(&COLUMNS));
    assert_eq!(rows.len(), expected.len(), "rows");
    let difference = rows.iter().zip(&expected).find(|(row, expected)| row != expected);
    assert_eq!(difference, None, "the first row that differs (there, expected)");
}

/// A table, seen by delta-rs in the Python that `MILLRACE_TEST_PYTHON` names, or `python3`.
struct Lake {
    url: String,
    endpoint: String,
}

impl Lake {
    /// Its rows in a fixed order, as texts; none while there is no table.
    fn rows(&self) -> Vec<String> {
        let options = serde_json::json!({
            "AWS_ENDPOINT_URL": self.endpoint, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "hunter2", "AWS_REGION": "us-east-1",
            "AWS_ALLOW_HTTP": "true",
        });
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/end_to_end/peers/lake.py");
        let mut python = Command::new(std::env::var("MILLRACE_TEST_PYTHON").unwrap_or_else(|_| "python3".into()));
        let read = python.args([program, &self.url, &options.to_string()]).args(COLUMNS).output().expect("Python starts");
        assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
        let mut rows: Vec<String> = String::from_utf8(read.stdout).expect("is text").lines().map(str::to_owned).collect();
        rows.sort_unstable();
        rows
    }
}
