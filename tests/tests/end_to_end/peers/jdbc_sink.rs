//! Debezium's JDBC sink loads a topic that Millrace has written, and comes to the table that Millrace's own loader makes.

use std::time::Duration;

use millrace_tests::connect::{Connector, avro, jdbc_sink};
use millrace_tests::postgres::Warehouse;
use millrace_tests::{Project, Servers, Service, kafka, until};
use serde_json::{Map, Value, json};

const PATIENCE: Duration = Duration::from_mins(2);

const PIPELINES: &str = r#"
topics:
  "{name}.raw": { partitions: 2 }
  "{name}.parcels": { partitions: 2 }
ingest:
  parcels_api:
    from: { http: { path: /parcels } }
    to: { topic: "{name}.raw", schema: parcel.avsc, key: id }
transform:
  parcels:
    from: "{name}.raw"
    steps: [ { filter: "status <> 'LOST'" } ]
    to: { topic: "{name}.parcels" }
load:
  ours:
    from: "{name}.parcels"
    to: { connection: warehouse, table: ours }
    mode: upsert
    keys: [id]
"#;

const SCHEMA: &str = r#"{ "type": "record", "name": "Parcel", "namespace": "shop", "fields": [
    { "name": "id", "type": "string" },
    { "name": "pieces", "type": "int" },
    { "name": "grams", "type": "long" },
    { "name": "volume", "type": "double" },
    { "name": "fragile", "type": "boolean" },
    { "name": "note", "type": ["null", "string"], "default": null },
    { "name": "status", "type": { "type": "enum", "name": "Status", "symbols": ["SENT", "ARRIVED", "LOST"] } },
    { "name": "price", "type": { "type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2 } },
    { "name": "sent_on", "type": { "type": "int", "logicalType": "date" } },
    { "name": "sent_at", "type": { "type": "long", "logicalType": "timestamp-millis" } } ] }"#;

/// The columns of both tables, in the words that make their texts the same whatever the column types are.
const COLUMNS: [&str; 10] = [
    "id",
    "pieces::bigint",
    "grams::bigint",
    "volume::double precision",
    "fragile::boolean",
    "note",
    "status",
    "price::numeric(12,2)",
    "sent_on::date",
    "date_trunc('milliseconds', sent_at::timestamp)",
];

fn parcel(number: usize) -> Value {
    let status = ["SENT", "ARRIVED", "LOST"][number % 3];
    json!({
        "id": format!("p{number:03}"), "pieces": i32::MAX - number as i32, "grams": i64::MAX - number as i64,
        "volume": number as f64 / 7.0, "fragile": number.is_multiple_of(2), "note": if number.is_multiple_of(3) { Value::Null } else { json!("Grüße, 日本 🛫 'x'") },
        "status": status, "price": format!("{}.{:02}", number * 1_000, number % 100),
        "sent_on": format!("2026-{:02}-{:02}", number % 12 + 1, number % 28 + 1), "sent_at": format!("2026-01-01T00:00:{:02}.{number:03}Z", number % 60)
    })
}

fn sink(servers: &Servers, project: &Project) -> Value {
    let own = json!({
        "topics": project.topic("parcels"),
        "insert.mode": "upsert",
        "delete.enabled": "true",
        "primary.key.mode": "record_key",
        "primary.key.fields": "id",
        // The sink wants keys with fields; a key of one text column is only its text.
        "key.converter": "org.apache.kafka.connect.storage.StringConverter",
        "transforms": "key",
        "transforms.key.type": "org.apache.kafka.connect.transforms.HoistField$Key",
        "transforms.key.field": "id",
    });
    let own: Map<String, Value> = own.as_object().expect("an object").clone();
    jdbc_sink(servers, project, "theirs").into_iter().chain(own).chain(avro(servers, "value")).collect::<Map<_, _>>().into()
}

#[tokio::test(flavor = "multi_thread")]
async fn debeziums_jdbc_sink_makes_the_table_that_our_loader_makes() {
    let servers = Servers::of_this_run();
    let project = Project::new(&servers, PIPELINES);
    project.write("parcel.avsc", SCHEMA);
    let warehouse = Warehouse::of(&servers, &project).await;
    let [ingest, transform, loader] = ["ingest", "transform", "loader"].map(|name| Service::start(&project, name));
    for service in [&ingest, &transform, &loader] {
        service.ready().await;
    }
    let lines: String = (0..300).map(|number| parcel(number).to_string() + "\n").collect();
    let answer = ingest.post("/parcels", "application/x-ndjson", &[], lines).await.expect("the gateway answers");
    assert_eq!(answer.status().as_u16(), 200, "{}", answer.text().await.unwrap_or_default());

    let connector = Connector::create(&servers, project.name(), sink(&servers, &project)).await;
    same_rows(&warehouse, 200).await;

    let raw = project.topic("raw");
    kafka::write(&servers.kafka, &raw, &[(Some(b"p000"), None), (Some(b"p001"), None)]).await;
    same_rows(&warehouse, 198).await;
    assert_eq!(connector.state().await, "RUNNING");
    connector.remove().await;
}

async fn same_rows(warehouse: &Warehouse, count: i64) {
    for table in ["ours", "theirs"] {
        let what = format!("the table {table} has {count} rows");
        until(&what, PATIENCE, async || (warehouse.count(table).await == count).then_some(())).await;
    }
    assert_eq!(warehouse.rows("theirs", &COLUMNS).await, warehouse.rows("ours", &COLUMNS).await);
}
