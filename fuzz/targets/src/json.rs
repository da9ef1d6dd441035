//! JSON records to columns, to Avro, and back.

use std::sync::LazyLock;

use millrace_model::Schema;
use millrace_runtime::codec::{Decoder, Encoder};
use millrace_runtime::formats::JsonReader;

use crate::samples::{nested, records, schema};

const ID: u32 = 7;
const GOOD: &[u8] = br#"{"id": 1, "list": [1, null], "map": {"a": "b"}, "price": 1.20}"#;

static SCHEMA: LazyLock<(Schema, JsonReader)> = LazyLock::new(|| {
    let schema = schema(&nested());
    let reader = JsonReader::new(&schema).expect("a reader");
    (schema, reader)
});

/// Each line is a record, beside a good one. What is read can be written and comes back as it was.
pub fn json(data: &[u8]) {
    let (schema, reader) = &*SCHEMA;
    let lines: Vec<&[u8]> = std::iter::once(GOOD).chain(data.split(|&byte| byte == b'\n').take(64)).collect();
    let parsed = reader.read(&records(lines.iter().copied())).expect("reads");
    assert_eq!(parsed.batch.len() + parsed.refused.len(), lines.len(), "each record is a row or a refusal");
    assert_eq!(parsed.batch.origin().rows()[0], 0);
    let encoded = Encoder::new(schema, ID).and_then(|encoder| encoder.encode(parsed.batch.columns())).expect("what is read can be written");
    let mut decoder = Decoder::new(schema).expect("a decoder");
    decoder.learn(ID, Some(schema.text()));
    let values: Vec<&[u8]> = (0..encoded.len()).map(|row| encoded.value(row)).collect();
    let decoded = decoder.decode(&records(values.into_iter())).expect("decodes");
    assert_eq!(decoded.rejected, []);
    // By their texts: NaN is no other than NaN there.
    assert_eq!(format!("{:?}", decoded.batch.columns()), format!("{:?}", parsed.batch.columns()));
}
