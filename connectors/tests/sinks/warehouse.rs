//! The stores that the suite runs against.

use std::future::{Ready, ready};
use std::path::Path;

use async_trait::async_trait;
use millrace_connectors::{Connection, TableConfig, postgres, sqlite};
use millrace_model::{Result, Schema, Sink, TopicPartition};
use millrace_runtime::project::{Resilience, Secret};
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions};
use tempfile::TempDir;

use crate::{everything, rows};

/// Rows as text.
pub(crate) type Rows = Vec<Vec<Option<String>>>;

/// A store with an empty place for one test.
#[async_trait]
pub(crate) trait Warehouse: Send + Sync {
    fn connection(&self) -> Connection;

    /// Runs SQL beside the sink, where the store takes any.
    async fn execute(&self, sql: &str) {
        panic!("this store does not run {sql}");
    }

    /// The table as the suite has it, with what this store wants of it beside.
    fn table(&self, table: &TableConfig) -> TableConfig {
        table.clone()
    }

    /// The values of columns of the table of notes, its rows in the order of their `id`.
    async fn values(&self, columns: &[&str]) -> Rows {
        let sql = format!("SELECT {} FROM notes ORDER BY id", columns.join(", "));
        self.connection().query(&sql).await.expect("the query runs").rows
    }

    /// The values of all columns of the schema, likewise.
    async fn all_values(&self, _schema: &Schema) -> Rows {
        self.values(&["*"]).await
    }

    /// The names of the columns of the table of notes.
    async fn columns(&self) -> Vec<String> {
        self.connection().query("SELECT * FROM notes").await.expect("the query runs").columns
    }

    /// Removes the table of notes and all positions.
    async fn clean(&self) {
        self.execute("DROP TABLE notes; DROP TABLE millrace_positions").await;
    }

    /// What [`everything::batch`] looks like when a query shows it.
    ///
    /// [`everything::batch`]: crate::everything::batch
    fn everything(&self) -> Vec<Vec<Option<&'static str>>>;

    /// The types of a table for [`everything::avro`].
    ///
    /// [`everything::avro`]: crate::everything::avro
    fn types_of_avro(&self) -> Vec<&'static str>;

    /// Whether its texts hold the character U+0000.
    fn takes_nul(&self) -> bool {
        false
    }

    /// Whether definitions commit by themselves: what a void round has grown stays.
    fn defines_at_once(&self) -> bool {
        false
    }
}

/// What the suite does with any warehouse.
impl dyn Warehouse + '_ {
    pub(crate) async fn rows(&self, sql: &str) -> Rows {
        self.connection().query(sql).await.expect("the query runs").rows
    }

    /// The rows of the table of notes, as `id note`.
    pub(crate) async fn notes(&self) -> Vec<String> {
        let mut rows = self.values(&["id", "note"]).await;
        let id = |row: &Vec<Option<String>>| row[0].as_deref().and_then(|id| id.parse::<i64>().ok());
        rows.sort_by(|row, other| id(row).cmp(&id(other)).then_with(|| row[1].cmp(&other[1])));
        let shown = |row: &Vec<Option<String>>| row.iter().map(|value| value.as_deref().unwrap_or("null")).collect::<Vec<_>>().join(" ");
        rows.iter().map(shown).collect()
    }

    /// Those of the tables whose modes the target has; the others are told.
    pub(crate) fn able<const N: usize>(&self, tables: [TableConfig; N]) -> Vec<TableConfig> {
        let able = self.connection().capabilities();
        let (tables, skipped): (Vec<_>, Vec<_>) = tables.into_iter().partition(|table| able.has(table.mode));
        skipped.iter().for_each(|table| println!("{} has no mode: {}", able.name, table.mode));
        tables
    }

    /// A sink of the table.
    pub(crate) async fn open(&self, table: &TableConfig, schema: &Schema) -> Result<Box<dyn Sink>> {
        self.connection().open(&self.table(table), schema).await
    }

    /// A sink of the table of notes that has claimed its partition, which must stand at `offset`.
    pub(crate) async fn claimed(&self, table: &TableConfig, offset: Option<i64>) -> Box<dyn Sink> {
        let mut sink = self.open(table, &rows::notes()).await.expect("opens");
        let claimed = sink.claim(&[rows::partition()]).await.expect("claims");
        assert_eq!(claimed.get(&rows::partition()).copied(), offset);
        sink
    }
}

/// A file.
pub(crate) struct Sqlite(TempDir);

impl Sqlite {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    /// For a test, which has a folder of its own whatever it is called.
    pub(crate) fn of(_test: &str) -> Ready<Self> {
        ready(Self::new())
    }

    /// The folder that it is in.
    pub(crate) fn folder(&self) -> &Path {
        self.0.path()
    }
}

#[async_trait]
impl Warehouse for Sqlite {
    fn connection(&self) -> Connection {
        Connection::Sqlite(sqlite::Config::at(self.0.path().join("warehouse.db")))
    }

    async fn execute(&self, sql: &str) {
        let options = SqliteConnectOptions::new().filename(self.0.path().join("warehouse.db")).create_if_missing(true);
        let mut connection = options.connect().await.expect("opens");
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.expect("the statement runs");
    }

    fn everything(&self) -> Vec<Vec<Option<&'static str>>> {
        everything::shown(&[("flag", "1")])
    }

    fn types_of_avro(&self) -> Vec<&'static str> {
        let (text, integer) = ("TEXT", "INTEGER");
        vec![
            text, integer, integer, integer, "REAL", "REAL", text, text, "BLOB", "BLOB", text, text, text, text, text, text, text, text,
            text,
        ]
    }
}

/// A schema of the database that `MILLRACE_TEST_POSTGRES` names.
pub(crate) struct Postgres {
    options: PgConnectOptions,
    schema: String,
}

impl Postgres {
    pub(crate) async fn new(test: &str) -> Self {
        let postgres = Self::of(test);
        postgres.execute(&format!("DROP SCHEMA IF EXISTS \"{0}\" CASCADE; CREATE SCHEMA \"{0}\"", postgres.schema)).await;
        postgres
    }

    /// The place of a test, as it is.
    pub(crate) fn of(test: &str) -> Self {
        Self { options: server(), schema: format!("sink_{test}") }
    }

    /// How it is reached.
    pub(crate) fn config(&self) -> postgres::Config {
        postgres::Config {
            host: self.options.get_host().into(),
            port: self.options.get_port(),
            database: self.options.get_database().unwrap_or("postgres").into(),
            user: self.options.get_username().into(),
            password: password().map(Secret::new),
            tls: postgres::Tls::Prefer,
            ca: None,
            schema: self.schema.clone(),
            resilience: Resilience::default(),
        }
    }
}

fn url() -> String {
    std::env::var("MILLRACE_TEST_POSTGRES")
        .expect("MILLRACE_TEST_POSTGRES is not set: run this by `make test`, or scripts/services/with-servers.sh cargo test …")
}

fn server() -> PgConnectOptions {
    url().parse().expect("MILLRACE_TEST_POSTGRES is a URL")
}

/// The password of the URL, which the parsed options keep to themselves.
fn password() -> Option<String> {
    let url = url();
    let authority = url.split_once("://")?.1.split_once('@')?.0;
    authority.split_once(':').map(|(_, password)| password.to_owned())
}

#[async_trait]
impl Warehouse for Postgres {
    fn connection(&self) -> Connection {
        Connection::Postgres(self.config())
    }

    async fn execute(&self, sql: &str) {
        let path = [("search_path", &self.schema)];
        let mut connection = self.options.clone().options(path).connect().await.expect("connects");
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.expect("the statement runs");
    }

    fn everything(&self) -> Vec<Vec<Option<&'static str>>> {
        everything::shown(&[
            ("flag", "t"),
            ("instant", "2013-01-31 05:30:00.001+00"),
            ("fine_instant", "2013-01-31 05:30:00.000001+00"),
            ("local", "2013-01-31 05:30:00.001"),
            ("duration", "1 mon 2 days 00:00:00.003"),
            ("list", r#"["a", null]"#),
            ("map", r#"{"k": 1}"#),
            ("record", r#"{"x": 1, "y": null}"#),
        ])
    }

    fn types_of_avro(&self) -> Vec<&'static str> {
        vec![
            "uuid",
            "boolean",
            "integer",
            "bigint",
            "real",
            "double precision",
            "text",
            "text",
            "bytea",
            "bytea",
            "numeric(9,2)",
            "date",
            "time",
            "time",
            "timestamptz",
            "timestamp",
            "jsonb",
            "jsonb",
            "jsonb",
        ]
    }
}

/// Another partition than that of [`rows::partition`].
pub(crate) fn other_partition() -> TopicPartition {
    TopicPartition::new("orders", 1)
}
