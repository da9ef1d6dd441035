//! Schemas pulled from a registry and databases into a project's folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use millrace_connectors::Connection;
use millrace_model::Code;
use millrace_provision::pull::{Drift, DriftKind, Pulled, SchemaFolder, pull};
use millrace_runtime::project::{PulledSchema, SchemaLock};
use serde_json::{Value, from_value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions};

use crate::project::{note, orders};
use crate::servers::Place;

fn wanted(schemas: Value) -> BTreeMap<String, PulledSchema> {
    from_value(schemas).expect("is a section of the project file")
}

async fn pull_all(place: &Place, wanted: &BTreeMap<String, PulledSchema>) -> Vec<Pulled> {
    let mut pulled = Vec::new();
    for (name, one) in wanted {
        pulled.push(pull(name, one, &place.registry, &place.connections).await.unwrap_or_else(|fault| panic!("{name}: {fault}")));
    }
    pulled
}

fn drifts(folder: &Path, pulled: &[Pulled]) -> Vec<Drift> {
    let schemas = SchemaFolder::open(folder).expect("opens");
    pulled.iter().filter_map(|one| schemas.drift(one)).collect()
}

fn written(folder: &Path, name: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(PulledSchema::file(folder, name)).expect("was written")).expect("is JSON")
}

async fn execute(file: &Path, sql: &str) {
    let mut connection = SqliteConnectOptions::new().filename(file).create_if_missing(true).connect().await.expect("opens");
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.expect("the statement runs");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_pulled_is_seen_to_drift_until_it_is_pulled_again() {
    let mut place = Place::built_in().await;
    let folder = tempfile::tempdir().expect("a folder");
    let (folder, file) = (folder.path(), folder.path().join("shop.db"));
    place.connections.insert("shop".into(), Connection::embedded(&file));
    execute(&file, "CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT NOT NULL)").await;
    place.registry.register("orders-value", &orders(&[])).await.expect("is registered");
    let wanted = wanted(json!({
        "orders": { "subject": "orders-value" },
        "customers": { "connection": "shop", "table": "customers" },
        "names": { "connection": "shop", "query": "SELECT name FROM customers", "not_null": ["name"] },
    }));

    let first = pull_all(&place, &wanted).await;
    assert!(drifts(folder, &first).iter().all(|drift| drift.kind == DriftKind::New));
    SchemaFolder::open(folder).expect("opens").write(&first, &wanted).expect("writes");
    assert_eq!(drifts(folder, &first), []);
    assert_eq!(written(folder, "names")["fields"], json!([{ "name": "name", "type": "string" }]));
    let lock = SchemaLock::read(&PulledSchema::lock_file(folder)).expect("reads");
    assert_eq!((lock.schemas["orders"].version, lock.schemas.len()), (Some(1), 3));

    execute(&file, "ALTER TABLE customers ADD COLUMN email TEXT").await;
    place.registry.register("orders-value", &orders(&[note()])).await.expect("is registered");
    let second = pull_all(&place, &wanted).await;
    let told: Vec<String> = drifts(folder, &second).iter().map(Drift::message).collect();
    assert_eq!(told.len(), 2, "the query does not read the new column: {told:?}");
    assert!(told[0].contains("`customers`") && told[0].contains("+ email: string or null"), "{told:?}");
    assert!(told[1].contains("`orders`") && told[1].contains("+ note"), "{told:?}");
    SchemaFolder::open(folder).expect("opens").write(&second, &wanted).expect("writes");
    assert_eq!(drifts(folder, &second), []);
    assert_eq!(written(folder, "orders")["fields"].as_array().map(Vec::len), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_changed_by_hand_has_drifted() {
    let place = Place::built_in().await;
    let folder = tempfile::tempdir().expect("a folder");
    place.registry.register("orders-value", &orders(&[])).await.expect("is registered");
    let wanted = wanted(json!({ "orders": { "subject": "orders-value", "version": 1 } }));
    let pulled = pull_all(&place, &wanted).await;
    SchemaFolder::open(folder.path()).expect("opens").write(&pulled, &wanted).expect("writes");
    let mut changed = written(folder.path(), "orders");
    changed["fields"][0]["type"] = json!("int");
    fs::write(PulledSchema::file(folder.path(), "orders"), changed.to_string()).expect("writes");
    let drifts = drifts(folder.path(), &pulled);
    assert!(drifts[0].message().contains("~ id: int → long"), "{drifts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_otherwise_and_read_alike_is_renewed_and_what_has_no_end_is_told() {
    let place = Place::built_in().await;
    let folder = tempfile::tempdir().expect("a folder");
    place.registry.register("orders-value", &orders(&[])).await.expect("is registered");
    let wanted = wanted(json!({ "orders": { "subject": "orders-value", "version": 1 } }));
    let mut pulled = pull_all(&place, &wanted).await;
    SchemaFolder::open(folder.path()).expect("opens").write(&pulled, &wanted).expect("writes");
    pulled[0].avro["doc"] = json!("What was ordered.");
    assert_eq!(drifts(folder.path(), &pulled)[0].kind, DriftKind::Renewed);
    pulled[0].avro["fields"][0]["type"] = json!(["null", pulled[0].avro["name"]]);
    let drifts = drifts(folder.path(), &pulled);
    assert!(drifts[0].message().contains("recursive"), "{drifts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_pulled_is_told_with_what_is_missing() {
    let place = Place::built_in().await;
    let wanted = wanted(json!({
        "gone": { "subject": "gone-value" },
        "nowhere": { "connection": "warehouse", "query": "SELECT 1 AS one", "not_null": ["two"] },
        "unknown": { "connection": "shop", "table": "orders" },
    }));
    let fault = async |name: &str| pull(name, &wanted[name], &place.registry, &place.connections).await.expect_err("is not there");
    let gone = fault("gone").await;
    assert!(gone.code() == Code::SchemaUnknown && gone.message().contains("gone-value"), "{gone}");
    assert_eq!(fault("unknown").await.code(), Code::ProjectFlow);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_registry_and_postgresql_are_pulled_from() {
    let place = Place::real();
    let folder = tempfile::tempdir().expect("a folder");
    let subject = format!("{}-value", place.name);
    place.registry.register(&subject, &orders(&[note()])).await.expect("is registered");
    place.connections["warehouse"].define(&["CREATE TEMPORARY TABLE nothing (a integer)".into()]).await.expect("PostgreSQL answers");
    let wanted = wanted(json!({
        "orders": { "subject": subject },
        "numbers": { "connection": "warehouse", "query": "SELECT 1::bigint AS id, 1.5::numeric(6,2) AS price", "not_null": ["id"] },
    }));
    let pulled = pull_all(&place, &wanted).await;
    SchemaFolder::open(folder.path()).expect("opens").write(&pulled, &wanted).expect("writes");
    assert_eq!(drifts(folder.path(), &pull_all(&place, &wanted).await), []);
    assert_eq!(&written(folder.path(), "orders"), orders(&[note()]).avro());
    assert_eq!(written(folder.path(), "numbers")["fields"][0], json!({ "name": "id", "type": "long" }));
}
