//! What a person types beside a running `millrace dev`, and what they are told.

use std::time::Duration;

use millrace_tests::command::{run, said};
use millrace_tests::orders::SCHEMA;
use millrace_tests::{Project, Service, until};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_mins(1);

const PROJECT: &str = r#"
version: 1
name: shop
connections:
  warehouse: { type: postgres, host: warehouse.invalid, database: shop, user: shop, password: secret }
topics:
  orders: { partitions: 2 }
ingest:
  files:
    from: { files: { path: "in/*.csv" } }
    to: { topic: orders, schema: order.avsc, key: id }
transform:
  checked:
    from: orders
    steps:
      - validate: { rules: [ { range: { column: amount, min: 0 } } ] }
      - filter: amount > 0
    to: { topic: checked }
load:
  table:
    from: checked
    to: { connection: warehouse, table: orders }
"#;

/// Two good orders; one whose amount is no number, one below zero, and one of nothing, which the filter drops.
const ORDERS: &str = "id,amount\nann,10\nben,many\ncid,0\ndot,-5\neve,20\n";

/// A `millrace dev` that has taken the orders their way.
async fn shop() -> (Project, Service) {
    let project = Project::alone(PROJECT);
    project.write("order.avsc", SCHEMA);
    project.write("in/orders.csv", ORDERS);
    let dev = Service::dev(&project);
    dev.ready().await;
    until("both good orders are loaded", PATIENCE, async || (dev.counted("loader", "table", "records_out").await == 2).then_some(())).await;
    (project, dev)
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_tell_what_became_of_every_record_of_a_running_dev() {
    let (project, mut dev) = shop().await;
    every_record_went_one_way(&project, &dev).await;
    topics_are_listed_and_read(&project);
    dead_letters_are_listed_and_shown(&project);
    the_warehouse_is_asked(&project);
    assert!(dev.terminate().await.success(), "dev ends well");
}

/// In is loaded and filtered and dead letters, by the metrics and by the table.
async fn every_record_went_one_way(project: &Project, dev: &Service) {
    let ways = [("ingest", "files"), ("transform", "checked"), ("loader", "table")];
    let mut counts = Vec::new();
    for (service, pipeline) in ways {
        for what in ["records_in", "records_out", "records_filtered", "records_rejected"] {
            counts.push(dev.counted(service, pipeline, what).await);
        }
    }
    assert_eq!(counts, [5, 4, 0, 1, 4, 2, 1, 1, 2, 2, 0, 0], "in, out, filtered and rejected of {ways:?}");
    let loaded = said(project, &["query", "SELECT count(*) AS orders FROM orders"]);
    assert!(loaded.lines().any(|line| line.trim() == "2"), "{loaded}");
    assert_eq!(letters(project, &[]).len(), 2);
}

fn topics_are_listed_and_read(project: &Project) {
    let listed = said(project, &["topics", "list"]);
    for topic in ["orders", "checked", "millrace.dead-letters"] {
        assert!(listed.contains(topic), "{topic} is not listed:\n{listed}");
    }
    let mut values: Vec<Value> = json_lines(&said(project, &["topics", "tail", "checked", "--no-follow"]));
    values.sort_by_key(|record| record["key"].to_string());
    let told: Vec<_> = values.iter().map(|record| (&record["key"], &record["value"])).collect();
    let (ann, eve) = (json!({ "id": "ann", "amount": 10 }), json!({ "id": "eve", "amount": 20 }));
    assert_eq!(told, [(&json!("ann"), &ann), (&json!("eve"), &eve)]);
    let newest = json_lines(&said(project, &["topics", "tail", "checked", "--no-follow", "-n", "1"]));
    assert_eq!(newest.len(), 1, "a transaction's marker is not taken for a record: {newest:?}");
    let missing = run(project, &["topics", "tail", "chekced", "--no-follow"]);
    assert!(missing.code == Some(1) && missing.err.contains("chekced"), "{missing:#?}");
}

fn dead_letters_are_listed_and_shown(project: &Project) {
    let letter = |pipeline: &str| letters(project, &["--pipeline", pipeline]);
    let (ben, dot) = (letter("files"), letter("checked"));
    assert_eq!(facts(&ben), [json!(["shop.files", "MR0404"])]);
    assert_eq!(facts(&dot), [json!(["shop.checked", "MR0504"])]);
    assert_eq!(facts(&letter("table")), [] as [Value; 0]);
    let table = said(project, &["dead-letters", "list"]);
    assert!(table.contains("MR0404") && table.contains("MR0504") && table.contains("2 dead letters"), "{table}");

    let shown = said(project, &["dead-letters", "show", dot[0]["id"].as_str().expect("an id")]);
    for part in ["shop.checked", "MR0504", "orders", "Mend the record", "dot", "-5"] {
        assert!(shown.contains(part), "{part} is not shown:\n{shown}");
    }
    let unknown = run(project, &["dead-letters", "show", "7:777"]);
    assert!(unknown.code == Some(1) && unknown.err.contains("dead-letters list"), "{unknown:#?}");
}

fn the_warehouse_is_asked(project: &Project) {
    let answer = said(project, &["query", "SELECT id, amount FROM orders ORDER BY id"]);
    let (ann, eve) = (answer.find("ann"), answer.find("eve"));
    assert!(ann.is_some() && ann < eve && answer.contains("amount") && answer.contains("2 rows"), "{answer}");
    let wrong = run(project, &["query", "SELECT nothing FROM orders"]);
    assert!(wrong.code == Some(1) && wrong.err.contains("nothing"), "{wrong:#?}");
    let unknown = run(project, &["query", "--connection", "warehose", "SELECT 1"]);
    assert!(unknown.code == Some(1) && unknown.err.contains("it has warehouse"), "{unknown:#?}");
}

#[test]
fn check_says_that_a_project_is_sound_or_where_it_is_broken_and_what_was_meant() {
    let project = Project::alone(PROJECT);
    project.write("order.avsc", SCHEMA);
    let sound = run(&project, &["check", "--json"]);
    assert_eq!((sound.code, findings(&sound.out)), (Some(0), vec![]), "{sound:#?}");
    assert!(said(&project, &["check"]).contains("The project is sound."));

    project.change("filter: amount > 0", "filter: amuont > 0");
    let broken = run(&project, &["check", "--json"]);
    assert_eq!(broken.code, Some(1), "{broken:#?}");
    let found = findings(&broken.out);
    let place = ["severity", "code", "file", "line", "column", "help"].map(|fact| found[0][fact].clone());
    let file = place[2].as_str().expect("a file");
    assert!(file.ends_with("millrace.yaml"), "{broken:#?}");
    let line = 1 + PROJECT.lines().position(|line| line.contains("- filter:")).expect("the filter");
    assert_eq!(place, [json!("error"), json!("MR0501"), json!(file), json!(line), json!(17), json!("did you mean `amount`?")]);
    for command in [&["dev", "--in-memory"][..], &["run", "loader"], &["topics", "list"]] {
        let refused = run(&project, command);
        assert!(refused.code == Some(1) && refused.err.contains("amuont"), "{command:?}: {refused:#?}");
    }
}

fn findings(text: &str) -> Vec<Value> {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("no findings: {error}: {text}"))
}

fn letters(project: &Project, filter: &[&str]) -> Vec<Value> {
    json_lines(&said(project, &[&["dead-letters", "list", "--json"], filter].concat()))
}

fn facts(letters: &[Value]) -> Vec<Value> {
    letters.iter().map(|letter| json!([letter["pipeline"], letter["code"]])).collect()
}

fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}
