//! What the tests of this module share.

use std::sync::Arc;

use arrow_avro::reader::ReaderBuilder;
use arrow_avro::schema::{AvroSchema, Fingerprint, FingerprintAlgorithm, SchemaStore};
use millrace_model::{Record, Records, RecordsBuilder, Schema};
use serde_json::{Value, json};

/// A record schema of these fields.
pub(crate) fn schema(fields: &Value) -> Schema {
    let avro = json!({ "type": "record", "name": "Test", "fields": fields });
    let text = AvroSchema::new(avro.to_string());
    let mut store = SchemaStore::new_with_type(FingerprintAlgorithm::Id);
    store.set(Fingerprint::Id(1), text.clone()).expect("stores");
    let decoder = ReaderBuilder::new().with_reader_schema(text).with_writer_schema_store(store).with_active_fingerprint(Fingerprint::Id(1));
    Schema::new(avro, decoder.build_decoder().expect("an Arrow form").schema())
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
