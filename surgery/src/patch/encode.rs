//! Rows of one into framed Avro.

use std::sync::Arc;

use arrow::array::RecordBatch;
use millrace_model::{Record, RecordsBuilder, Result, Schema};
use millrace_runtime::codec::Encoder;
use millrace_runtime::formats::JsonReader;
use millrace_runtime::registry::Registry;

use super::unfit;

/// The row of `columns` as a value of `schema`, which the registry has as `id`.
pub(super) fn row(columns: &RecordBatch, schema: &Schema, id: u32) -> Result<Vec<u8>> {
    let encoded = Encoder::new(schema, id)?.encode(columns).map_err(|fault| unfit("the patched record does not fit").because(fault))?;
    Ok(encoded.value(0).to_vec())
}

/// A JSON object as columns of `schema`.
pub(super) fn read(object: &[u8], schema: &Schema) -> Result<RecordBatch> {
    let mut records = RecordsBuilder::new("patch".into(), 1);
    records.push(&Record { topic: "", partition: 0, offset: 0, timestamp: 0, key: None, value: Some(object), headers: &[] });
    let parsed = JsonReader::new(schema)?.read(&Arc::new(records.finish()))?;
    match parsed.refused.first() {
        Some(refusal) => Err(unfit(format!("the patched record does not fit the schema {}: {}", schema.name(), refusal.text()))),
        None => Ok(parsed.batch.columns().clone()),
    }
}

/// A JSON object as a value of `topic`, whose schema is `schema`; it is registered there if it is not yet.
pub(super) async fn object(object: &[u8], topic: &str, schema: &Schema, registry: &Registry) -> Result<Vec<u8>> {
    let columns = read(object, schema)?;
    let id = registry.register(&format!("{topic}-value"), schema).await?;
    row(&columns, schema, id)
}
