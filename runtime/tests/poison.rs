//! Records and schemas that mean harm: each a clear rejection, in bounded time, and good ones beside it pass.

use std::sync::Arc;
use std::time::{Duration, Instant};

use millrace_model::{Code, Header, Record, Records, RecordsBuilder, Schema};
use millrace_runtime::codec::{self, Decoder, Encoder};
use millrace_runtime::dead_letters::DeadLetter;
use millrace_runtime::formats::JsonReader;
use serde_json::{Map, Value, json};

/// Far more than the 6 seconds that the longest takes without optimisation, for machines that are busy; what grows with the cube takes hours.
const PATIENCE: Duration = Duration::from_mins(5);

fn records<'a>(values: impl ExactSizeIterator<Item = &'a [u8]>) -> Arc<Records> {
    let mut records = RecordsBuilder::new("in".into(), values.len());
    for (value, offset) in values.zip(0..) {
        let value = Some(value);
        records.push(&Record { topic: "in", partition: 0, offset, timestamp: 0, key: None, value, headers: &[] });
    }
    Arc::new(records.finish())
}

fn wide(fields: usize, kind: &Value) -> Value {
    let fields: Vec<Value> = (0..fields).map(|field| json!({ "name": format!("field_{field}"), "type": kind })).collect();
    json!({ "type": "record", "name": "Wide", "fields": fields })
}

fn schema_of(fields: usize) -> Schema {
    codec::schema(wide(fields, &json!("long"))).expect("a schema")
}

#[test]
fn a_schema_of_more_types_than_there_is_room_for_is_refused_by_its_field() {
    let started = Instant::now();
    let fault = codec::schema(wide(100_000, &json!(["null", "long"]))).expect_err("is refused");
    assert!(fault.code() == Code::SchemaUnsupported && fault.message().contains("field_"), "{fault}");
    assert!(started.elapsed() < PATIENCE, "{:?}", started.elapsed());
}

#[test]
fn a_schema_of_ten_thousand_fields_is_read_written_and_resolved_in_bounded_time() {
    const FIELDS: usize = 10_000;
    let started = Instant::now();
    let (wide, wider) = (schema_of(FIELDS), schema_of(FIELDS + 1));
    let row: Map<String, Value> = (0..=FIELDS).map(|field| (format!("field_{field}"), json!(field))).collect();
    let row = Value::Object(row).to_string();
    let parsed = JsonReader::new(&wider).and_then(|reader| reader.read(&records([row.as_bytes()].into_iter()))).expect("reads");
    assert_eq!(parsed.refused, []);
    let encoded = Encoder::new(&wider, 1).and_then(|encoder| encoder.encode(parsed.batch.columns())).expect("encodes");
    let mut decoder = Decoder::new(&wide).expect("a decoder");
    decoder.learn(1, Some(wider.text()));
    let bad = [&encoded.value(0)[..9], &[0x7f]].concat();
    let decoded = decoder.decode(&records([encoded.value(0), &bad, encoded.value(0)].into_iter())).expect("decodes");
    assert_eq!((decoded.batch.len(), decoded.batch.columns().num_columns(), decoded.rejected.len()), (2, FIELDS, 1));
    assert!(started.elapsed() < PATIENCE, "{:?}", started.elapsed());
}

#[test]
fn a_record_of_ten_megabytes_that_is_bad_is_rejected_alone() {
    let schema =
        codec::schema(json!({ "type": "record", "name": "r", "fields": [{ "name": "text", "type": "string" }] })).expect("a schema");
    let mut decoder = Decoder::new(&schema).expect("a decoder");
    decoder.learn(1, Some(schema.text()));
    let good = [&[0, 0, 0, 0, 1, 2], &b"a"[..]].concat();
    // A string of ten megabytes that is no text, and one that says to be longer than it is.
    let noise = [&[0, 0, 0, 0, 1, 0x80, 0x80, 0x80, 0x0a][..], &vec![0xff; 10 << 20]].concat();
    let values: [&[u8]; 4] = [&good, &noise, &noise[..noise.len() - 1], &good];
    let decoded = decoder.decode(&records(values.into_iter())).expect("decodes");
    assert_eq!(decoded.batch.origin().rows(), [0, 3]);
    assert!(decoded.rejected.iter().all(|rejection| rejection.code == Code::AvroInvalid && rejection.reason.len() < 1_000));
}

#[test]
fn json_that_is_nested_without_end_is_a_bad_record_wherever_it_stands() {
    let fields = json!([
        { "name": "id", "type": "long" },
        { "name": "list", "type": { "type": "array", "items": "long" }, "default": [] },
        { "name": "text", "type": ["null", "string"], "default": null },
    ]);
    let schema = codec::schema(json!({ "type": "record", "name": "r", "fields": fields })).expect("a schema");
    let reader = JsonReader::new(&schema).expect("a reader");
    let (open, close) = ("[".repeat(1_000_000), "]".repeat(1_000_000));
    let bad = [
        format!("{open}{close}"),
        open.clone(),
        format!(r#"{{"id": 1, "list": {open}{close}}}"#),
        format!(r#"{{"id": 1, "text": {open}{close}}}"#),
        format!(r#"{{"id": 1, "none": {}1{}}}"#, r#"{"a":"#.repeat(200_000), "}".repeat(200_000)),
    ];
    let good = r#"{"id": 1}"#.to_owned();
    let values: Vec<&[u8]> = std::iter::once(&good).chain(&bad).chain([&good]).map(String::as_bytes).collect();
    let parsed = reader.read(&records(values.into_iter())).expect("reads");
    assert_eq!((parsed.batch.len(), parsed.refused.len()), (2, bad.len()));
    assert!(parsed.refused.iter().all(|refusal| refusal.text().len() < 1_000));
}

#[test]
fn a_dead_letter_with_a_key_of_megabytes_and_headers_by_the_ten_thousand_is_read_in_bounded_time() {
    let started = Instant::now();
    let header = |key: String| Header { key, value: Some(vec![1]) };
    let said = ["topic", "offset", "code"].map(|name| header(format!("millrace.error.{name}")));
    let headers: Vec<Header> = (0..50_000).map(|number| header(format!("h{number}"))).chain(said).collect();
    let key = vec![7; 8 << 20];
    let letter = DeadLetter::of(&Record {
        topic: "dead",
        partition: 0,
        offset: 1,
        timestamp: 0,
        key: Some(&key),
        value: Some(b"v"),
        headers: &headers,
    });
    assert_eq!((letter.original_headers().count(), letter.key.as_deref()), (50_000, Some(&*key)));
    assert_eq!((letter.said("topic"), letter.offset()), ("\u{1}", None));
    assert!(started.elapsed() < PATIENCE, "{:?}", started.elapsed());
}
