//! Where the suite's orders are.

use std::io::Write as _;
use std::time::Duration;

use async_trait::async_trait;
use millrace_connectors::{Connection, Connections, SourceConfig, mysql, postgres, sqlite};
use millrace_model::{Position, Source};
use millrace_runtime::project::{Resilience, Secret};
use serde_json::{Value, json};
use sqlx::mysql::MySqlConnectOptions;
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions};
use tempfile::TempDir;

use crate::rows::schema;

/// Orders: an id, and a customer whose absence is a mistake.
pub(crate) type Orders<'a> = &'a mut (dyn Iterator<Item = (i64, Option<&'static str>)> + Send);

/// An empty place for one test.
#[async_trait]
pub(crate) trait Place: Send + Sync {
    /// What origins begin with.
    fn kind(&self) -> &'static str;

    /// Puts orders there, after those that are there.
    async fn put_all(&self, orders: Orders<'_>);

    /// Opens the source of the orders.
    async fn open(&self, position: Option<&Position>) -> Box<dyn Source>;
}

impl dyn Place + '_ {
    pub(crate) async fn put(&self, mut orders: impl Iterator<Item = (i64, Option<&'static str>)> + Send) {
        self.put_all(&mut orders).await;
    }
}

/// A file of lines.
pub(crate) struct Csv(TempDir);

impl Csv {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }
}

#[async_trait]
impl Place for Csv {
    fn kind(&self) -> &'static str {
        "file:"
    }

    async fn put_all(&self, orders: Orders<'_>) {
        let path = self.0.path().join("orders.csv");
        let is_new = !path.exists();
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(path).expect("opens");
        let header = if is_new { "id,customer\n" } else { "" };
        let lines: String = orders.map(|(id, customer)| format!("{id},{}\n", customer.unwrap_or("NA"))).collect();
        file.write_all(format!("{header}{lines}").as_bytes()).expect("writes");
    }

    async fn open(&self, position: Option<&Position>) -> Box<dyn Source> {
        let source = source(&json!({ "path": self.0.path().join("*.csv"), "null": ["NA"] }), "files");
        let split = source.splits().await.expect("lists").remove(0).name;
        source.open(&split, &schema(), position, &Connections::new()).await.expect("opens")
    }
}

/// A source of that kind and those settings.
pub(crate) fn source(settings: &Value, kind: &str) -> SourceConfig {
    match kind {
        "files" => SourceConfig::Files(serde_json::from_value(settings.clone()).expect("settings of files")),
        _ => SourceConfig::Query(serde_json::from_value(settings.clone()).expect("settings of a query")),
    }
}

/// A database with a place of its own.
#[async_trait]
pub(crate) trait Database: Send + Sync {
    fn connection(&self) -> Connection;

    /// Runs SQL beside the source.
    async fn execute(&self, sql: &str);
}

/// What the suite does with any database.
impl dyn Database + '_ {
    pub(crate) fn connections(&self) -> Connections {
        Connections::from([("shop".to_owned(), self.connection())])
    }

    async fn insert(&self, orders: Orders<'_>) {
        self.execute("CREATE TABLE IF NOT EXISTS orders (id bigint PRIMARY KEY, customer varchar(20))").await;
        let quoted = |customer: Option<&str>| customer.map_or_else(|| "NULL".to_owned(), |customer| format!("'{customer}'"));
        let rows: Vec<String> = orders.map(|(id, customer)| format!("({id}, {})", quoted(customer))).collect();
        if !rows.is_empty() {
            self.execute(&format!("INSERT INTO orders VALUES {}", rows.join(", "))).await;
        }
    }

    async fn orders(&self, position: Option<&Position>) -> Box<dyn Source> {
        let settings = json!({ "connection": "shop", "sql": "SELECT customer, id FROM orders;", "cursor": "id", "batch": 4, "interval": "10ms", "delay": "1ms" });
        source(&settings, "query").open("query", &schema(), position, &self.connections()).await.expect("opens")
    }
}

macro_rules! place_of_a_database {
    ($name:ident) => {
        #[async_trait]
        impl Place for $name {
            fn kind(&self) -> &'static str {
                "query:shop"
            }

            async fn put_all(&self, orders: Orders<'_>) {
                let database: &dyn Database = self;
                database.insert(orders).await;
            }

            async fn open(&self, position: Option<&Position>) -> Box<dyn Source> {
                let database: &dyn Database = self;
                database.orders(position).await
            }
        }
    };
}

place_of_a_database!(Sqlite);
place_of_a_database!(Postgres);
place_of_a_database!(Mysql);

/// A file.
pub(crate) struct Sqlite(TempDir);

impl Sqlite {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }
}

#[async_trait]
impl Database for Sqlite {
    fn connection(&self) -> Connection {
        Connection::Sqlite(sqlite::Config::at(self.0.path().join("shop.db")))
    }

    async fn execute(&self, sql: &str) {
        let options = SqliteConnectOptions::new().filename(self.0.path().join("shop.db")).create_if_missing(true);
        let mut connection = options.busy_timeout(Duration::from_secs(10)).connect().await.expect("opens");
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.expect("the statement runs");
    }
}

/// A schema of the database that `MILLRACE_TEST_POSTGRES` names.
pub(crate) struct Postgres {
    pub(crate) options: PgConnectOptions,
    schema: String,
}

impl Postgres {
    pub(crate) async fn new(test: &str) -> Self {
        let options: PgConnectOptions = url("MILLRACE_TEST_POSTGRES").parse().expect("MILLRACE_TEST_POSTGRES is a URL");
        let schema = format!("source_{test}");
        let mut connection = options.connect().await.expect("connects");
        let create = format!("DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema}");
        sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut connection).await.expect("makes a schema");
        Self { options: options.options([("search_path", &schema)]), schema }
    }
}

#[async_trait]
impl Database for Postgres {
    fn connection(&self) -> Connection {
        let url = url("MILLRACE_TEST_POSTGRES");
        Connection::Postgres(postgres::Config {
            host: self.options.get_host().into(),
            port: self.options.get_port(),
            database: self.options.get_database().unwrap_or("postgres").into(),
            user: self.options.get_username().into(),
            password: password(&url),
            tls: postgres::Tls::Disable,
            ca: None,
            schema: self.schema.clone(),
            resilience: Resilience::default(),
        })
    }

    async fn execute(&self, sql: &str) {
        let mut connection = self.options.connect().await.expect("connects");
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.expect("the statement runs");
    }
}

/// A database of the server that `MILLRACE_TEST_MYSQL` names.
pub(crate) struct Mysql {
    options: MySqlConnectOptions,
    database: String,
}

impl Mysql {
    pub(crate) async fn new(test: &str) -> Self {
        let options: MySqlConnectOptions = url("MILLRACE_TEST_MYSQL").parse().expect("MILLRACE_TEST_MYSQL is a URL");
        let database: String = format!("s_{test}").chars().take(60).collect();
        let mut connection = options.connect().await.expect("connects");
        let create = format!("DROP DATABASE IF EXISTS {database}; CREATE DATABASE {database} CHARACTER SET utf8mb4");
        sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut connection).await.expect("makes a database");
        Self { options: options.database(&database), database }
    }
}

#[async_trait]
impl Database for Mysql {
    fn connection(&self) -> Connection {
        Connection::Mysql(mysql::Config {
            host: self.options.get_host().into(),
            port: self.options.get_port(),
            database: self.database.clone(),
            user: self.options.get_username().into(),
            password: password(&url("MILLRACE_TEST_MYSQL")),
            tls: postgres::Tls::Prefer,
            ca: None,
            resilience: Resilience::default(),
        })
    }

    async fn execute(&self, sql: &str) {
        let mut connection = self.options.connect().await.expect("connects");
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.expect("the statement runs");
    }
}

fn url(variable: &str) -> String {
    std::env::var(variable)
        .unwrap_or_else(|_| panic!("{variable} is not set: run this by `make test`, or scripts/services/with-servers.sh cargo test …"))
}

/// The password of a URL, which holds no escapes in tests.
fn password(url: &str) -> Option<Secret> {
    let (user, _) = url.split_once("://")?.1.rsplit_once('@')?;
    user.split_once(':').map(|(_, password)| Secret::new(password))
}
