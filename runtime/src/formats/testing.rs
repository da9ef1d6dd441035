//! What the tests of this module share.

use std::sync::Arc;

use millrace_model::{Record, Records, RecordsBuilder, Schema};
use serde_json::{Value, json};

/// A record schema of these fields.
pub(crate) fn schema(fields: &Value) -> Schema {
    crate::codec::schema(json!({ "type": "record", "name": "Test", "fields": fields })).expect("a valid schema")
}

/// Records of these values.
pub(crate) fn records(values: &[impl AsRef<[u8]>]) -> Arc<Records> {
    let mut builder = RecordsBuilder::new("test".into(), values.len());
    for (offset, value) in values.iter().enumerate() {
        let value = Some(value.as_ref());
        builder.push(&Record { topic: "test", partition: 0, offset: offset as i64, timestamp: 0, key: None, value, headers: &[] });
    }
    Arc::new(builder.finish())
}
