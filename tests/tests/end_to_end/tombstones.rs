//! A record without a value deletes the row of its key.

use std::time::Duration;

use millrace_tests::kafka::{self, KeyAndValue};
use millrace_tests::orders::{SCHEMA, order, register};
use millrace_tests::postgres::Warehouse;
use millrace_tests::{Project, Servers, Service, until};

const PIPELINES: &str = r#"
topics:
  "{name}.orders": { partitions: 1, schema: order.avsc }
transform:
  passed_on:
    from: "{name}.orders"
    steps: [ { filter: amount > 0 } ]
    to: { topic: "{name}.passed" }
    dead_letters: "{name}.dead"
load:
  newest:
    from: "{name}.passed"
    to: { connection: warehouse, table: orders }
    mode: upsert
    keys: [id]
    dead_letters: "{name}.dead"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_tombstone_deletes_the_row_of_its_key_in_the_order_of_the_records() {
    let servers = Servers::of_this_run();
    let project = Project::new(&servers, PIPELINES);
    project.write("order.avsc", SCHEMA);
    let (warehouse, topic) = (Warehouse::of(&servers, &project).await, project.topic("orders"));
    let schema = register(&servers.registry, &topic, SCHEMA).await;
    let services = ["transform", "loader"].map(|name| Service::start(&project, name));
    for service in &services {
        service.ready().await;
    }
    let write = async |records: &[KeyAndValue<'_>]| kafka::write(&servers.kafka, &topic, records).await;
    let rows_are = async |expected: &[&str]| {
        until(&format!("the rows are {expected:?}"), Duration::from_mins(1), async || {
            let there = warehouse.count("orders").await > 0;
            (there && warehouse.rows("orders", &["id", "amount"]).await == expected).then_some(())
        })
        .await;
    };
    let (ann, ben, cid) = (order(schema, "ann", 1), order(schema, "ben", 2), order(schema, "cid", 3));
    let (ann_again, ben_again) = (order(schema, "ann", 10), order(schema, "ben", 20));

    write(&[(Some(b"ann"), Some(&ann)), (Some(b"ben"), Some(&ben))]).await;
    rows_are(&["ann|1", "ben|2"]).await;
    write(&[(Some(b"ann"), None), (Some(b"nobody"), None)]).await;
    rows_are(&["ben|2"]).await;
    write(&[(Some(b"cid"), Some(&cid)), (Some(b"cid"), None), (Some(b"ben"), None), (Some(b"ben"), Some(&ben_again))]).await;
    rows_are(&["ben|20"]).await;
    write(&[(None, None), (Some(b"ann"), Some(&ann_again))]).await;
    rows_are(&["ann|10", "ben|20"]).await;

    let dead = kafka::read(&servers.kafka, &project.topic("dead")).await;
    let codes: Vec<_> = dead.iter().map(|letter| letter.header("millrace.error.code")).collect();
    assert_eq!(codes, [Some("MR0615".to_owned())], "only the tombstone without a key names no row");
}
