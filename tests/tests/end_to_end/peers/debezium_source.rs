//! Debezium captures a table of PostgreSQL, and a mirroring load makes the same table of what it writes.

use std::time::Duration;

use millrace_tests::command::said;
use millrace_tests::connect::{Connector, avro};
use millrace_tests::postgres::Warehouse;
use millrace_tests::{Project, Servers, Service, kafka, until};
use serde_json::{Map, Value, json};

const PATIENCE: Duration = Duration::from_mins(1);

/// Debezium names a topic `<prefix>.<schema>.<table>`; prefix and schema are the project's name.
const PIPELINES: &str = r#"
schemas:
  change: { subject: "{name}.{name}.theirs-value" }
topics:
  "{name}.{name}.theirs": { partitions: 3, schema: schemas/change.avsc }
load:
  ours:
    from: "{name}.{name}.theirs"
    to: { connection: warehouse, table: ours }
    mode: mirror
    keys: [shop, id]
    dead_letters: "{name}.dead"
"#;

/// The values of `story` are stored outside of their row, uncompressed: a change that leaves them as they are does not tell them.
const TABLE: &str = "
    CREATE TABLE {name}.theirs (
        shop text, id bigint, pieces integer NOT NULL, small smallint, weight double precision, ratio real, fragile boolean NOT NULL,
        price numeric(12,2), note text, sent_on date, sent_at timestamp(3), seen_at timestamptz NOT NULL, token uuid, extra jsonb, seal bytea,
        story text, PRIMARY KEY (shop, id));
    ALTER TABLE {name}.theirs ALTER COLUMN story SET STORAGE EXTERNAL";

const ROWS: &str = "INSERT INTO {name}.theirs
    SELECT (ARRAY['berlin','köln','日本'])[n % 3 + 1], n, 2147483647 - n, -n, n / 7.0::float8, n / 3.0::float4, n % 2 = 0, n * 1000.01, CASE WHEN n % 3 > 0 THEN 'Grüße ' || n END,
        date '1969-12-30' + n, timestamp '2026-01-01 00:00:00.001' + n * interval '1 day 1 ms', timestamptz '2026-01-01 00:00:00.001+02' + n * interval '1 h',
        gen_random_uuid(), jsonb_build_object('n', n, 'tags', jsonb_build_array('a', n)), decode(md5(n::text), 'hex'), repeat(md5(n::text), 300)
    FROM generate_series({rows}) n";

/// The columns of both tables, in the words that make their texts the same whatever the column types are.
const COLUMNS: [&str; 16] = [
    "shop",
    "id",
    "pieces",
    "small",
    "weight",
    "ratio",
    "fragile",
    "price::numeric(12,2)",
    "note",
    "sent_on",
    "sent_at::timestamp",
    "seen_at::timestamptz",
    "token",
    "extra::jsonb",
    "seal",
    "md5(story)",
];

/// All that happens to the table while Debezium watches, the loader being killed before each. A row with another key is a new row
/// for who follows: it has all of its values where the change tells them, or the replica identity is full.
const CHANGES: [&str; 4] = [
    "UPDATE {name}.theirs SET note = 'seen', price = -price, seen_at = seen_at + interval '1 s', sent_on = NULL WHERE id % 4 = 0;
     UPDATE {name}.theirs SET story = repeat(md5(note), 280) WHERE id % 8 = 0",
    "DELETE FROM {name}.theirs WHERE id % 5 = 0;
     INSERT INTO {name}.theirs (shop, id, pieces, fragile, seen_at) VALUES ('berlin', 5, 1, true, '2026-02-01Z'), ('oslo', 5, 2, false, '2026-02-02Z')",
    "UPDATE {name}.theirs SET shop = 'bonn', id = id + 1000, story = md5(story) WHERE id % 7 = 1;
     ALTER TABLE {name}.theirs REPLICA IDENTITY FULL;
     UPDATE {name}.theirs SET shop = 'berlin' WHERE shop = 'köln' AND id < 100",
    "BEGIN; UPDATE {name}.theirs SET note = 'never'; DELETE FROM {name}.theirs; ROLLBACK;
     BEGIN; DELETE FROM {name}.theirs WHERE id = 2; INSERT INTO {name}.theirs (shop, id, pieces, fragile, seen_at) VALUES ('日本', 2, 9, true, '2026-03-01Z');
     UPDATE {name}.theirs SET pieces = 10 WHERE id = 2; COMMIT",
];

fn source(servers: &Servers, project: &Project) -> Value {
    let (database, name) = (&servers.postgres, project.name());
    let own = json!({
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
        "tasks.max": "1",
        "plugin.name": "pgoutput",
        "database.hostname": database.host_str().expect("a host"),
        "database.port": database.port().unwrap_or(5432).to_string(),
        "database.dbname": database.path().trim_start_matches('/'),
        "database.user": database.username(),
        "database.password": database.password().unwrap_or_default(),
        "topic.prefix": name,
        "table.include.list": format!("{name}.theirs"),
        "publication.name": name,
        "publication.autocreate.mode": "filtered",
        "slot.name": name,
        "slot.drop.on.stop": "true",
        "skipped.operations": "none",
        "decimal.handling.mode": "precise",
        "time.precision.mode": "connect",
        "extended.headers.enabled": "false",
        "topic.creation.default.partitions": "3",
        "topic.creation.default.replication.factor": "1",
    });
    let own: Map<String, Value> = own.as_object().expect("an object").clone();
    own.into_iter().chain(avro(servers, "key")).chain(avro(servers, "value")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_of_what_debezium_captures_is_the_captured_table_row_for_row() {
    let servers = Servers::of_this_run();
    let project = Project::new(&servers, PIPELINES);
    let warehouse = Warehouse::of(&servers, &project).await;
    let run = async |sql: &str| warehouse.execute(&sql.replace("{name}", project.name())).await;
    run(TABLE).await;
    run(&ROWS.replace("{rows}", "1, 300")).await;
    let connector = Connector::create(&servers, project.name(), source(&servers, &project)).await;
    let topic = project.topic(&format!("{}.theirs", project.name()));
    until("the snapshot is in the topic", PATIENCE, async || (kafka::length(&servers.kafka, &topic).await >= 300).then_some(())).await;
    said(&project, &["schema", "pull"]);
    let mut loader = Service::start(&project, "loader");
    same_rows(&warehouse, "after the snapshot").await;

    run(&ROWS.replace("{rows}", "301, 400")).await;
    for changes in CHANGES {
        loader.kill();
        loader.restart();
        run(changes).await;
    }
    same_rows(&warehouse, "after the changes").await;
    run("TRUNCATE {name}.theirs").await;
    same_rows(&warehouse, "after the truncation").await;
    run(&ROWS.replace("{rows}", "1, 3")).await;
    same_rows(&warehouse, "after the truncated table was filled again").await;

    assert_eq!(connector.state().await, "RUNNING");
    connector.remove().await;
    let dead = kafka::read(&servers.kafka, &project.topic("dead")).await;
    assert!(dead.is_empty(), "{dead:?}");
}

async fn same_rows(warehouse: &Warehouse, when: &str) {
    until(&format!("both tables have the same rows {when}"), PATIENCE, async || {
        (warehouse.rows_if_any("ours", &COLUMNS).await? == warehouse.rows("theirs", &COLUMNS).await).then_some(())
    })
    .await;
}
