//! Framed Avro from topics.

use std::sync::{LazyLock, Mutex, PoisonError};

use arrow::array::RecordBatch;
use millrace_model::Schema;
use millrace_runtime::codec::{Decoder, Encoder};
use millrace_runtime::formats::JsonReader;
use serde_json::json;

use crate::samples::{self, flat, nested, records};

/// The id that values are framed with.
const ID: u32 = 7;

/// A pipeline's decoder, for as long as it runs, and a good value: framed, and as a row.
struct Case {
    decoder: Mutex<Decoder>,
    good: Vec<u8>,
    row: RecordBatch,
}

impl Case {
    /// Of a topic of that schema, whose values were written with another one.
    fn new(reader: &Schema, writer: &Schema, good: &str) -> Self {
        let parsed = JsonReader::new(writer).and_then(|json| json.read(&records([good.as_bytes()].into_iter()))).expect("reads");
        assert_eq!(parsed.refused, []);
        let encoded = Encoder::new(writer, ID).and_then(|encoder| encoder.encode(parsed.batch.columns())).expect("encodes");
        let (mut decoder, good) = (Decoder::new(reader).expect("a decoder"), encoded.value(0).to_vec());
        decoder.learn(ID, Some(writer.text()));
        let row = decoder.decode(&records([good.as_slice()].into_iter())).expect("decodes").batch.columns().clone();
        Self { decoder: Mutex::new(decoder), good, row }
    }
}

static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| {
    let (flat, nested) = (samples::schema(&flat()), samples::schema(&nested()));
    let narrow =
        samples::schema(&json!([{ "name": "id", "type": "int" }, { "name": "gone", "type": { "type": "array", "items": "string" } }]));
    let union = samples::schema(&json!([{ "name": "any", "type": ["null", "long", "string", { "type": "array", "items": "long" }] }]));
    let one_branch = samples::schema(&json!([{ "name": "any", "type": "long" }]));
    vec![
        Case::new(&flat, &flat, r#"{"id": 1, "name": "n", "price": "1.20", "day": "2013-01-31"}"#),
        Case::new(&nested, &nested, r#"{"id": 1, "list": [1, null], "map": {"a": "b"}, "inners": [{"x": 1}]}"#),
        // Resolved: promoted, skipped, filled by defaults.
        Case::new(&nested, &narrow, r#"{"id": 1, "gone": ["a", "b"]}"#),
        Case::new(&flat, &nested, r#"{"id": 1, "list": [1]}"#),
        Case::new(&union, &one_branch, r#"{"any": 1}"#),
    ]
});

/// The first byte chooses the schemas; what follows is a value between two good ones, and then a record of its own without framing.
pub fn avro(data: &[u8]) {
    let Some((&choice, value)) = data.split_first() else { return };
    let case = &CASES[choice as usize % CASES.len()];
    let framed = [&[0], &ID.to_be_bytes()[..], value].concat();
    let values: [&[u8]; 4] = [&case.good, &framed, value, &case.good];
    let mut decoder = case.decoder.lock().unwrap_or_else(PoisonError::into_inner);
    let sent = records(values.iter().map(|value| &value[..]));
    let unknown = decoder.unknown_ids(&sent);
    unknown.iter().for_each(|&id| decoder.learn(id, None));
    let decoded = decoder.decode(&sent).expect("decodes");
    unknown.into_iter().for_each(|id| decoder.forget_id(id));
    let rows = decoded.batch.origin().rows();
    assert_eq!(rows.len() + decoded.rejected.len() + decoded.tombstones.len(), 4, "each record is a row or a rejection");
    assert!(rows.first() == Some(&0) && rows.last() == Some(&3), "good records are rows: {:?}", decoded.rejected);
    let columns = decoded.batch.columns();
    assert_eq!(columns.slice(0, 1), case.row);
    assert_eq!(columns.slice(columns.num_rows() - 1, 1), case.row);
}
