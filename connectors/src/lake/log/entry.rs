//! The entries of a log: a line each of a version's file, a row each of a checkpoint.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

/// Values that may be null, by name.
pub(in crate::lake) type Values = BTreeMap<String, Option<String>>;

/// One entry: one of its parts is there. Parts that are not known here are left out: a table that needs them asks for it in its
/// [`Protocol`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::lake) struct Entry {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::lake) protocol: Option<Protocol>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::lake) meta_data: Option<MetaData>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::lake) txn: Option<Txn>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::lake) add: Option<Add>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::lake) remove: Option<Remove>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::lake) commit_info: Option<Value>,
}

/// What a reader and a writer of the table must know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::lake) struct Protocol {
    pub(in crate::lake) min_reader_version: i32,
    pub(in crate::lake) min_writer_version: i32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::lake) reader_features: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::lake) writer_features: Option<Vec<String>>,
}

/// What the table is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::lake) struct MetaData {
    pub(in crate::lake) id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::lake) name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::lake) description: Option<String>,
    pub(in crate::lake) format: Format,
    /// The columns, as JSON.
    pub(in crate::lake) schema_string: String,
    pub(in crate::lake) partition_columns: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub(in crate::lake) configuration: Values,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::lake) created_time: Option<i64>,
}

/// The format of its files: Parquet, always.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::lake) struct Format {
    provider: String,
    #[serde(default, deserialize_with = "or_default")]
    options: Values,
}

impl Default for Format {
    fn default() -> Self {
        Self { provider: "parquet".to_owned(), options: Values::new() }
    }
}

/// How far an application has written: here, the position of one partition of one pipeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::lake) struct Txn {
    pub(in crate::lake) app_id: String,
    pub(in crate::lake) version: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::lake) last_updated: Option<i64>,
}

/// A file is a part of the table from here on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::lake) struct Add {
    /// Its path below the table's folder, as a URL has it.
    pub(in crate::lake) path: String,
    pub(in crate::lake) partition_values: Values,
    pub(in crate::lake) size: i64,
    pub(in crate::lake) modification_time: i64,
    pub(in crate::lake) data_change: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::lake) stats: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::lake) tags: Option<Values>,
}

/// A file is no part of the table any more. Its data stay for readers of earlier versions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::lake) struct Remove {
    pub(in crate::lake) path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::lake) deletion_timestamp: Option<i64>,
    #[serde(default, deserialize_with = "or_default")]
    pub(in crate::lake) data_change: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::lake) extended_file_metadata: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::lake) partition_values: Option<Values>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::lake) size: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::lake) tags: Option<Values>,
}

impl Entry {
    pub(in crate::lake) fn of_protocol(protocol: Protocol) -> Self {
        Self { protocol: Some(protocol), ..Self::default() }
    }

    pub(in crate::lake) fn of_metadata(metadata: MetaData) -> Self {
        Self { meta_data: Some(metadata), ..Self::default() }
    }

    pub(in crate::lake) fn of_add(add: Add) -> Self {
        Self { add: Some(add), ..Self::default() }
    }

    pub(in crate::lake) fn of_remove(remove: Remove) -> Self {
        Self { remove: Some(remove), ..Self::default() }
    }

    pub(in crate::lake) fn of_txn(txn: Txn) -> Self {
        Self { txn: Some(txn), ..Self::default() }
    }

    /// Who wrote a version, by an id of its own.
    pub(super) fn info(attempt: Uuid) -> Self {
        let info = json!({
            "timestamp": now(),
            "operation": "STREAMING UPDATE",
            "operationParameters": { "outputMode": "Append" },
            "engineInfo": concat!("Millrace/", env!("CARGO_PKG_VERSION")),
            "txnId": attempt.to_string(),
        });
        Self { commit_info: Some(info), ..Self::default() }
    }

    /// The id of the attempt that wrote the version, where this entry tells it.
    pub(super) fn attempt(&self) -> Option<&str> {
        self.commit_info.as_ref()?["txnId"].as_str()
    }
}

/// A checkpoint has null where a version's file has nothing.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Milliseconds since the epoch.
pub(in crate::lake) fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}
