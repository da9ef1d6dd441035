//! JSON records to columns, to Avro, and back.

use std::sync::{LazyLock, Mutex, PoisonError};

use millrace_runtime::codec::{Decoder, Encoder};
use millrace_runtime::formats::JsonReader;

use crate::samples::{nested, records, schema};

const ID: u32 = 7;
const GOOD: &[u8] = br#"{"id": 1, "list": [1, null], "map": {"a": "b"}, "price": 1.20}"#;

/// What a pipeline has for as long as it runs.
struct Pipeline {
    reader: JsonReader,
    encoder: Encoder,
    decoder: Decoder,
}

static PIPELINE: LazyLock<Mutex<Pipeline>> = LazyLock::new(|| {
    let schema = schema(&nested());
    let mut decoder = Decoder::new(&schema).expect("a decoder");
    decoder.learn(ID, Some(schema.text()));
    let (reader, encoder) = (JsonReader::new(&schema).expect("a reader"), Encoder::new(&schema, ID).expect("an encoder"));
    Mutex::new(Pipeline { reader, encoder, decoder })
});

/// Each line is a record, beside a good one. What is read can be written and comes back as it was.
pub fn json(data: &[u8]) {
    let mut pipeline = PIPELINE.lock().unwrap_or_else(PoisonError::into_inner);
    let Pipeline { reader, encoder, decoder } = &mut *pipeline;
    let lines: Vec<&[u8]> = std::iter::once(GOOD).chain(data.split(|&byte| byte == b'\n').take(64)).collect();
    let parsed = reader.read(&records(lines.iter().copied())).expect("reads");
    assert_eq!(parsed.batch.len() + parsed.refused.len(), lines.len(), "each record is a row or a refusal");
    assert_eq!(parsed.batch.origin().rows()[0], 0);
    let encoded = encoder.encode(parsed.batch.columns()).expect("what is read can be written");
    let values: Vec<&[u8]> = (0..encoded.len()).map(|row| encoded.value(row)).collect();
    let decoded = decoder.decode(&records(values.into_iter())).expect("decodes");
    assert_eq!(decoded.rejected, []);
    let (before, after) = (parsed.batch.columns(), decoded.batch.columns());
    // By their texts where they differ: NaN is no other than NaN there.
    assert!(before == after || format!("{before:?}") == format!("{after:?}"), "{before:?} came back as {after:?}");
}
