//! A mirror of Debezium's changes that parks keys: killed between the dead letter and the commit, and truncated.

use std::time::Duration;

use millrace_tests::command::{run, said};
use millrace_tests::kafka::{self, KeyAndValue};
use millrace_tests::orders::{register, register_subject};
use millrace_tests::postgres::Warehouse;
use millrace_tests::{Project, Servers, Service, until};
use serde_json::Value;

use crate::changes::{CHANGE, KEY, change, key, rows_are};

const PATIENCE: Duration = Duration::from_mins(1);
const COLUMNS: &[&str] = &["id", "note"];

const REPLAY: &[&str] = &["dead-letters", "replay", "--every", "--patch", r#"{"after": {"note": "mended"}}"#];

const MIRROR: &str = r#"
topics:
  "{name}.customers": { partitions: 1, schema: change.avsc }
load:
  mirrored:
    from: "{name}.customers"
    to: { connection: warehouse, table: customers }
    mode: mirror
    keys: [id]
    dead_letters: "{name}.dead"
    on_error: park_key
    commit_interval: 200ms
"#;

/// A record's key and value.
type Written = (Option<Vec<u8>>, Option<Vec<u8>>);

/// The topic that is mirrored, with the ids of its schemas.
struct Customers<'a> {
    servers: &'a Servers,
    topic: String,
    value: u32,
    key: u32,
}

impl<'a> Customers<'a> {
    async fn of(servers: &'a Servers, project: &Project) -> Self {
        let topic = project.topic("customers");
        kafka::create_topic(&servers.kafka, &topic, 1).await;
        let value = register(&servers.registry, &topic, CHANGE).await;
        let key = register_subject(&servers.registry, &format!("{topic}-key"), KEY).await;
        Self { servers, topic, value, key }
    }

    /// Writes changes of rows (`id`, op, note): a deletion has no note, a tombstone no op, and a truncation no id.
    async fn write(&self, changes: &[(&str, &str, &str)]) {
        let values: Vec<Written> = changes.iter().map(|change| self.record(*change)).collect();
        let records: Vec<KeyAndValue<'_>> = values.iter().map(|(key, value)| (key.as_deref(), value.as_deref())).collect();
        kafka::write(&self.servers.kafka, &self.topic, &records).await;
    }

    fn record(&self, (id, op, note): (&str, &str, &str)) -> Written {
        let (row, key) = (Some((id, note)), Some(key(self.key, id)));
        match op {
            "" => (key, None),
            "t" => (None, Some(change(self.value, op, None, None))),
            "d" => (key, Some(change(self.value, op, row, None))),
            _ => (key, Some(change(self.value, op, None, row))),
        }
    }
}

/// How many letters wait, and how many records behind them.
fn waiting(project: &Project) -> (u64, u64) {
    let stats = said(project, &["dead-letters", "stats", "--json"]);
    let counts: Vec<Value> = stats.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let sum = |what: &str| counts.iter().map(|count| count[what].as_u64().expect("a number")).sum();
    (sum("waiting"), sum("behind"))
}

async fn until_waiting(project: &Project, letters: u64, behind: u64) {
    until(&format!("{letters} letters with {behind} records behind"), PATIENCE, async || {
        (waiting(project) == (letters, behind)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_that_parks_keys_is_exact_when_it_dies_before_its_commit_and_over_truncations() {
    let servers = Servers::of_this_run();
    let project = Project::new(&servers, MIRROR);
    project.write("change.avsc", CHANGE);
    let warehouse = Warehouse::of(&servers, &project).await;
    warehouse.execute(&format!("CREATE TABLE {}.customers (id text PRIMARY KEY, note text CHECK (note <> 'bad'))", project.name())).await;
    let customers = Customers::of(&servers, &project).await;
    let mut loader = Service::start(&project, "loader");
    customers.write(&[("ann", "r", "a")]).await;
    rows_are(&warehouse, "customers", COLUMNS, &["ann|a"]).await;

    let lock = warehouse.lock("millrace_parked").await;
    customers.write(&[("ann", "u", "bad"), ("ben", "c", "b")]).await;
    until("the dead letter is durable", PATIENCE, async || {
        (!kafka::read(&servers.kafka, &project.topic("dead")).await.is_empty()).then_some(())
    })
    .await;
    loader.kill();
    assert_eq!(warehouse.rows("customers", COLUMNS).await, ["ann|a"], "it died before its commit");
    lock.rollback().await.expect("lets go");
    loader.restart();
    rows_are(&warehouse, "customers", COLUMNS, &["ann|a", "ben|b"]).await;
    // Not before: in one round the last change of a key counts, and a row that would be refused is never tried.
    customers.write(&[("ann", "u", "c"), ("ann", "d", ""), ("ann", "", "")]).await;
    until_waiting(&project, 1, 3).await;
    until("the load has passed the letter", PATIENCE, async || (run(&project, REPLAY).code == Some(0)).then_some(())).await;
    rows_are(&warehouse, "customers", COLUMNS, &["ben|b"]).await;

    customers.write(&[("ben", "u", "bad")]).await;
    until_waiting(&project, 1, 0).await;
    customers.write(&[("ben", "u", "before"), ("", "t", ""), ("cid", "c", "c"), ("ben", "c", "after")]).await;
    rows_are(&warehouse, "customers", COLUMNS, &["cid|c"]).await;
    until_waiting(&project, 1, 1).await;
    loader.kill();
    loader.restart();
    said(&project, &["dead-letters", "discard", "--every", "--reason", "for the test"]);
    rows_are(&warehouse, "customers", COLUMNS, &["ben|after", "cid|c"]).await;
    assert!(loader.terminate().await.success(), "the service ends well");
    assert_eq!(waiting(&project), (0, 0));
}
