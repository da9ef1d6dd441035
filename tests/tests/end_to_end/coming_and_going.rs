//! Ingests that come and go over one folder: one to four of them, started, told to end, and killed.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use millrace_tests::flights::{Flights, SCHEMA};
use millrace_tests::{Project, Servers, Service, kafka, until};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};

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
const MOST: usize = 4;
const PATIENCE: Duration = Duration::from_mins(2);

#[tokio::test(flavor = "multi_thread")]
async fn every_file_is_read_once_while_one_to_four_ingests_come_and_go() {
    let seed = std::env::var("MILLRACE_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| rand::rng().random());
    println!("MILLRACE_TEST_SEED={seed} makes the same ingests come and go");
    let mut random = SmallRng::seed_from_u64(seed);
    let servers = Servers::of_this_run();
    let project = Project::new(&servers, PIPELINES);
    project.write("flight.avsc", SCHEMA);
    let flights = Flights::all().parts(2).next().expect("flights");

    let mut ingests = Ingests::new(&project);
    ingests.start();
    for (number, part) in flights.parts(PARTS).enumerate() {
        write(&project, number, &part);
        // Not a wait for something: this is the random instant.
        tokio::time::sleep(Duration::from_millis(random.random_range(0..600))).await;
        match random.random_range(0..4) {
            0 | 1 if ingests.running.len() < MOST => ingests.start(),
            2 if ingests.running.len() > 1 => ingests.terminate(&mut random).await,
            _ => ingests.kill(&mut random),
        }
    }
    println!("{} started, {} killed, {} told to end", ingests.started, ingests.killed, ingests.ended);
    assert!(ingests.killed >= 3 && ingests.started >= 3, "too little came and went to show anything");

    let topic = project.topic("files");
    let everything = async || (kafka::read(&servers.kafka, &project.topic("manifest")).await.len() >= PARTS).then_some(());
    until("every file is in the manifest", PATIENCE, everything).await;
    while let Some(mut ingest) = ingests.running.pop() {
        assert!(ingest.terminate().await.success(), "an ingest ends well");
    }
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

/// The processes that run.
struct Ingests<'a> {
    project: &'a Project,
    running: Vec<Service>,
    started: usize,
    killed: usize,
    ended: usize,
}

impl<'a> Ingests<'a> {
    fn new(project: &'a Project) -> Self {
        Self { project, running: Vec::new(), started: 0, killed: 0, ended: 0 }
    }

    fn start(&mut self) {
        let instance = format!("i{}", self.started);
        self.running.push(Service::replica(self.project, "ingest", &instance));
        self.started += 1;
    }

    /// Kills one; another comes in the place of the last.
    fn kill(&mut self, random: &mut SmallRng) {
        let victim = random.random_range(0..self.running.len());
        self.running.remove(victim).kill();
        self.killed += 1;
        if self.running.is_empty() {
            self.start();
        }
    }

    async fn terminate(&mut self, random: &mut SmallRng) {
        let leaving = random.random_range(0..self.running.len());
        assert!(self.running.remove(leaving).terminate().await.success(), "an ingest ends well");
        self.ended += 1;
    }
}
