//! Tables of MariaDB are exact, however often their loader dies.

use std::time::Duration;

use millrace_tests::flights::{Flights, SCHEMA};
use millrace_tests::{Project, Servers, Service, kafka, until};
use rand::Rng as _;
use sqlx::mysql::MySqlPool;
use sqlx::{AssertSqlSafe, Row as _};
use tokio::time::sleep;

const CONNECTION: &str = r#"connections:
  shop:
    type: mysql
    host: "${SHOP_HOST}"
    port: "${SHOP_PORT}"
    database: "{name}"
    user: "${SHOP_USER}"
    password: "${SHOP_PASSWORD}"
"#;

const PIPELINES: &str = r#"
topics:
  "{name}.flights": { partitions: 3 }
ingest:
  files:
    from: { files: { path: "in/*.csv", null: [NA] } }
    to: { topic: "{name}.flights", schema: flight.avsc, key: [carrier, flight] }
load:
  appended:
    from: "{name}.flights"
    to: { connection: shop, table: appended }
    commit_interval: 100ms
  latest:
    from: "{name}.flights"
    to: { connection: shop, table: latest }
    mode: upsert
    keys: [carrier, flight, time_hour]
    commit_interval: 100ms
"#;

const COLUMNS: [&str; 6] = ["carrier", "flight", "origin", "dest", "dep_delay", "distance"];
const KEYS: &str = "(SELECT DISTINCT carrier, flight, time_hour FROM appended) a";
const PATIENCE: Duration = Duration::from_mins(3);
const PARTS: usize = 15;
const KILLS: usize = 6;

/// The project's database.
struct Shop(MySqlPool);

impl Shop {
    async fn of(servers: &Servers, project: &Project) -> Self {
        let mut url = servers.mysql.clone();
        let server = MySqlPool::connect(url.as_str()).await.expect("MariaDB answers");
        let create = format!("CREATE DATABASE {} CHARACTER SET utf8mb4", project.name());
        sqlx::raw_sql(AssertSqlSafe(create)).execute(&server).await.expect("makes a database");
        url.set_path(project.name());
        Self(MySqlPool::connect(url.as_str()).await.expect("MariaDB answers"))
    }

    /// How many rows a query counts; 0 while there is no such table.
    async fn count(&self, what: &str) -> i64 {
        let sql = format!("SELECT COUNT(*) FROM {what}");
        sqlx::query(AssertSqlSafe(sql)).fetch_one(&self.0).await.map_or(0, |row| row.get(0))
    }

    /// All rows in a fixed order, as those of [`Flights::rows`].
    async fn rows(&self, table: &str) -> Vec<String> {
        let texts = COLUMNS.map(|column| format!("COALESCE(CAST({column} AS CHAR), '')")).join(", ");
        let sql = format!("SELECT CONCAT_WS('|', {texts}) FROM {table}");
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&self.0).await.expect("the table can be read");
        let mut rows: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        rows.sort_unstable();
        rows
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_mariadb_are_exact_however_often_their_loader_is_killed() {
    let servers = Servers::of_this_run();
    let url = servers.mysql.clone();
    let project = Project::new(&servers, PIPELINES)
        .with("SHOP_HOST", url.host_str().expect("a host"))
        .with("SHOP_PORT", url.port().unwrap_or(3306).to_string())
        .with("SHOP_USER", url.username())
        .with("SHOP_PASSWORD", url.password().unwrap_or_default());
    project.change("connections:\n", CONNECTION);
    project.write("flight.avsc", SCHEMA);
    let shop = Shop::of(&servers, &project).await;
    let flights = Flights::all();
    let (ingest, mut loader) = (Service::start(&project, "ingest"), Service::start(&project, "loader"));
    ingest.ready().await;
    loader.ready().await;

    let (mut sent, mut hits, mut expected) = (0, 0, Vec::new());
    for (number, part) in flights.parts(PARTS).take(KILLS).enumerate() {
        project.write(&format!("in/part-{number:02}.csv"), part.csv());
        let before = sent;
        sent += part.len() as i64;
        expected.extend(part.rows(&COLUMNS));
        let has_come = async || (kafka::length(&servers.kafka, &project.topic("flights")).await > before).then_some(());
        until("records have come", PATIENCE, has_come).await;
        let instant = Duration::from_millis(rand::rng().random_range(0..300));
        // Not a wait for something: this is the random instant.
        sleep(instant).await;
        loader.kill();
        hits += usize::from(shop.count("appended").await < sent || shop.count("latest").await == 0);
        println!("killed in part {number} after {instant:?}");
        loader.restart();
    }
    assert!(hits > 0, "no kill hit a loader at work");

    let all_are_there =
        async || (shop.count("appended").await >= sent && shop.count("latest").await >= shop.count(KEYS).await).then_some(());
    until("all rows are there", PATIENCE, all_are_there).await;
    assert!(loader.terminate().await.success(), "the loader ends well");
    expected.sort_unstable();
    assert_eq!(shop.rows("appended").await, expected);
    assert_eq!(shop.count("latest").await, shop.count(KEYS).await);
    assert_eq!(shop.count("latest l JOIN appended a USING (carrier, flight, time_hour)").await, sent, "each key has one row");
    sqlx::raw_sql(AssertSqlSafe(format!("DROP DATABASE {}", project.name()))).execute(&shop.0).await.expect("drops the database");
}
