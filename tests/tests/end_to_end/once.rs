//! `millrace run ingest --once`: what is there is read to its end, by value, and the command ends.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use millrace_tests::command::{Answer, run, said};
use millrace_tests::service::binary;
use millrace_tests::{Project, Servers, kafka};
use serde_json::{Value, json};

const PIPELINES: &str = r#"
topics:
  "{name}.orders": { partitions: 2 }
ingest:
  orders:
    from: { files: { path: "in/*", sheet: Orders, record: order } }
    to: { topic: "{name}.orders", schema: order.avsc, key: shop }
    dead_letters: "{name}.dead"
"#;

/// `shop` is not in the files that other programs wrote: it says which of them a record is from.
const SCHEMA: &str = r#"{ "type": "record", "name": "Order", "fields": [
    { "name": "id", "type": "long" },
    { "name": "customer", "type": "string" },
    { "name": "quantity", "type": "int" },
    { "name": "price", "type": { "type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2 } },
    { "name": "day", "type": { "type": "int", "logicalType": "date" } },
    { "name": "at", "type": { "type": "long", "logicalType": "local-timestamp-millis" } },
    { "name": "paid", "type": "boolean" },
    { "name": "note", "type": ["null", "string"], "default": null },
    { "name": "shop", "type": "string", "default": "web" } ] }"#;

/// What pyarrow, openpyxl, xlwt, odfpy and fastavro have written (`scripts/fixtures/format_fixtures.py`): the same five orders, of which the
/// fourth does not fit.
const OF_OTHERS: [&str; 5] = ["orders.parquet", "orders.xlsx", "orders.xls", "orders.ods", "orders-snappy.avro"];

/// An order as Avro has it: `price` is the big-endian bytes of its hundredths, `day` counts days, `at` milliseconds.
fn record(number: u64) -> Value {
    json!({
        "id": number, "customer": format!("customer {number}"), "quantity": number * 2, "price": [number * 1050 / 256, number * 1050 % 256],
        "day": 15_705 + number, "at": 1_357_059_930_000 + (number - 1) * 86_400_000, "paid": number % 2 == 1, "note": note(number), "shop": "web",
    })
}

fn note(number: u64) -> Value {
    if number.is_multiple_of(2) { json!(format!("note {number}")) } else { Value::Null }
}

fn order(number: u64) -> Value {
    json!({
        "id": number, "customer": format!("customer {number}"), "quantity": number * 2, "price": format!("{}.{:02}", number * 1050 / 100, number * 1050 % 100),
        "day": format!("2013-01-{number:02}"), "at": format!("2013-01-{number:02}T17:05:30"), "paid": number % 2 == 1, "note": note(number), "shop": "web",
    })
}

/// The same orders as this test writes them: the fourth has too large a quantity.
fn orders() -> Vec<Value> {
    let with_quantity = |mut order: Value| {
        order["quantity"] = if order["id"] == 4 { json!(3_000_000_000_u64) } else { order["quantity"].clone() };
        order
    };
    (1..=5).map(order).map(with_quantity).collect()
}

fn xml() -> String {
    let element = |(name, value): (&String, &Value)| match value {
        Value::Null => String::new(),
        Value::String(text) => format!("<{name}>{text}</{name}>"),
        other => format!("<{name}>{other}</{name}>"),
    };
    let order =
        |order: &Value| format!("<order>{}</order>\n", order.as_object().expect("an object").iter().map(element).collect::<String>());
    format!("<?xml version=\"1.0\"?>\n<shop><orders>\n{}</orders></shop>", orders().iter().map(order).collect::<String>())
}

fn project(servers: &Servers) -> Project {
    let project = Project::new(servers, PIPELINES);
    project.write("order.avsc", SCHEMA);
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../runtime/tests/fixtures/formats");
    for file in OF_OTHERS {
        project.write(&format!("in/{file}"), std::fs::read(fixtures.join(file)).expect("a fixture"));
    }
    project.write("in/orders.xml", xml());
    project.write("in/orders.json", Value::Array(orders()).to_string());
    project
}

fn once(project: &Project) -> Answer {
    run(project, &["run", "ingest", "--once"])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_once_reads_every_format_value_for_value_and_a_second_one_reads_nothing() {
    let servers = Servers::of_this_run();
    let project = project(&servers);
    let first = once(&project);
    assert_eq!(first.code, Some(0), "{first:#?}");
    for fact in ["orders", "7", "28", "complete"] {
        assert!(first.out.contains(fact), "{fact} is not told: {first:#?}");
    }
    assert!(!first.err.contains('%'), "a bar is for terminals: {first:#?}");
    let topic = project.topic("orders");
    values_are_those_of_the_files(&said(&project, &["topics", "tail", &topic, "--no-follow", "-n", "100"]));
    rejected_rows_are_dead_letters(&project);

    let length = kafka::length(&servers.kafka, &topic).await;
    let second = once(&project);
    assert!(second.code == Some(0) && second.out.contains("complete"), "{second:#?}");
    assert_eq!(kafka::length(&servers.kafka, &topic).await, length, "a second run writes nothing");
    assert_eq!(kafka::read(&servers.kafka, &project.topic("dead")).await.len(), 7, "nor another dead letter");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_once_needs_no_port_of_its_own_unless_one_is_chosen() {
    let project = Project::new(&Servers::of_this_run(), PIPELINES);
    project.write("order.avsc", SCHEMA);
    project.write("in/orders.json", "[]");
    // Where this fails another one has it.
    let _usual = TcpListener::bind("127.0.0.1:9600");
    let beside = once(&project);
    assert!(beside.code == Some(0) && beside.err.contains("the usual port is taken"), "{beside:#?}");

    let other = TcpListener::bind("127.0.0.1:0").expect("a port");
    let project = project.with("MILLRACE_ADMIN", other.local_addr().expect("an address").to_string());
    let refused = once(&project);
    assert!(refused.code != Some(0) && refused.err.contains("choose another with MILLRACE_ADMIN"), "{refused:#?}");
}

fn values_are_those_of_the_files(tail: &str) {
    let mut times: BTreeMap<u64, usize> = BTreeMap::new();
    for record in json_lines(tail) {
        let number = record["value"]["id"].as_u64().expect("an id");
        assert_eq!(record["value"], self::record(number), "{record}");
        *times.entry(number).or_default() += 1;
    }
    assert_eq!(times, [1, 2, 3, 5].map(|number| (number, 7)).into(), "each order, from each of the seven files");
}

fn rejected_rows_are_dead_letters(project: &Project) {
    let letters = json_lines(&said(project, &["dead-letters", "list", "--json"]));
    let mut told: Vec<(String, String)> = letters.iter().map(|letter| (text(&letter["topic"]), text(&letter["message"]))).collect();
    told.sort_unstable();
    let place = |file: &str| told.iter().find(|(topic, _)| topic.ends_with(file)).map(|(_, message)| message.as_str()).unwrap_or_default();
    for (file, row) in [
        ("orders.parquet", "row 4"),
        ("orders.xlsx", "sheet \"Orders\", row 5"),
        ("orders.xls", "sheet \"Orders\", row 5"),
        ("orders.ods", "sheet \"Orders\", row 5"),
        ("orders-snappy.avro", "record 4"),
        ("orders.xml", "element 4"),
        ("orders.json", "record 4"),
    ] {
        // arrow-avro says what is wrong with the value, and not in which field it is.
        let column = if file.ends_with("avro") { "not resolvable by reader schema" } else { "quantity" };
        assert!(place(file).contains(row) && place(file).contains(column), "{file}: {row}: {column}: {told:#?}");
    }
    assert_eq!(told.len(), 7, "{told:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_once_shows_a_bar_on_a_terminal_and_fails_when_a_file_is_another_one() {
    let servers = Servers::of_this_run();
    let project = project(&servers);
    project.write("in/damaged.parquet", "PAR1");
    project.write("in/other.csv", "flight,gate\n1,2\n");
    // A terminal of its own.
    let command = format!("'{}' run ingest --once", binary().display());
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", &command, "/dev/null"]).envs(project.variables()).env("TERM", "xterm");
    let output = script.stdin(Stdio::null()).output().expect("script runs");
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(shown.contains(" %  ") && shown.contains("rejected"), "no bar was shown:\n{shown}");
    assert_eq!(output.status.code(), Some(1), "{shown}");
    assert!(shown.contains("other.csv") && shown.contains("HALTED"), "{shown}");
    let records = kafka::read(&servers.kafka, &project.topic("orders")).await;
    assert_eq!(records.len(), 28, "the other files are read");
    let dead = kafka::read(&servers.kafka, &project.topic("dead")).await;
    let damaged = dead.iter().find(|letter| letter.header("millrace.error.code").as_deref() == Some("MR0409"));
    assert!(damaged.is_some_and(|letter| letter.header("millrace.error.topic").is_some_and(|file| file.ends_with("damaged.parquet"))));
}

fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
