//! `millrace apply` and `millrace check --connected` on Apache Kafka, a real registry and PostgreSQL.

use millrace_tests::command::{Answer, run, said};
use millrace_tests::orders::SCHEMA;
use millrace_tests::postgres::Warehouse;
use millrace_tests::{Project, Servers};
use serde_json::Value;

const PIPELINES: &str = r"
topics:
  {name}.orders: { partitions: 2, replication: 1, config: { retention.ms: 86400000 } }
ingest:
  api:
    from: { http: { path: /orders } }
    to: { topic: {name}.orders, schema: order.avsc, key: id }
    dead_letters: {name}.dead
load:
  table:
    from: {name}.orders
    to: { connection: warehouse, table: orders }
    mode: upsert
    keys: [id]
    dead_letters: {name}.dead
";

fn project(servers: &Servers) -> Project {
    let project = Project::new(servers, PIPELINES);
    project.write("order.avsc", SCHEMA);
    project
}

fn json(answer: &Answer) -> Value {
    serde_json::from_str(&answer.out).unwrap_or_else(|error| panic!("{error}: {answer:#?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn apply_makes_what_is_missing_once_it_is_told_to_and_the_second_time_nothing() {
    let servers = Servers::of_this_run();
    let project = project(&servers);
    let warehouse = Warehouse::of(&servers, &project).await;

    let shown = run(&project, &["apply"]);
    assert_eq!(shown.code, Some(2), "nobody agreed, nothing is done: {shown:#?}");
    for part in ["+ topic    ", &project.topic("orders"), "2 partitions", "+ subject", "+ table", "CREATE TABLE", "Nothing was done"] {
        assert!(shown.out.contains(part), "{part}: {shown:#?}");
    }
    let planned = run(&project, &["apply", "--json"]);
    assert_eq!((planned.code, json(&planned)["changes"][0]["done"].is_null()), (Some(2), true), "{planned:#?}");

    let done = run(&project, &["apply", "--yes"]);
    assert!(done.code == Some(0) && !done.out.contains("NOT DONE"), "{done:#?}");
    assert!(said(&project, &["apply", "--yes"]).starts_with("Nothing to do"));
    assert_eq!(said(&project, &["check", "--connected", "--json"]).trim(), "[]");

    project.change("retention.ms: 86400000", "retention.ms: 3600000");
    warehouse.execute(&format!("ALTER TABLE {}.orders DROP COLUMN amount", project.name())).await;
    let found = run(&project, &["check", "--connected", "--json"]);
    let line = |text: &str| {
        let file = std::fs::read_to_string(project.folder().join("millrace.yaml")).expect("the project file");
        Value::from(file.lines().position(|line| line.contains(text)).expect("is there") + 1)
    };
    let findings = json(&found);
    let findings: Vec<_> =
        findings.as_array().expect("a list").iter().map(|one| (&one["code"], &one["severity"], one["line"].clone())).collect();
    let warning = Value::from("warning");
    assert_eq!(
        findings,
        [(&"MR0106".into(), &warning, line("partitions: 2")), (&"MR0604".into(), &warning, line("table: orders"))],
        "{found:#?}"
    );
    assert_eq!(found.code, Some(0), "the topic is used as it is, and the load adds the column with the first row: {found:#?}");

    let done = json(&run(&project, &["apply", "--yes", "--json"]));
    let altered: Vec<_> = done["changes"].as_array().expect("a list").iter().map(|one| (&one["action"], &one["done"])).collect();
    assert_eq!(altered, [(&"alter".into(), &true.into()); 2], "{done:#}");
    assert!(said(&project, &["apply"]).starts_with("Nothing to do"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_done_is_told_and_the_rest_is_done() {
    let servers = Servers::of_this_run();
    let project = project(&servers);
    Warehouse::of(&servers, &project).await;
    // No broker has so many replicas: the topic is refused, and nothing else is.
    project.change("replication: 1", "replication: 9");
    let done = run(&project, &["apply", "--yes"]);
    assert_eq!(done.code, Some(1), "{done:#?}");
    assert!(
        done.out.contains(&format!("NOT DONE  topic {}", project.topic("orders"))) && done.out.contains("done      table"),
        "{done:#?}"
    );
    project.change("replication: 9", "replication: 1");
    let rest = run(&project, &["apply", "--yes"]);
    assert!(rest.code == Some(0) && rest.out.contains("1 of 1 done."), "running it again goes on with what is left: {rest:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_all_the_facts_nothing_is_planned() {
    let servers = Servers::of_this_run();
    let project = project(&servers).with("SCHEMA_REGISTRY_URL", "http://127.0.0.1:9");
    let refused = run(&project, &["apply", "--yes"]);
    assert!(refused.code == Some(1) && refused.err.contains("nothing was done") && refused.err.contains("MR0301"), "{refused:#?}");
    let found = run(&project, &["check", "--connected", "--json"]);
    assert!(
        found.code == Some(1) && found.out.contains("MR0301") && found.out.contains("MR0204"),
        "the other servers are asked: {found:#?}"
    );
}
