//! Lakes: on this machine, in S3 and in Azure Blob Storage.

mod behaviour;
mod reader;

use std::future::{Ready, ready};

use async_trait::async_trait;
use millrace_connectors::Connection;
use millrace_model::Schema;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::everything;
use crate::warehouse::{Rows, Warehouse};
pub(crate) use reader::Table;

/// The development account that everybody knows.
const ACCOUNT: &str = "devstoreaccount1";
const KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// A lake of a test's own.
pub(crate) struct Lake {
    url: String,
    /// As a project file has it.
    store: Value,
    /// As the reader wants it.
    options: Value,
    folder: Option<TempDir>,
}

impl Lake {
    /// A folder.
    pub(crate) fn local(_test: &str) -> Ready<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let url = folder.path().join("lake").to_str().expect("is text").to_owned();
        ready(Self { url, store: Value::Null, options: Value::Null, folder: Some(folder) })
    }

    /// A folder of the bucket `millrace` in the store that `MILLRACE_TEST_S3` names.
    pub(crate) fn s3(test: &str) -> Ready<Self> {
        let endpoint = variable("MILLRACE_TEST_S3");
        let store = json!({ "s3": { "endpoint": endpoint, "access_key_id": "test", "secret_access_key": "hunter2" } });
        let options = json!({
            "AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "hunter2", "AWS_REGION": "us-east-1",
            "AWS_ALLOW_HTTP": "true",
        });
        ready(Self { url: format!("s3://millrace/{}", unique(test)), store, options, folder: None })
    }

    /// A folder of the container `millrace` in the account that `MILLRACE_TEST_AZURE` names.
    pub(crate) fn azure(test: &str) -> Ready<Self> {
        let endpoint = variable("MILLRACE_TEST_AZURE");
        let store = json!({ "azure_blob": { "account": ACCOUNT, "endpoint": endpoint, "access_key": KEY } });
        let options = json!({ "account_name": ACCOUNT, "account_key": KEY, "endpoint": endpoint, "allow_http": "true" });
        ready(Self { url: format!("az://millrace/{}", unique(test)), store, options, folder: None })
    }

    /// The connection with more settings.
    pub(crate) fn with(&self, more: &Value) -> Connection {
        let mut settings = json!({ "url": self.url });
        if !self.store.is_null() {
            settings["store"] = self.store.clone();
        }
        let settings_of = settings.as_object_mut().expect("an object");
        settings_of.extend(more.as_object().expect("an object").clone());
        Connection::Lake(Box::new(serde_json::from_value(settings).expect("are settings")))
    }

    /// A table of it, as others see it.
    pub(crate) fn seen(&self, table: &str) -> Table {
        Table { url: format!("{}/{table}", self.url), options: self.options.clone() }
    }

    /// The folder of a table on this machine.
    pub(crate) fn folder(&self, table: &str) -> std::path::PathBuf {
        self.folder.as_ref().expect("is on this machine").path().join("lake").join(table)
    }
}

fn unique(test: &str) -> String {
    format!("lake-{test}-{}", uuid::Uuid::new_v4().simple())
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run this by scripts/services/with-servers.sh"))
}

#[async_trait]
impl Warehouse for Lake {
    fn connection(&self) -> Connection {
        self.with(&json!({}))
    }

    async fn values(&self, columns: &[&str]) -> Rows {
        self.seen("notes").rows(columns)
    }

    async fn all_values(&self, _schema: &Schema) -> Rows {
        self.seen("notes").rows(&[])
    }

    async fn columns(&self) -> Vec<String> {
        self.seen("notes").columns()
    }

    async fn clean(&self) {
        self.connection().drop_table("notes").await.expect("is dropped");
    }

    fn everything(&self) -> Vec<Vec<Option<&'static str>>> {
        everything::shown(&[
            ("bytes", "\\x00\\xFF"),
            ("fixed", "\\x01\\x02\\x03\\x04"),
            ("instant", "2013-01-31 05:30:00.001+00"),
            ("fine_instant", "2013-01-31 05:30:00.000001+00"),
            ("local", "2013-01-31 05:30:00.001"),
            ("list", "[a, NULL]"),
            ("map", "{k=1}"),
            ("record", "{'x': 1, 'y': NULL}"),
        ])
    }

    fn types_of_avro(&self) -> Vec<&'static str> {
        vec![
            "string",
            "boolean",
            "int",
            "bigint",
            "float",
            "double",
            "string",
            "string",
            "binary",
            "binary",
            "decimal(9,2)",
            "date",
            "string",
            "string",
            "timestamp",
            "timestamp_ntz",
            "array<string>",
            "map<string,int>",
            "struct<x:int>",
        ]
    }
}
