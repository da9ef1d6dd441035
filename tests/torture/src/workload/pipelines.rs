//! The project that is tortured: files and requests into one topic, a transform, and three tables of it.

use millrace_tests::Project;

use super::record::{MOST, SCHEMA, UNWANTED};
use crate::outside::database::{Database, PASSWORD};

/// The tables, by the pipelines that load them.
pub(crate) const TABLES: [&str; 3] = ["appended", "latest", "earliest"];
/// The topics that records go through, in order.
pub(crate) const TOPICS: [&str; 2] = ["raw", "worked"];
/// The topic of dead letters.
pub(crate) const DEAD: &str = "dead";
/// The columns of the tables that are the record's own, in the order of [`super::record::Record::worked`].
pub(crate) const COLUMNS: &str = "id, customer, seq, amount, doubled, share, note";
/// The path of requests.
pub(crate) const PATH: &str = "/orders";

const FILE: &str = r#"
version: 1
name: "{name}"
kafka: { brokers: "${KAFKA_BROKERS}" }
registry: { url: "${SCHEMA_REGISTRY_URL}" }
service: { idempotency_partitions: 4 }
connections:
  warehouse:
    type: postgres
    host: "${DW_HOST}"
    port: "${DW_PORT}"
    database: postgres
    user: "{name}"
    password: "${DW_PASSWORD}"
    schema: "{name}"
topics:
  "{name}.raw": { partitions: 4, schema: order.avsc }
  "{name}.worked": { partitions: 4 }
  "{name}.dead": { partitions: 2 }
ingest:
  files:
    from: { files: { path: "in/*.ndjson", interval: 500ms } }
    to: { topic: "{name}.raw", key: customer }
    dead_letters: "{name}.dead"
  posted:
    from: { http: { path: /orders, max_body: 8MiB } }
    to: { topic: "{name}.raw", key: customer }
    dead_letters: "{name}.dead"
transform:
  worked:
    from: "{name}.raw"
    steps:
      - validate: { rules: [ { range: { column: amount, min: 0, max: {most} } } ] }
      - sql: SELECT id, customer, seq, amount, amount * 2 AS doubled, {most} / divisor AS share, note FROM input
    to: { topic: "{name}.worked" }
    dead_letters: "{name}.dead"
load:
  appended:
    from: "{name}.worked"
    to: { connection: warehouse, table: appended }
    columns: ["*", { name: kafka_partition, metadata: partition }, { name: kafka_offset, metadata: offset }]
    dead_letters: "{name}.dead"
  latest:
    from: "{name}.worked"
    to: { connection: warehouse, table: latest }
    mode: upsert
    keys: [customer]
    dead_letters: "{name}.dead"
  earliest:
    from: "{name}.worked"
    to: { connection: warehouse, table: earliest }
    mode: insert_ignore
    keys: [customer]
    dead_letters: "{name}.dead"
"#;

/// The project of an epoch, whose links lead to `kafka`, the registry at `registry` and PostgreSQL at the host and port `database`.
pub(crate) fn project(kafka: &str, registry: &str, database: (String, u16)) -> Project {
    let file = FILE.replace("{most}", &MOST.to_string());
    let project = Project::alone(&file)
        .with("KAFKA_BROKERS", kafka)
        .with("SCHEMA_REGISTRY_URL", registry)
        .with("DW_HOST", database.0)
        .with("DW_PORT", database.1.to_string())
        .with("DW_PASSWORD", PASSWORD);
    project.write("order.avsc", SCHEMA);
    project
}

/// Makes the tables, which refuse one amount by a constraint that nobody but them knows. `space` is where they keep their rows.
pub(crate) async fn make_tables(database: &Database, project: &Project, space: &str) {
    let name = project.name();
    for (table, key) in TABLES.into_iter().zip(["", ", PRIMARY KEY (customer)", ", PRIMARY KEY (customer)"]) {
        let place = if key.is_empty() { "kafka_partition integer NOT NULL, kafka_offset bigint NOT NULL," } else { "" };
        let sql = format!(
            "CREATE TABLE {name}.{table} (id text NOT NULL, customer text NOT NULL, seq bigint NOT NULL, amount integer NOT NULL,
             doubled bigint, share bigint, note text NOT NULL, {place} CHECK (amount <> {UNWANTED}){key}) {space};
             ALTER TABLE {name}.{table} OWNER TO {name}"
        );
        database.execute(&sql).await;
    }
    database.execute(&format!("CREATE INDEX ON {name}.appended (id)")).await;
}
