//! Tables that follow other tables, and tables that whole loads replace.

use std::time::Duration;

use millrace_tests::kafka::{self, KeyAndValue};
use millrace_tests::orders::{SCHEMA, integer, order, register, register_subject, text};
use millrace_tests::postgres::Warehouse;
use millrace_tests::{Project, Servers, Service, until};

const MIRROR: &str = r#"
topics:
  "{name}.customers": { partitions: 1, schema: change.avsc }
load:
  mirrored:
    from: "{name}.customers"
    to: { connection: warehouse, table: customers }
    mode: mirror
    keys: [customer]
    columns: [ { name: customer, from: id }, note, { name: kafka_offset, metadata: offset } ]
    dead_letters: "{name}.dead"
"#;

pub(crate) const CHANGE: &str = r#"{ "type": "record", "name": "Envelope", "namespace": "shop", "fields": [
    { "name": "before", "type": ["null", { "type": "record", "name": "Value", "fields": [
        { "name": "id", "type": "string" }, { "name": "note", "type": ["null", "string"] } ] }] },
    { "name": "after", "type": ["null", "Value"] },
    { "name": "op", "type": "string" } ] }"#;
pub(crate) const KEY: &str =
    r#"{ "type": "record", "name": "Key", "namespace": "shop", "fields": [ { "name": "id", "type": "string" } ] }"#;

/// A change as Debezium writes it.
pub(crate) fn change(schema: u32, op: &str, before: Option<(&str, &str)>, after: Option<(&str, &str)>) -> Vec<u8> {
    let mut value = [&[0], &schema.to_be_bytes()[..]].concat();
    for row in [before, after] {
        integer(&mut value, i64::from(row.is_some()));
        if let Some((id, note)) = row {
            text(&mut value, id);
            integer(&mut value, 1);
            text(&mut value, note);
        }
    }
    text(&mut value, op);
    value
}

pub(crate) fn key(schema: u32, id: &str) -> Vec<u8> {
    let mut key = [&[0], &schema.to_be_bytes()[..]].concat();
    text(&mut key, id);
    key
}

pub(crate) async fn rows_are(warehouse: &Warehouse, table: &str, columns: &[&str], expected: &[&str]) {
    until(&format!("the rows are {expected:?}"), Duration::from_mins(1), async || {
        let there = warehouse.count(table).await == expected.len() as i64;
        (there && warehouse.rows(table, columns).await == expected).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_follows_the_changes_that_debezium_writes() {
    let servers = Servers::of_this_run();
    let project = Project::new(&servers, MIRROR);
    project.write("change.avsc", CHANGE);
    let (warehouse, topic) = (Warehouse::of(&servers, &project).await, project.topic("customers"));
    let schema = register(&servers.registry, &topic, CHANGE).await;
    let keys = register_subject(&servers.registry, &format!("{topic}-key"), KEY).await;
    let loader = Service::start(&project, "loader");
    loader.ready().await;
    let [ann, ben] = ["ann", "ben"].map(|id| key(keys, id));
    let first = change(schema, "r", None, Some(("ann", "a")));
    let second = change(schema, "c", None, Some(("ben", "b")));
    let untold = change(schema, "u", Some(("ann", "")), Some(("ann", "__debezium_unavailable_value")));
    let broken = change(schema, "c", None, None);
    let records: [KeyAndValue<'_>; 4] =
        [(Some(&ann), Some(&first)), (Some(&ben), Some(&second)), (Some(&ann), Some(&broken)), (Some(&ann), Some(&untold))];
    kafka::write(&servers.kafka, &topic, &records).await;
    rows_are(&warehouse, "customers", &["customer", "note", "kafka_offset"], &["ann|a|3", "ben|b|1"]).await;

    let gone = change(schema, "d", Some(("ann", "")), None);
    kafka::write(&servers.kafka, &topic, &[(Some(&ann), Some(&gone)), (Some(&ann), None), (Some(&ben), None)]).await;
    let last = change(schema, "c", None, Some(("cid", "c")));
    kafka::write(&servers.kafka, &topic, &[(Some(&ann), Some(&last))]).await;
    rows_are(&warehouse, "customers", &["customer", "note", "kafka_offset"], &["cid|c|7"]).await;
    let dead = kafka::read(&servers.kafka, &project.topic("dead")).await;
    let codes: Vec<_> = dead.iter().map(|letter| letter.header("millrace.error.code")).collect();
    assert_eq!(codes, [Some("MR0616".to_owned())]);
}

const REPLACE: &str = r#"
topics:
  "{name}.snapshot": { partitions: 1, schema: order.avsc }
load:
  replaced:
    from: "{name}.snapshot"
    to: { connection: warehouse, table: snapshot }
    mode: replace
    keys: [id]
    dead_letters: "{name}.dead"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_table_shows_one_whole_load_at_a_time() {
    let servers = Servers::of_this_run();
    let project = Project::new(&servers, REPLACE);
    project.write("order.avsc", SCHEMA);
    let (warehouse, topic) = (Warehouse::of(&servers, &project).await, project.topic("snapshot"));
    let schema = register(&servers.registry, &topic, SCHEMA).await;
    let loader = Service::start(&project, "loader");
    loader.ready().await;
    let [one, two, three] = [order(schema, "a", 1), order(schema, "b", 2), order(schema, "c", 3)];
    kafka::write(&servers.kafka, &topic, &[(None, Some(&one)), (None, Some(&two))]).await;
    kafka::write_with_headers(&servers.kafka, &topic, None, &[("millrace.load.end", "monday")]).await;
    rows_are(&warehouse, "snapshot", &["id", "amount"], &["a|1", "b|2"]).await;
    kafka::write(&servers.kafka, &topic, &[(None, Some(&three))]).await;
    until("the row of the next load is kept", Duration::from_mins(1), async || {
        (warehouse.count("snapshot__loading").await == 1).then_some(())
    })
    .await;
    rows_are(&warehouse, "snapshot", &["id", "amount"], &["a|1", "b|2"]).await;
    kafka::write_with_headers(&servers.kafka, &topic, None, &[("millrace.load.end", "tuesday")]).await;
    rows_are(&warehouse, "snapshot", &["id", "amount"], &["c|3"]).await;
}
