//! Schemas of every type that Millrace carries, and records of bytes.

use std::sync::Arc;

use millrace_model::{Record, Records, RecordsBuilder, Schema};
use millrace_runtime::codec;
use serde_json::{Value, json};

/// A schema of these fields.
pub(crate) fn schema(fields: &Value) -> Schema {
    codec::schema(json!({ "type": "record", "name": "Sample", "fields": fields })).expect("a schema")
}

/// A field of each type that JSON and CSV have a form for.
pub(crate) fn flat() -> Value {
    json!([
        { "name": "id", "type": "long" },
        { "name": "small", "type": ["null", "int"], "default": null },
        { "name": "ratio", "type": "double", "default": 0.5 },
        { "name": "half", "type": ["null", "float"], "default": null },
        { "name": "yes", "type": "boolean", "default": true },
        { "name": "name", "type": ["null", "string"], "default": null },
        { "name": "bytes", "type": ["null", "bytes"], "default": null },
        { "name": "fixed", "type": ["null", { "type": "fixed", "name": "Four", "size": 4 }], "default": null },
        { "name": "suit", "type": ["null", { "type": "enum", "name": "Suit", "symbols": ["a", "b", "c"] }], "default": null },
        { "name": "price", "type": ["null", { "type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2 }], "default": null },
        { "name": "day", "type": ["null", { "type": "int", "logicalType": "date" }], "default": null },
        { "name": "time", "type": ["null", { "type": "long", "logicalType": "time-micros" }], "default": null },
        { "name": "at", "type": ["null", { "type": "long", "logicalType": "timestamp-micros" }], "default": null },
        { "name": "local", "type": ["null", { "type": "long", "logicalType": "local-timestamp-millis" }], "default": null },
        { "name": "uuid", "type": ["null", { "type": "string", "logicalType": "uuid" }], "default": null },
    ])
}

/// The same, and what has items.
pub(crate) fn nested() -> Value {
    let Value::Array(mut fields) = flat() else { unreachable!("fields are a list") };
    let inner = json!({ "type": "record", "name": "Inner", "fields": [
        { "name": "x", "type": "long" }, { "name": "note", "type": ["null", "string"], "default": null },
    ] });
    fields.push(json!({ "name": "list", "type": { "type": "array", "items": ["null", "long"] }, "default": [] }));
    fields.push(json!({ "name": "map", "type": { "type": "map", "values": "string" }, "default": {} }));
    fields.push(json!({ "name": "inners", "type": { "type": "array", "items": inner }, "default": [] }));
    Value::Array(fields)
}

/// Records of these values.
pub(crate) fn records<'a>(values: impl ExactSizeIterator<Item = &'a [u8]>) -> Arc<Records> {
    let mut records = RecordsBuilder::new("fuzz".into(), values.len());
    for (value, offset) in values.zip(0..) {
        let value = Some(value);
        records.push(&Record { topic: "fuzz", partition: 0, offset, timestamp: 0, key: None, value, headers: &[] });
    }
    Arc::new(records.finish())
}
