//! A warehouse of two PostgreSQL servers of which one follows the other, and takes its place when it dies.

use std::time::Duration;

use millrace_tests::orders::{SCHEMA, order, register};
use millrace_tests::postgres::{Cluster, Warehouse};
use millrace_tests::{Project, Servers, Service, kafka, until};

const PATIENCE: Duration = Duration::from_mins(1);

const LOAD: &str = r#"
topics:
  "{name}.orders": { partitions: 1, schema: order.avsc }
load:
  rows:
    from: "{name}.orders"
    to: { connection: warehouse, table: orders }
    dead_letters: "{name}.dead"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_load_goes_on_from_where_a_promoted_standby_is_which_had_missed_rows() {
    let (primary, mut servers) = (Cluster::start(), Servers::of_this_run());
    let standby = primary.followed();
    servers.postgres = primary.url();
    let hosts = format!("{},{}", standby.address(), primary.address());
    let project = Project::new(&servers, LOAD).with("DW_HOST", hosts);
    let schema = format!("schema: \"{}\"", project.name());
    project.change(&schema, &format!("{schema}\n    resilience: {{ breaker: {{ open_for: 500ms }} }}"));
    project.write("order.avsc", SCHEMA);
    let (before, topic) = (Warehouse::of(&servers, &project).await, project.topic("orders"));
    kafka::create_topic(&servers.kafka, &topic, 1).await;
    let known = register(&servers.registry, &topic, SCHEMA).await;
    let loader = Service::start(&project, "loader");
    loader.ready().await;
    let write = async |id: &str| kafka::write(&servers.kafka, &topic, &[(Some(id.as_bytes()), Some(&order(known, id, 1)))]).await;
    let rows_come = async |warehouse: &Warehouse, count: i64| {
        let told = format!("{count} orders are loaded");
        until(&told, PATIENCE, async || (warehouse.count("orders").await == count).then_some(())).await;
    };

    // The standby is named first: rows come only if it is passed over.
    write("ann").await;
    rows_come(&before, 1).await;
    rows_come(&Warehouse::at(&standby.url(), &project).await, 1).await;

    standby.run(&["stop"]);
    write("ben").await;
    rows_come(&before, 2).await;
    let group = format!("{}.rows", project.name());
    until("the group knows of both", PATIENCE, async || (kafka::committed(&servers.kafka, &group, &topic).await == Some(2)).then_some(()))
        .await;
    primary.run(&["crash"]);
    standby.run(&["start"]);
    write("cid").await;
    loader.is("waiting").await;

    standby.run(&["promote"]);
    let after = Warehouse::at(&standby.url(), &project).await;
    rows_come(&after, 3).await;
    assert_eq!(after.rows("orders", &["id"]).await, ["ann", "ben", "cid"], "each once, also the one that the standby had missed");
    assert_eq!(kafka::read(&servers.kafka, &project.topic("dead")).await, [], "dead letters");
}
