//! The databases that the suite asks, each with an empty place for one test.

use millrace_connectors::{Connection, Mode, TableConfig, postgres, sqlite};
use millrace_model::Schema;
use millrace_runtime::codec;
use millrace_runtime::project::{Resilience, Secret};
use serde_json::{Value, json};
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions};
use tempfile::TempDir;

/// A file that does not exist yet.
pub(crate) struct Sqlite(TempDir);

impl Sqlite {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    pub(crate) fn connection(&self) -> Connection {
        Connection::Sqlite(sqlite::Config::at(self.file()))
    }

    pub(crate) fn file(&self) -> std::path::PathBuf {
        self.0.path().join("warehouse.db")
    }

    pub(crate) async fn execute(&self, sql: &str) {
        let options = SqliteConnectOptions::new().filename(self.file()).create_if_missing(true);
        let mut connection = options.connect().await.expect("opens");
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.expect("the statement runs");
    }
}

/// A schema of the database that `MILLRACE_TEST_POSTGRES` names, which does not exist yet.
pub(crate) struct Postgres {
    options: PgConnectOptions,
    password: Option<String>,
    pub(crate) schema: String,
}

impl Postgres {
    pub(crate) async fn new(test: &str) -> Self {
        let url = std::env::var("MILLRACE_TEST_POSTGRES").expect("MILLRACE_TEST_POSTGRES names the database; run this by `make test`");
        let options = url.parse().expect("MILLRACE_TEST_POSTGRES is a URL");
        let place = Self { options, password: password(&url), schema: format!("catalogue_{test}") };
        place.execute(&format!("DROP SCHEMA IF EXISTS \"{}\" CASCADE", place.schema)).await;
        place
    }

    pub(crate) fn config(&self) -> postgres::Config {
        postgres::Config {
            host: self.options.get_host().into(),
            port: self.options.get_port(),
            database: self.options.get_database().unwrap_or("postgres").into(),
            user: self.options.get_username().into(),
            password: self.password.clone().map(Secret::new),
            tls: postgres::Tls::Prefer,
            ca: None,
            schema: self.schema.clone(),
            resilience: Resilience::default(),
        }
    }

    pub(crate) fn connection(&self) -> Connection {
        Connection::Postgres(self.config())
    }

    pub(crate) async fn execute(&self, sql: &str) {
        let mut connection = self.options.connect().await.expect("PostgreSQL answers");
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.expect("the statement runs");
    }
}

/// The password in a URL, which the driver's options do not give back.
fn password(url: &str) -> Option<String> {
    let credentials = url.split_once("://")?.1.split_once('@')?.0;
    credentials.split_once(':').map(|(_, password)| password.to_owned())
}

/// Orders: a key, a text and a price.
pub(crate) fn orders() -> Schema {
    schema(&json!([
        { "name": "id", "type": "long" },
        { "name": "customer", "type": ["null", "string"], "default": null },
        { "name": "price", "type": { "type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2 } },
    ]))
}

pub(crate) fn schema(fields: &Value) -> Schema {
    codec::schema(json!({ "type": "record", "name": "order", "fields": fields })).expect("is carried")
}

pub(crate) fn upsert() -> TableConfig {
    TableConfig {
        pipeline: "shop.orders".into(),
        table: "orders".into(),
        mode: Mode::Upsert,
        keys: vec!["id".into()],
        partition_by: None,
        redis: None,
    }
}
