//! Framed Avro from topics.

use std::sync::LazyLock;

use millrace_model::Schema;
use millrace_runtime::codec::{Decoder, Encoder};
use millrace_runtime::formats::JsonReader;
use serde_json::json;

use crate::samples::{self, flat, nested, records};

/// The id that values are framed with.
const ID: u32 = 7;

/// The topic's schema, what the values were written with, and a good value, framed.
struct Case {
    reader: Schema,
    written: String,
    good: Vec<u8>,
}

impl Case {
    fn new(reader: Schema, writer: &Schema, good: &str) -> Self {
        let parsed = JsonReader::new(writer).and_then(|json| json.read(&records([good.as_bytes()].into_iter()))).expect("reads");
        assert_eq!(parsed.refused, []);
        let encoded = Encoder::new(writer, ID).and_then(|encoder| encoder.encode(parsed.batch.columns())).expect("encodes");
        Self { reader, written: writer.text().to_owned(), good: encoded.value(0).to_vec() }
    }
}

static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| {
    let (flat, nested) = (samples::schema(&flat()), samples::schema(&nested()));
    let narrow =
        samples::schema(&json!([{ "name": "id", "type": "int" }, { "name": "gone", "type": { "type": "array", "items": "string" } }]));
    let union = samples::schema(&json!([{ "name": "any", "type": ["null", "long", "string", { "type": "array", "items": "long" }] }]));
    let one_branch = samples::schema(&json!([{ "name": "any", "type": "long" }]));
    vec![
        Case::new(flat.clone(), &flat, r#"{"id": 1, "name": "n", "price": "1.20", "day": "2013-01-31"}"#),
        Case::new(nested.clone(), &nested, r#"{"id": 1, "list": [1, null], "map": {"a": "b"}, "inners": [{"x": 1}]}"#),
        // Resolved: promoted, skipped, filled by defaults.
        Case::new(nested.clone(), &narrow, r#"{"id": 1, "gone": ["a", "b"]}"#),
        Case::new(flat, &nested, r#"{"id": 1, "list": [1]}"#),
        Case::new(union, &one_branch, r#"{"any": 1}"#),
    ]
});

/// The first byte chooses the schemas; what follows is a value between two good ones, and then a record of its own without framing.
pub fn avro(data: &[u8]) {
    let Some((&choice, value)) = data.split_first() else { return };
    let case = &CASES[choice as usize % CASES.len()];
    let framed = [&[0], &ID.to_be_bytes()[..], value].concat();
    let values: [&[u8]; 4] = [&case.good, &framed, value, &case.good];
    let (mut mixed, mut alone) = (Decoder::new(&case.reader).expect("a decoder"), Decoder::new(&case.reader).expect("a decoder"));
    let sent = records(values.iter().map(|value| &value[..]));
    mixed.unknown_ids(&sent).into_iter().for_each(|id| mixed.learn(id, (id == ID).then_some(&*case.written)));
    let decoded = mixed.decode(&sent).expect("decodes");
    let rows = decoded.batch.origin().rows();
    assert_eq!(rows.len() + decoded.rejected.len() + decoded.tombstones.len(), 4, "each record is a row or a rejection");
    assert!(rows.first() == Some(&0) && rows.last() == Some(&3), "good records are rows: {:?}", decoded.rejected);
    alone.learn(ID, Some(&case.written));
    let good = alone.decode(&records([case.good.as_slice()].into_iter())).expect("decodes").batch;
    let columns = decoded.batch.columns();
    assert_eq!(&columns.slice(0, 1), good.columns());
    assert_eq!(&columns.slice(columns.num_rows() - 1, 1), good.columns());
}
