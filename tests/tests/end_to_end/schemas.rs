//! `millrace schema` against a real registry and PostgreSQL.

use millrace_tests::command::{run, said};
use millrace_tests::orders::SCHEMA;
use millrace_tests::postgres::Warehouse;
use millrace_tests::{Project, Servers};
use serde_json::Value;

const PIPELINES: &str = r"
schemas:
  orders: { subject: {name}.orders-value }
  customers: { connection: warehouse, table: customers }
ingest:
  api:
    from: { http: { path: /orders } }
    to: { topic: {name}.orders, schema: order.avsc, key: id }
";

#[tokio::test(flavor = "multi_thread")]
async fn schemas_are_pulled_and_their_drift_is_told() {
    let servers = Servers::of_this_run();
    let project = Project::new(&servers, PIPELINES);
    project.write("order.avsc", SCHEMA);
    let warehouse = Warehouse::of(&servers, &project).await;
    let customers = format!("{}.customers", project.name());
    warehouse.execute(&format!("CREATE TABLE {customers} (id bigint PRIMARY KEY, joined timestamptz, credit numeric(10,2))")).await;

    let missing = run(&project, &["schema", "pull"]);
    assert!(missing.code == Some(1) && missing.err.contains("the registry has no versions of the subject"), "{missing:#?}");
    said(&project, &["apply", "--yes"]);
    let new = run(&project, &["schema", "pull", "--check"]);
    assert!(new.code == Some(1) && new.out.contains("`customers` is not in the project yet"), "{new:#?}");
    said(&project, &["schema", "pull"]);
    assert!(said(&project, &["schema", "pull", "--check"]).contains("as they were pulled"));
    assert!(said(&project, &["check", "--connected", "--json"]).trim() == "[]");
    let read = |name: &str| std::fs::read_to_string(project.folder().join("schemas").join(name)).expect("was written");
    let pulled: Value = serde_json::from_str(&read("customers.avsc")).expect("is JSON");
    assert_eq!(pulled["fields"][1]["type"][1]["logicalType"], "timestamp-micros");

    warehouse.execute(&format!("ALTER TABLE {customers} ADD COLUMN email text")).await;
    let drifted = run(&project, &["schema", "pull", "--check"]);
    assert!(drifted.code == Some(1) && drifted.out.contains("+ email: string or null"), "{drifted:#?}");
    let found = run(&project, &["check", "--connected", "--json"]);
    assert!(found.code == Some(0) && found.out.contains("MR0307") && found.out.contains("schema-drift"), "{found:#?}");

    let (file, subject) = (project.folder().join("order.avsc"), format!("subject:{}-value@1", project.topic("orders")));
    let file = file.to_str().expect("a path is text");
    assert!(said(&project, &["schema", "diff", file, &subject]).starts_with("No field differs."));
    let topic = format!("topic:{}", project.topic("orders"));
    project.write("order.avsc", SCHEMA.replace("\"int\"", "\"long\""));
    let differs = run(&project, &["schema", "diff", &subject, &topic]);
    assert!(differs.code == Some(1) && differs.out.contains("int → long") && differs.out.contains("(BACKWARD): yes"), "{differs:#?}");
}

#[test]
fn a_schema_is_inferred_and_an_editor_is_told_of_the_projects() {
    let project = Project::alone("version: 1\n");
    let sample = project.write("orders.csv", "id,price\n1,3.50\n2,12.00\n");
    let avro: Value = serde_json::from_str(&said(&project, &["schema", "infer", sample.to_str().expect("text")])).expect("is JSON");
    assert_eq!((&avro["name"], &avro["fields"][1]["type"]["scale"]), (&"orders".into(), &2.into()));
    said(&project, &["schema", "project", "--editor", "vscode"]);
    let settings = std::fs::read_to_string(project.folder().join(".vscode/settings.json")).expect("was written");
    let schema = std::fs::read_to_string(project.folder().join(".vscode/millrace.schema.json")).expect("was written");
    assert!(settings.contains("millrace.yaml") && schema.contains("IngestPipeline"), "{settings}");
}
