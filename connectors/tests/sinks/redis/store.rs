//! A database of the server, for one test.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use millrace_connectors::redis::{Config, Form, Rows as Kept, Tls};
use millrace_connectors::{Connection, TableConfig};
use millrace_model::Schema;
use millrace_runtime::project::{Hosts, Resilience, Secret};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, FromRedisValue, IntoConnectionInfo, cmd};
use serde_json::Value;

use crate::everything;
use crate::warehouse::{Rows, Warehouse};

/// How many databases the tests' server has.
const DATABASES: i64 = 4096;

/// A database that holds nothing else.
pub(crate) struct Redis {
    server: ConnectionInfo,
    database: u16,
    form: Form,
}

impl Redis {
    /// Whose rows are hashes.
    pub(crate) async fn hashes(_test: &str) -> Self {
        Self::of(server(), Form::Hash).await
    }

    /// Whose rows are JSON.
    pub(crate) async fn json(_test: &str) -> Self {
        Self::of(server(), Form::Json).await
    }

    /// A database of a server.
    pub(crate) async fn of(server: ConnectionInfo, form: Form) -> Self {
        let mut counting = connect(&server, 0).await;
        let number: i64 = cmd("INCR").arg("millrace:test:databases").query_async(&mut counting).await.expect("counts");
        let database = (1 + number % (DATABASES - 1)) as u16;
        let place = Self { server, database, form };
        place.ask::<()>(&["FLUSHDB"]).await;
        place
    }

    /// How it is reached.
    pub(crate) fn config(&self) -> Config {
        let ConnectionAddr::Tcp(host, port) = self.server.addr() else { panic!("MILLRACE_TEST_REDIS is no redis://") };
        Config {
            host: Hosts::from(host.as_str()),
            port: *port,
            database: self.database,
            user: None,
            password: self.server.redis_settings().password().map(Secret::new),
            tls: Tls::Disable,
            ca: None,
            durable: false,
            resilience: Resilience::default(),
        }
    }

    /// Runs a command beside the sink.
    pub(crate) async fn ask<T: FromRedisValue>(&self, words: &[&str]) -> T {
        let mut connection = connect(&self.server, self.database).await;
        let mut command = cmd(words[0]);
        for word in &words[1..] {
            command.arg(word);
        }
        command.query_async(&mut connection).await.expect("the command runs")
    }

    /// The rows of the table of notes, each by its columns, in the order of their ids.
    async fn rows_by_column(&self) -> Vec<BTreeMap<String, Option<String>>> {
        let mut rows = Vec::new();
        for key in self.ask::<Vec<String>>(&["KEYS", "notes:*"]).await {
            rows.push(match self.form {
                Form::Hash => self.ask::<BTreeMap<String, Vec<u8>>>(&["HGETALL", &key]).await.into_iter().map(of_hash).collect(),
                _ => of_json(&self.ask::<Vec<u8>>(&["GET", &key]).await),
            });
        }
        let id = |row: &BTreeMap<String, Option<String>>| row["id"].as_deref().and_then(|id| id.parse::<i64>().ok());
        rows.sort_by_key(id);
        rows
    }
}

fn server() -> ConnectionInfo {
    let url = std::env::var("MILLRACE_TEST_REDIS")
        .expect("MILLRACE_TEST_REDIS is not set: run this by `make test`, or scripts/services/with-servers.sh cargo test …");
    url.as_str().into_connection_info().expect("MILLRACE_TEST_REDIS is a URL")
}

pub(super) async fn connect(server: &ConnectionInfo, database: u16) -> MultiplexedConnection {
    let settings = server.redis_settings().clone().set_db(database.into());
    let client = Client::open(server.clone().set_redis_settings(settings)).expect("is an address");
    // A large round keeps the server from answering for a while.
    let patience = Some(Duration::from_secs(30));
    let patient = AsyncConnectionConfig::new().set_connection_timeout(patience).set_response_timeout(patience);
    client.get_multiplexed_async_connection_with_config(&patient).await.expect("connects")
}

/// Bytes that are no text are shown as PostgreSQL shows them.
fn of_hash((name, value): (String, Vec<u8>)) -> (String, Option<String>) {
    let hex = |bytes: &[u8]| bytes.iter().fold("\\x".to_owned(), |text, byte| format!("{text}{byte:02x}"));
    let is_shown = std::str::from_utf8(&value).is_ok_and(|text| !text.chars().any(char::is_control));
    let text = if is_shown { String::from_utf8_lossy(&value).into_owned() } else { hex(&value) };
    (name, Some(text))
}

fn of_json(text: &[u8]) -> BTreeMap<String, Option<String>> {
    let members: BTreeMap<String, Box<serde_json::value::RawValue>> = serde_json::from_slice(text).expect("is an object");
    let shown = |text: &str| match serde_json::from_str::<Value>(text) {
        Ok(Value::Null) => None,
        Ok(Value::String(text)) => Some(text),
        _ => Some(text.to_owned()),
    };
    members.into_iter().map(|(name, value)| (name, shown(value.get()))).collect()
}

#[async_trait]
impl Warehouse for Redis {
    fn connection(&self) -> Connection {
        Connection::Redis(self.config())
    }

    fn table(&self, table: &TableConfig) -> TableConfig {
        TableConfig { redis: Some(Kept { form: self.form.clone(), ..Kept::default() }), ..table.clone() }
    }

    async fn values(&self, columns: &[&str]) -> Rows {
        let rows = self.rows_by_column().await;
        rows.iter().map(|row| columns.iter().map(|&column| row.get(column).cloned().flatten()).collect()).collect()
    }

    async fn all_values(&self, schema: &Schema) -> Rows {
        let columns: Vec<&str> = schema.arrow().fields().iter().map(|field| field.name().as_str()).collect();
        self.values(&columns).await
    }

    async fn clean(&self) {
        self.ask::<()>(&["FLUSHDB"]).await;
    }

    fn everything(&self) -> Vec<Vec<Option<&'static str>>> {
        let (bytes, fixed) = if self.form == Form::Hash { ("\\x00ff", "\\x01020304") } else { ("00ff", "01020304") };
        everything::shown(&[("bytes", bytes), ("fixed", fixed)])
    }

    fn types_of_avro(&self) -> Vec<&'static str> {
        let (text, json, number) = ("text", "json", "number");
        if self.form == Form::Hash {
            let plain = [text; 8].into_iter().chain(["bytes"; 2]).chain([text; 6]);
            return plain.chain([json; 3]).collect();
        }
        let plain = [text, "boolean"].into_iter().chain([number; 4]).chain([text; 4]).chain([number]);
        plain.chain([text; 5]).chain([json; 3]).collect()
    }
}
