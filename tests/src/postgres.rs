//! Tables as any other PostgreSQL client sees them, and servers of a test's own.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use reqwest::Url;
use sqlx::postgres::{PgConnectOptions, PgPool};
use sqlx::{AssertSqlSafe, Postgres, Row as _, Transaction};
use tempfile::TempDir;

use crate::{Project, Servers};

/// That of a test's own servers.
const PASSWORD: &str = "millrace";

/// The database, looked at by a test: the schema of the project, which is made here.
#[derive(Debug, Clone)]
pub struct Warehouse {
    pool: PgPool,
    schema: String,
}

impl Warehouse {
    /// The project's schema, which is there already.
    pub async fn at(url: &Url, project: &Project) -> Self {
        let options: PgConnectOptions = url.as_str().parse().expect("a database URL");
        let pool = PgPool::connect_with(options.options([("timezone", "UTC")])).await.expect("PostgreSQL answers");
        Self { pool, schema: project.name().to_owned() }
    }

    /// The project's schema, empty.
    pub async fn of(servers: &Servers, project: &Project) -> Self {
        let warehouse = Self::at(&servers.postgres, project).await;
        warehouse.execute(&format!("CREATE SCHEMA {}", warehouse.schema)).await;
        warehouse
    }

    /// Runs a statement.
    pub async fn execute(&self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&self.pool).await.expect("the statement runs");
    }

    /// Keeps everybody else out of the table until it is dropped.
    pub async fn lock(&self, table: &str) -> Transaction<'static, Postgres> {
        let mut transaction = self.pool.begin().await.expect("a transaction");
        let sql = format!("LOCK TABLE {}.{table} IN ACCESS EXCLUSIVE MODE", self.schema);
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *transaction).await.expect("the table is locked");
        transaction
    }

    /// How many rows the table has; 0 while there is none.
    pub async fn count(&self, table: &str) -> i64 {
        let sql = format!("SELECT count(*) FROM {}.{table}", self.schema);
        sqlx::query(AssertSqlSafe(sql)).fetch_one(&self.pool).await.map_or(0, |row| row.get(0))
    }

    /// All rows of the table in a fixed order; each is the texts of the columns (or expressions) joined by `|`, null is empty.
    pub async fn rows(&self, table: &str, columns: &[&str]) -> Vec<String> {
        self.select(table, columns).await.expect("the table can be read")
    }

    /// The same; `None` while there is no such table, or not with these columns.
    pub async fn rows_if_any(&self, table: &str, columns: &[&str]) -> Option<Vec<String>> {
        self.select(table, columns).await.ok()
    }

    async fn select(&self, table: &str, columns: &[&str]) -> sqlx::Result<Vec<String>> {
        let texts = columns.iter().map(|column| format!("coalesce(({column})::text, '')")).collect::<Vec<_>>().join(", ");
        let sql = format!("SELECT concat_ws('|', {texts}) FROM {}.{table}", self.schema);
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&self.pool).await?;
        let mut rows: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        rows.sort_unstable();
        Ok(rows)
    }
}

/// A server of a test's own: one that can be followed by another, and that can crash.
#[derive(Debug)]
pub struct Cluster {
    state: TempDir,
    port: u16,
}

impl Cluster {
    /// A new one.
    pub fn start() -> Self {
        let cluster = Self::nowhere();
        cluster.run(&["start"]);
        cluster
    }

    /// A standby of this one, which has all that this one has.
    #[must_use]
    pub fn followed(&self) -> Self {
        let standby = Self::nowhere();
        standby.run(&["follow", self.url().as_str()]);
        standby
    }

    fn nowhere() -> Self {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
        Self { state: tempfile::tempdir().expect("a folder"), port: free.port() }
    }

    /// Has `scripts/services/postgres.sh` do what the words say: `stop`, `start`, `crash`, `promote`.
    pub fn run(&self, words: &[&str]) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/services/postgres.sh");
        let mut command = Command::new(script);
        command.env("POSTGRES_STATE", self.state.path()).env("POSTGRES_PORT", self.port.to_string()).env("POSTGRES_PASSWORD", PASSWORD);
        let done = command.args(words).status().expect("the script runs");
        assert!(done.success(), "postgres.sh {words:?}: {done}");
    }

    /// Its URL, with user and password.
    pub fn url(&self) -> Url {
        format!("postgresql://postgres:{PASSWORD}@{}/postgres", self.address()).parse().expect("a URL")
    }

    /// Its address, as `host:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.run(&["stop"]);
    }
}
