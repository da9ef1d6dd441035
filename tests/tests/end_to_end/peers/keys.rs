//! Keys of several columns: fastavro and Java's Avro read those that Millrace writes, and rows are deleted by those that they write.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use millrace_tests::postgres::Warehouse;
use millrace_tests::{Project, Servers, Service, kafka, until};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_mins(1);

const PIPELINES: &str = r#"
topics:
  "{name}.orders": { partitions: 1 }
ingest:
  posted:
    from: { http: { path: /orders } }
    to: { topic: "{name}.orders", schema: order.avsc, key: [shop, number, day] }
load:
  orders:
    from: "{name}.orders"
    to: { connection: warehouse, table: orders }
    mode: upsert
    keys: [shop, number, day]
"#;

const SCHEMA: &str = r#"{ "type": "record", "name": "Order", "namespace": "shop", "fields": [
    { "name": "day", "type": { "type": "int", "logicalType": "date" } }, { "name": "amount", "type": "double" },
    { "name": "number", "type": "long" }, { "name": "shop", "type": "string" } ] }"#;

/// Reads lines of a schema and a record in hexadecimal, and answers the record as JSON and as fastavro writes it.
const FASTAVRO: &str = "
import datetime, fastavro, io, json, sys
for line in sys.stdin:
    schema, record = line.rstrip('\\n').split('\\t')
    schema, bytes = fastavro.parse_schema(json.loads(schema)), io.BytesIO(bytearray.fromhex(record))
    value, again = fastavro.schemaless_reader(bytes, schema), io.BytesIO()
    assert not bytes.read(), 'bytes follow the record'
    fastavro.schemaless_writer(again, schema, value)
    print(json.dumps(value, default=str) + '\\t' + again.getvalue().hex())
";

fn order(number: i64) -> Value {
    json!({ "shop": format!("Köln {number}"), "number": (number - 2) * 3_000_000_000, "day": format!("2026-11-{:02}", number + 1), "amount": 1.5 })
}

/// What a program answers to lines.
fn answers(command: &mut Command, lines: String) -> Vec<String> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts; scripts/setup.sh test installs it");
    let mut input = child.stdin.take().expect("an input");
    let writing = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{command:?} failed");
    writing.join().expect("does not panic").expect("it reads");
    String::from_utf8(output.stdout).expect("text").lines().map(str::to_owned).collect()
}

fn of_java(schema: &str, records: &[String]) -> Vec<String> {
    let libraries = std::env::var("MILLRACE_TEST_JAVA_KAFKA_LIBS").expect("MILLRACE_TEST_JAVA_KAFKA_LIBS is set; make test sets it");
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../runtime/tests/implementations/Transcode.java");
    let mut java = Command::new("java");
    java.args(["-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", &format!("{libraries}/*")]).arg(program);
    answers(&mut java, records.iter().map(|record| format!("{schema}\t{schema}\t{record}\n")).collect())
}

fn of_fastavro(schema: &str, records: &[String]) -> Vec<(Value, String)> {
    let mut python = Command::new(std::env::var("MILLRACE_TEST_PYTHON").unwrap_or_else(|_| "python3".into()));
    let lines = answers(python.args(["-c", FASTAVRO]), records.iter().map(|record| format!("{schema}\t{record}\n")).collect());
    let answer = |line: &String| {
        let (value, record) = line.split_once('\t').expect("two parts");
        (serde_json::from_str(value).expect("JSON"), record.to_owned())
    };
    lines.iter().map(answer).collect()
}

/// The schema of the id in Confluent's framing, in one line; it is the one of the topic's keys.
async fn key_schema(servers: &Servers, topic: &str, key: &[u8]) -> String {
    assert_eq!(key[0], 0, "framed");
    let id = u32::from_be_bytes(key[1..5].try_into().expect("an id"));
    let get = async |path: &str| -> Value {
        reqwest::get(format!("{}/{path}", servers.registry)).await.expect("the registry answers").json().await.expect("JSON")
    };
    assert_eq!(get(&format!("subjects/{topic}-key/versions/latest")).await["id"], id);
    let schema: Value = serde_json::from_str(get(&format!("schemas/ids/{id}")).await["schema"].as_str().expect("a schema")).expect("JSON");
    schema.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_several_columns_are_read_and_written_by_fastavro_and_by_java() {
    let servers = Servers::of_this_run();
    let project = Project::new(&servers, PIPELINES);
    project.write("order.avsc", SCHEMA);
    let (warehouse, topic) = (Warehouse::of(&servers, &project).await, project.topic("orders"));
    let [ingest, loader] = ["ingest", "loader"].map(|name| Service::start(&project, name));
    ingest.ready().await;
    loader.ready().await;
    let orders: Vec<Value> = (0..5).map(order).collect();
    let answer = ingest.post("/orders", "application/json", &[], json!(orders).to_string()).await.expect("the gateway answers");
    assert_eq!(answer.status().as_u16(), 200);
    until("five rows", PATIENCE, async || (warehouse.count("orders").await == 5).then_some(())).await;

    let keys: Vec<Vec<u8>> = kafka::read(&servers.kafka, &topic).await.into_iter().map(|record| record.key.expect("a key")).collect();
    let schema = key_schema(&servers, &topic, &keys[0]).await;
    let bodies: Vec<String> = keys.iter().map(|key| millrace_tests::traces::hex(&key[5..])).collect();
    let by_python = of_fastavro(&schema, &bodies);
    let expected: Vec<Value> =
        orders.iter().map(|order| json!({ "shop": order["shop"], "number": order["number"], "day": order["day"] })).collect();
    assert_eq!(by_python.iter().map(|(value, _)| value.clone()).collect::<Vec<_>>(), expected);
    let by_java = of_java(&schema, &bodies);

    // Each of them deletes two rows by keys of its own writing.
    let framed = |body: &str| [&keys[0][..5], &bytes(body)].concat();
    let written = [&by_python[0].1, &by_python[1].1, &by_java[2], &by_java[3]].map(|body| framed(body));
    let tombstones: Vec<kafka::KeyAndValue<'_>> = written.iter().map(|key| (Some(key.as_slice()), None)).collect();
    kafka::write(&servers.kafka, &topic, &tombstones).await;
    until("four rows are deleted", PATIENCE, async || (warehouse.count("orders").await == 1).then_some(())).await;
    assert_eq!(warehouse.rows("orders", &["shop", "number", "day"]).await, ["Köln 4|6000000000|2026-11-05"]);
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal")).collect()
}
