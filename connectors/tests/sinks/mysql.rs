//! What only the sink of MySQL and MariaDB must do, and the place where the suite runs: a database of the server that `MILLRACE_TEST_MYSQL` names.

mod definitions;
mod sessions;
mod values;

use std::hash::Hasher;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::Field;
use async_trait::async_trait;
use fnv::FnvHasher;
use millrace_connectors::mysql::Config;
use millrace_connectors::{Connection, TableConfig, postgres};
use millrace_model::{Batch, Code, Commit, Fault, Offsets, Origin, Schema, Sink};
use millrace_runtime::project::{Resilience, Secret};
use sqlx::mysql::MySqlConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions};

use crate::everything;
use crate::rows::{append, at, notes, partition, records, schema};
use crate::warehouse::Warehouse;

/// A database.
pub(crate) struct Mysql {
    options: MySqlConnectOptions,
    database: String,
}

impl Mysql {
    pub(crate) async fn new(test: &str) -> Self {
        let options: MySqlConnectOptions = url().parse().expect("MILLRACE_TEST_MYSQL is a URL");
        let database = name(test);
        let mut connection = options.connect().await.expect("connects");
        let create = format!("DROP DATABASE IF EXISTS {database}; CREATE DATABASE {database} CHARACTER SET utf8mb4");
        sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut connection).await.expect("makes a database");
        Self { options: options.database(&database), database }
    }

    /// How it is reached.
    fn config(&self) -> Config {
        Config {
            host: self.options.get_host().into(),
            port: self.options.get_port(),
            database: self.database.clone(),
            user: self.options.get_username().into(),
            password: password(),
            tls: postgres::Tls::Prefer,
            ca: None,
            resilience: Resilience::default(),
        }
    }
}

/// A name that MySQL takes: 64 characters at most.
fn name(test: &str) -> String {
    let mut hash = FnvHasher::default();
    hash.write(test.as_bytes());
    format!("sink_{}_{:x}", &test[..test.len().min(40)], hash.finish())
}

fn url() -> String {
    std::env::var("MILLRACE_TEST_MYSQL")
        .expect("MILLRACE_TEST_MYSQL is not set: run this by `make test`, or scripts/services/with-servers.sh cargo test …")
}

/// The password of the URL, which the parsed options keep to themselves.
fn password() -> Option<Secret> {
    let url = url();
    let (user, _) = url.split_once("://")?.1.rsplit_once('@')?;
    user.split_once(':').map(|(_, password)| Secret::new(password))
}

#[async_trait]
impl Warehouse for Mysql {
    fn connection(&self) -> Connection {
        Connection::Mysql(self.config())
    }

    async fn execute(&self, sql: &str) {
        let mut connection = self.options.connect().await.expect("connects");
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.expect("the statement runs");
    }

    fn everything(&self) -> Vec<Vec<Option<&'static str>>> {
        everything::shown(&[
            ("flag", "1"),
            ("bytes", "2 bytes"),
            ("fixed", "\u{1}\u{2}\u{3}\u{4}"),
            ("time", "05:30:00.001000"),
            ("instant", "2013-01-31 05:30:00.001000"),
            ("fine_instant", "2013-01-31 05:30:00.000001"),
            ("local", "2013-01-31 05:30:00.001000"),
        ])
    }

    fn types_of_avro(&self) -> Vec<&'static str> {
        vec![
            "char(36)",
            "tinyint(1)",
            "int",
            "bigint",
            "float",
            "double",
            "longtext",
            "longtext",
            "longblob",
            "longblob",
            "decimal(9,2)",
            "date",
            "time(6)",
            "time(6)",
            "datetime(6)",
            "datetime(6)",
            "json",
            "json",
            "json",
        ]
    }

    fn takes_nul(&self) -> bool {
        true
    }

    fn defines_at_once(&self) -> bool {
        true
    }
}

async fn claimed(mysql: &Mysql, table: &TableConfig, schema: &Schema) -> Box<dyn Sink> {
    let mut sink = mysql.config().open(table, schema).await.expect("opens");
    sink.claim(&[partition()]).await.expect("claims");
    sink
}

async fn landed(sink: &mut Box<dyn Sink>, batch: &Batch) -> Vec<(i64, Code)> {
    let seen = sink.write(batch).await.expect("writes");
    let mut rejected: Vec<(i64, Code)> = seen.iter().map(|one| (i64::from(one.record), one.code)).collect();
    rejected.extend(sink.settle().await.expect("settles").iter().map(|one| (one.record().offset, one.code())));
    rejected
}

async fn loaded(sink: &mut Box<dyn Sink>, from: i64, batch: &Batch) -> Vec<(i64, Code)> {
    let rejected = landed(sink, batch).await;
    let position = if from == 0 { Offsets::new() } else { at(from) };
    assert_eq!(sink.commit(&position, &at(from + 1)).await.expect("commits"), Commit::Done);
    rejected
}

fn of_columns(fields: Vec<Field>, columns: Vec<ArrayRef>) -> (Schema, Batch) {
    let schema = schema(fields);
    let count = columns[0].len();
    let columns = RecordBatch::try_new(Arc::clone(schema.arrow()), columns).expect("the columns fit");
    (schema, Batch::new(columns, Origin::all(records(0, count))))
}

async fn opening(config: &Config) -> Fault {
    match config.open(&append(), &notes()).await {
        Ok(_) => panic!("can't be opened"),
        Err(fault) => fault,
    }
}
