//! Nothing from outside ends a process, and nothing vanishes: each bad record is a dead letter that says why, and the rest goes on.

use std::collections::BTreeMap;
use std::time::Duration;

use millrace_tests::flights::{Flights, SCHEMA};
use millrace_tests::kafka::{self, KeyAndValue, Read};
use millrace_tests::postgres::Warehouse;
use millrace_tests::{Project, Servers, Service, until};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_mins(1);

const PIPELINES: &str = r#"
topics:
  "{name}.raw": { partitions: 1 }
  "{name}.same": { partitions: 1 }
ingest:
  posted:
    from: { http: { path: /flights, max_body: 64KiB } }
    to: { topic: "{name}.raw", schema: flight.avsc, key: carrier }
    dead_letters: "{name}.dead"
  files:
    from: { files: { path: "in/*.csv", null: [NA] } }
    to: { topic: "{name}.raw", schema: flight.avsc, key: carrier }
    dead_letters: "{name}.dead"
transform:
  same:
    from: "{name}.raw"
    steps: [ { validate: { rules: [ { range: { column: distance, min: 1 } } ] } } ]
    to: { topic: "{name}.same" }
    dead_letters: "{name}.dead"
load:
  rows:
    from: "{name}.same"
    to: { connection: warehouse, table: flights }
    dead_letters: "{name}.dead"
"#;

/// A project with its services; all of them must still run at the end.
struct Running {
    servers: Servers,
    project: Project,
    warehouse: Warehouse,
    services: Vec<Service>,
}

impl Running {
    async fn start(names: &[&'static str]) -> Self {
        let servers = Servers::of_this_run();
        let project = Project::new(&servers, PIPELINES);
        project.write("flight.avsc", SCHEMA);
        let warehouse = Warehouse::of(&servers, &project).await;
        let services: Vec<Service> = names.iter().map(|name| Service::start(&project, name)).collect();
        for service in &services {
            service.ready().await;
        }
        Self { servers, project, warehouse, services }
    }

    async fn post(&self, content_type: &str, body: impl Into<Vec<u8>>) -> (u16, Value) {
        let answer = self.services[0].post("/flights", content_type, &[], body).await.expect("the gateway answers");
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    }

    async fn records(&self, what: &str, count: usize) -> Vec<Read> {
        let topic = self.project.topic(what);
        until(&format!("{count} records in {topic}"), PATIENCE, async || {
            let records = kafka::read(&self.servers.kafka, &topic).await;
            (records.len() >= count).then_some(records)
        })
        .await
    }

    /// How many dead letters there are of each code, once there are `count`.
    async fn dead_letters(&self, count: usize) -> BTreeMap<String, usize> {
        let mut codes = BTreeMap::new();
        for record in self.records("dead", count).await {
            *codes.entry(record.header("millrace.error.code").expect("a code")).or_default() += 1;
        }
        codes
    }

    async fn loaded(&self, count: i64) {
        until(&format!("{count} rows"), PATIENCE, async || (self.warehouse.count("flights").await == count).then_some(())).await;
    }

    fn all_run(mut self) {
        assert!(self.services.iter_mut().all(Service::runs), "a service ended");
    }
}

fn codes<const N: usize>(codes: [(&str, usize); N]) -> BTreeMap<String, usize> {
    codes.into_iter().map(|(code, count)| (code.to_owned(), count)).collect()
}

fn flight_with(field: &str, value: Value) -> Value {
    let mut flight = Flights::all().first_json();
    flight[field] = value;
    flight
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_are_not_avro_of_the_topic_are_rejected_alone() {
    let running = Running::start(&["ingest", "transform", "loader"]).await;
    running.post("application/json", flight_with("flight", json!(1)).to_string()).await;
    let good = running.records("raw", 1).await.remove(0).value.expect("a value");
    let truncated = &good[..good.len() - 3];
    let surplus = [&good[..], b"\0"].concat();
    let unframed = [b"\x01", &good[1..]].concat();
    let unknown = [&[0, 0x7f, 0xff, 0xff, 0xff][..], &good[5..]].concat();
    let records: [KeyAndValue<'_>; 8] = [
        (Some(b"UA"), Some(truncated)),
        (Some(b"UA"), Some(&surplus)),
        (Some(b"UA"), Some(&unframed)),
        (Some(b"UA"), Some(b"")),
        (Some(b"UA"), Some(&unknown)),
        (None, Some(&good)),
        (Some(b"UA"), None),
        (Some(b"UA"), Some(&good)),
    ];
    kafka::write(&running.servers.kafka, &running.project.topic("raw"), &records).await;

    running.loaded(3).await;
    let dead = running.dead_letters(6).await;
    assert_eq!(dead, codes([("MR0303", 1), ("MR0310", 2), ("MR0311", 2), ("MR0506", 1)]));
    let letters = running.records("dead", 6).await;
    assert!(letters.iter().any(|letter| letter.value.as_deref() == Some(truncated)), "the original is kept byte for byte");
    running.all_run();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_says_of_each_record_why_it_was_refused() {
    let running = Running::start(&["ingest"]).await;
    let lines = [
        flight_with("flight", json!("many")),
        flight_with("flight", json!(1)),
        flight_with("flight", json!(99_999_999_999_i64)),
        flight_with("flight", json!(1.5e300)),
        flight_with("carrier", Value::Null),
        flight_with("gate", json!("B12")),
        json!([1]),
    ];
    let mut body: Vec<u8> = lines.iter().flat_map(|line| format!("{line}\n").into_bytes()).collect();
    body.extend_from_slice(b"{\"carrier\": \"\xff\"}\n{\"carrier\":\n");
    let (status, answer) = running.post("application/x-ndjson", body).await;
    assert_eq!((status, &answer["accepted"], &answer["rejected"]), (207, &json!(1), &json!(8)), "{answer}");
    let errors = answer["errors"].as_array().expect("the errors");
    let places: Vec<_> = errors.iter().map(|error| (error["index"].as_u64(), error["field"].as_str())).collect();
    let of_fields = [(Some(0), Some("flight")), (Some(2), Some("flight")), (Some(3), Some("flight")), (Some(4), Some("carrier"))];
    assert_eq!(places[..4], of_fields, "{answer}");
    assert!(errors.iter().all(|error| !error["reason"].as_str().unwrap_or_default().is_empty()), "{answer}");
    assert_eq!(running.records("raw", 1).await.len(), 1);
    running.all_run();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_no_json_or_too_large_is_refused_and_the_gateway_goes_on() {
    let running = Running::start(&["ingest"]).await;
    for body in [&b""[..], b"{", b"\xff\xfe", b"null", b"[[[[[[[[", b"1e999999"] {
        let (status, answer) = running.post("application/json", body).await;
        assert!((400..500).contains(&status), "{body:?}: {status} {answer}");
    }
    assert_eq!(running.post("application/json", "[".repeat(100_000)).await.0, 413);
    let deep = "[".repeat(60_000);
    assert!((400..500).contains(&running.post("application/json", deep).await.0));
    assert_eq!(running.post("application/json", flight_with("flight", json!(1)).to_string()).await.0, 200);
    running.all_run();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_line_of_a_file_is_rejected_alone_and_empty_files_are_read_past() {
    let running = Running::start(&["ingest", "transform", "loader"]).await;
    let part = Flights::all().parts(20_000).next().expect("a few flights");
    let csv = part.csv();
    let (header, rows) = csv.split_once('\n').expect("a header");
    let row = rows.lines().next().expect("a row");
    let bad = [
        row.rsplit_once(',').expect("fields").0.as_bytes().to_vec(),
        format!("{row},more").into_bytes(),
        row.replacen("2013", "MMXIII", 1).into_bytes(),
        row.replacen("2013", "99999999999999999999", 1).into_bytes(),
        row.as_bytes().iter().flat_map(|byte| if *byte == b'U' { vec![0xff] } else { vec![*byte] }).collect(),
    ];
    running.project.write("in/a-empty.csv", "");
    running.project.write("in/b-header.csv", format!("{header}\n"));
    running.project.write("in/c-bad.csv", [header.as_bytes().to_vec(), bad.join(&b'\n'), row.as_bytes().to_vec(), vec![]].join(&b'\n'));
    running.project.write("in/d-good.csv", csv.clone());

    running.loaded(part.len() as i64 + 1).await;
    assert_eq!(running.dead_letters(5).await, codes([("MR0404", 2), ("MR0405", 2), ("MR0408", 1)]));
    running.all_run();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_breaks_a_rule_is_a_dead_letter_with_its_place_and_the_rest_is_loaded() {
    let running = Running::start(&["ingest", "transform", "loader"]).await;
    let flights = json!([flight_with("distance", json!(0)), flight_with("distance", json!(7))]);
    running.post("application/json", flights.to_string()).await;
    running.loaded(1).await;
    let letter = running.records("dead", 1).await.remove(0);
    assert_eq!(letter.header("millrace.error.code").as_deref(), Some("MR0504"));
    assert_eq!(letter.header("millrace.error.topic"), Some(running.project.topic("raw")));
    assert_eq!(letter.header("millrace.error.offset").as_deref(), Some("0"));
    assert_eq!(letter.key.as_deref(), Some(&b"UA"[..]));
    running.all_run();
}
