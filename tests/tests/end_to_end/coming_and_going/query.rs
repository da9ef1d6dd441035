//! One query.

use std::time::Duration;

use millrace_tests::postgres::Warehouse;
use millrace_tests::{Project, Servers, kafka, until};

use super::Ingests;

const PIPELINES: &str = r#"
topics:
  "{name}.rows": { partitions: 3 }
ingest:
  rows:
    from:
      query: { connection: warehouse, sql: "SELECT number, name, twice FROM {name}.numbered", cursor: number, interval: 200ms, delay: 0s, batch: 10 }
    to: { topic: "{name}.rows", schema: row.avsc, key: name }
"#;

const SCHEMA: &str = r#"{ "type": "record", "name": "Row", "fields": [
    { "name": "number", "type": "long" }, { "name": "name", "type": "string" }, { "name": "twice", "type": ["null", "long"], "default": null } ] }"#;

/// How many rows come at a time, and how many are always left to be read: many transactions.
const ROWS: usize = 1000;
const LEFT: usize = 3000;
/// How often ingests must have come or gone, each time after the reading had gone on.
const ROUNDS: usize = 7;
const PATIENCE: Duration = Duration::from_mins(2);

#[tokio::test(flavor = "multi_thread")]
async fn every_row_is_read_once_while_one_to_four_ingests_come_and_go() {
    let servers = Servers::of_this_run();
    let project = Project::new(&servers, PIPELINES);
    project.write("row.avsc", SCHEMA);
    let warehouse = Warehouse::of(&servers, &project).await;
    warehouse.execute(&format!("CREATE TABLE {}.numbered (number bigint PRIMARY KEY, name text, twice bigint)", project.name())).await;
    let topic = project.topic("rows");
    let mut ingests = Ingests::one(&project);

    let (mut rows, mut seen) = (0, 0);
    for round in 1.. {
        while rows < seen + LEFT {
            rows = insert(&warehouse, &project, rows).await;
        }
        seen = until("the reading goes on", PATIENCE, async || Some(read(&servers, &topic).await).filter(|&now| now > seen)).await;
        ingests.come_or_go(Duration::from_millis(800)).await;
        println!("an ingest came or went after {seen} of {rows} rows");
        if round >= ROUNDS && ingests.killed >= 2 && ingests.ended >= 1 {
            break;
        }
        assert!(round < 60, "too little came and went to show anything");
    }

    until("every row is in the topic", PATIENCE, async || (read(&servers, &topic).await >= rows).then_some(())).await;
    ingests.end().await;
    let keys: Vec<Vec<Vec<u8>>> = by_partition(kafka::read(&servers.kafka, &topic).await);
    assert!(keys.iter().all(|keys| keys.is_sorted()), "each partition's rows are in the order of the cursor");
    let mut all: Vec<Vec<u8>> = keys.concat();
    all.sort_unstable();
    assert_eq!(all, (0..rows).map(|number| name(number).into_bytes()).collect::<Vec<_>>());
}

/// How many rows are in the topic.
async fn read(servers: &Servers, topic: &str) -> usize {
    kafka::read(&servers.kafka, topic).await.len()
}

/// Appends rows; returns how many there are.
async fn insert(warehouse: &Warehouse, project: &Project, first: usize) -> usize {
    let next = first + ROWS;
    let rows = format!("SELECT n, 'row ' || lpad(n::text, 8, '0'), n * 2 FROM generate_series({first}, {next} - 1) n");
    warehouse.execute(&format!("INSERT INTO {}.numbered {rows}", project.name())).await;
    next
}

fn name(number: usize) -> String {
    format!("row {number:08}")
}

fn by_partition(records: Vec<kafka::Read>) -> Vec<Vec<Vec<u8>>> {
    let mut keys = vec![Vec::new(); 3];
    for record in records {
        keys[record.partition as usize].push(record.key.expect("a key"));
    }
    keys
}
