//! A Kafka Streams program, `exactly_once_v2`, stands between two of Millrace's pipelines: it reads what the first has written,
//! and the second loads what it writes.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use millrace_tests::flights::{Flights, SCHEMA};
use millrace_tests::postgres::Warehouse;
use millrace_tests::{Project, Servers, Service, until};

const PIPELINES: &str = r#"
topics:
  "{name}.raw": { partitions: 3 }
  "{name}.late": { partitions: 3, schema: late.avsc }
ingest:
  files:
    from: { files: { path: "in/*.csv", null: [NA] } }
    to: { topic: "{name}.raw", schema: flight.avsc, key: carrier }
load:
  late:
    from: "{name}.late"
    to: { connection: warehouse, table: late }
"#;

/// What the program writes: `Late` in `LateFlights.java`.
const LATE: &str = r#"{"type":"record","name":"Late","fields":[{"name":"carrier","type":"string"},{"name":"flight","type":"int"},{"name":"origin","type":"string"},{"name":"hours","type":"double"}]}"#;

/// The program; it ends with this value.
struct Program(Child);

impl Program {
    fn start(servers: &Servers, project: &Project) -> Self {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/end_to_end/peers/LateFlights.java");
        let libraries = std::env::var("MILLRACE_TEST_JAVA_KAFKA_LIBS").expect("MILLRACE_TEST_JAVA_KAFKA_LIBS is set; make test sets it");
        let child = Command::new("java")
            .args(["-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", &format!("{libraries}/*")])
            .arg(source)
            .args([&servers.kafka, &servers.registry, &project.topic("raw"), &project.topic("late")])
            .arg(project.folder().join("streams"))
            .stdin(Stdio::null())
            .spawn()
            .expect("java starts; scripts/setup.sh test installs it");
        Self(child)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kafka_streams_program_reads_what_we_write_and_we_read_what_it_writes() {
    let servers = Servers::of_this_run();
    let project = Project::new(&servers, PIPELINES);
    project.write("flight.avsc", SCHEMA);
    project.write("late.avsc", LATE);
    let warehouse = Warehouse::of(&servers, &project).await;
    let flights = Flights::all().parts(20).next().expect("flights");
    project.write("in/flights.csv", flights.csv());
    let services = ["ingest", "loader"].map(|name| Service::start(&project, name));
    for service in &services {
        service.ready().await;
    }
    let _program = Program::start(&servers, &project);

    let late: Vec<String> = late(&flights.csv());
    until("every late flight is in the table", Duration::from_mins(2), async || {
        (warehouse.count("late").await >= late.len() as i64).then_some(())
    })
    .await;
    assert_eq!(warehouse.rows("late", &["carrier", "flight", "origin", "round(hours::numeric, 3)"]).await, late);
}

/// The flights that left more than an hour late, as the rows they become.
fn late(csv: &str) -> Vec<String> {
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let header = reader.headers().expect("a header").clone();
    let column = |name: &str| header.iter().position(|column| column == name).expect("a column");
    let [carrier, flight, origin, delay] = ["carrier", "flight", "origin", "dep_delay"].map(column);
    let late = reader.records().map(|row| row.expect("a row")).filter_map(|row| {
        let hours = row[delay].parse::<f64>().ok()? / 60.0;
        (hours > 1.0).then(|| format!("{}|{}|{}|{hours:.3}", &row[carrier], &row[flight], &row[origin]))
    });
    let mut late: Vec<String> = late.collect();
    late.sort_unstable();
    late
}
