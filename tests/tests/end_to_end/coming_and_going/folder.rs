//! One folder.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use millrace_tests::flights::{Flights, SCHEMA};
use millrace_tests::{Project, Servers, kafka, until};

use super::Ingests;

const PIPELINES: &str = r#"
topics:
  "{name}.files": { partitions: 3 }
  "{name}.manifest": { partitions: 1 }
ingest:
  files:
    from: { files: { path: "in/*", null: [NA], manifest: "{name}.manifest", interval: 500ms } }
    to: { topic: "{name}.files", schema: flight.avsc, key: [carrier, flight] }
"#;

const PARTS: usize = 24;
const PATIENCE: Duration = Duration::from_mins(2);

#[tokio::test(flavor = "multi_thread")]
async fn every_file_is_read_once_while_one_to_four_ingests_come_and_go() {
    let servers = Servers::of_this_run();
    let project = Project::new(&servers, PIPELINES);
    project.write("flight.avsc", SCHEMA);
    let flights = Flights::all().parts(2).next().expect("flights");

    let mut ingests = Ingests::one(&project);
    for (number, part) in flights.parts(PARTS).enumerate() {
        write(&project, number, &part);
        ingests.come_or_go(Duration::from_millis(600)).await;
    }
    while ingests.killed < 3 {
        ingests.come_or_go(Duration::from_millis(600)).await;
    }

    let topic = project.topic("files");
    let everything = async || (kafka::read(&servers.kafka, &project.topic("manifest")).await.len() >= PARTS).then_some(());
    until("every file is in the manifest", PATIENCE, everything).await;
    ingests.end().await;
    let records = kafka::read(&servers.kafka, &topic).await;
    assert_eq!(records.len(), flights.len(), "committed records");
    let mut times: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
    for record in records {
        *times.entry(record.value.expect("a value")).or_default() += 1;
    }
    let expected = flights.rows(&["carrier", "flight", "origin", "time_hour", "tailnum", "dep_delay"]);
    let expected: BTreeSet<&String> = expected.iter().collect();
    assert!(times.len() >= expected.len(), "{} records that differ, of {}", times.len(), expected.len());
    let manifest = kafka::read(&servers.kafka, &project.topic("manifest")).await;
    let files: BTreeSet<_> = manifest.iter().map(|record| record.key.clone().expect("a key")).collect();
    assert_eq!((manifest.len(), files.len()), (PARTS, PARTS), "each file is in the manifest once");
}

/// One part as a file that appears at once: plain text, and every third compressed.
fn write(project: &Project, number: usize, part: &Flights) {
    match number % 3 {
        0 => project.write(&format!("in/part-{number:02}.csv"), part.csv()),
        1 => project.write(&format!("in/part-{number:02}.ndjson"), part.ndjson()),
        _ => project.write(&format!("in/part-{number:02}.csv.gz"), gzip(part.csv().as_bytes())),
    };
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut child = Command::new("gzip").arg("-c").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("gzip runs");
    let mut input = child.stdin.take().expect("an input");
    let text = text.to_vec();
    let writer = std::thread::spawn(move || input.write_all(&text));
    let packed = child.wait_with_output().expect("gzip ends").stdout;
    writer.join().expect("writes").expect("gzip reads");
    packed
}
