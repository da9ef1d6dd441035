//! The needs of a small project, whose names are its own.

use std::collections::{BTreeMap, BTreeSet};

use millrace_connectors::{Connection, Mode, TableConfig};
use millrace_model::Schema;
use millrace_provision::{Path, Wanted, WantedGroup, WantedSubject, WantedTable, WantedTopic, WantedTransactions};
use millrace_runtime::codec;
use millrace_runtime::kafka::topics::{Declared, Operation};
use serde_json::{Value, json};

/// A schema of orders: `id`, and the given fields.
pub(crate) fn orders(more: &[Value]) -> Schema {
    let fields: Vec<Value> = [json!({ "name": "id", "type": "long" })].into_iter().chain(more.iter().cloned()).collect();
    codec::schema(json!({ "type": "record", "name": "Order", "fields": fields })).expect("is carried")
}

pub(crate) fn note() -> Value {
    json!({ "name": "note", "type": ["null", "string"], "default": null })
}

pub(crate) fn topic(name: &str, partitions: i32, config: &[(&str, &str)]) -> WantedTopic {
    let config: BTreeMap<String, String> = config.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let declared = Declared { name: name.into(), partitions: Some(partitions), replication: Some(1), config };
    WantedTopic { declared, operations: BTreeSet::from([Operation::Read, Operation::Write]), path: path(&["topics", name]) }
}

pub(crate) fn subject(name: &str, schema: Schema) -> WantedSubject {
    WantedSubject { name: name.into(), schema, path: path(&["ingest", "orders", "to"]) }
}

pub(crate) fn table(target: Connection, schema: Schema) -> WantedTable {
    let table = TableConfig {
        pipeline: "shop.orders".into(),
        table: "orders".into(),
        mode: Mode::Upsert,
        keys: vec!["id".into()],
        partition_by: None,
        redis: None,
    };
    WantedTable { connection: "warehouse".into(), target, table, schema, path: path(&["load", "orders", "to", "table"]) }
}

pub(crate) fn path(keys: &[&str]) -> Path {
    keys.iter().map(|&key| key.to_owned()).collect()
}

/// One topic with its subject, loaded into one table.
pub(crate) fn shop(name: &str, target: Connection) -> Wanted {
    Wanted {
        topics: vec![topic(name, 3, &[("cleanup.policy", "compact,delete"), ("retention.ms", "86400000")])],
        subjects: vec![subject(&format!("{name}-value"), orders(&[]))],
        tables: vec![table(target, orders(&[]))],
        groups: vec![WantedGroup { name: format!("{name}.orders"), path: path(&["load", "orders"]) }],
        transactions: vec![WantedTransactions { prefix: format!("{name}.orders."), path: path(&["ingest", "orders"]) }],
    }
}
