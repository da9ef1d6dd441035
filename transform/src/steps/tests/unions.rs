//! Unions of several branches: they pass, and are looked into by no step.

use std::sync::Arc;

use millrace_model::{Batch, Record, RecordsBuilder, Schema};
use millrace_runtime::codec::{Decoder, Encoder};
use millrace_runtime::project::Kind;
use serde_json::{from_value, json};

use crate::config::StepConfig;
use crate::steps::compile;

fn schema() -> Schema {
    let payload = json!(["null", "string", "long", { "type": "record", "name": "Point", "fields": [{ "name": "x", "type": "int" }] }]);
    let held =
        json!({ "type": "record", "name": "Held", "fields": [{ "name": "u", "type": ["int", "string"] }, { "name": "n", "type": "int" }] });
    let fields = json!([{ "name": "id", "type": "long" }, { "name": "payload", "type": payload }, { "name": "held", "type": held }]);
    millrace_runtime::codec::schema(json!({ "type": "record", "name": "Event", "namespace": "shop", "fields": fields }))
        .expect("is carried")
}

/// Events 0 to 3, each with a payload of another branch.
fn values() -> Vec<Vec<u8>> {
    let payloads: [&[u8]; 4] = [&[0], &[2, 2, b'a'], &[4, 14], &[6, 10]];
    let value = |(id, payload): (u8, &[u8])| [&[0, 0, 0, 0, 1, id * 2], payload, &[2, 2, b'h', 6]].concat();
    (0..).zip(payloads).map(value).collect()
}

fn batch(schema: &Schema) -> Batch {
    let mut records = RecordsBuilder::new("events".into(), 4);
    for value in values() {
        records.push(&Record { topic: "events", partition: 0, offset: 0, timestamp: 0, key: None, value: Some(&value), headers: &[] });
    }
    let mut decoder = Decoder::new(schema).expect("has a decoder");
    decoder.learn(1, Some(schema.text()));
    let decoded = decoder.decode(&Arc::new(records.finish())).expect("decodes");
    assert_eq!(decoded.rejected, []);
    decoded.batch
}

fn passed(steps: serde_json::Value) -> Vec<Vec<u8>> {
    let steps: Vec<StepConfig> = from_value(steps).expect("are steps");
    let mut batch = batch(&schema());
    let mut output = schema();
    for step in compile(&steps, &schema()).expect("compiles") {
        let applied = step.apply(batch).expect("works");
        assert_eq!(applied.rejected, []);
        (batch, output) = (applied.out, step.output().clone());
    }
    assert_eq!(output.field("payload"), schema().field("payload"));
    let encoded = Encoder::new(&output, 1).expect("has an encoder").encode(batch.columns()).expect("encodes");
    (0..encoded.len()).map(|row| encoded.value(row).to_vec()).collect()
}

#[test]
fn a_union_passes_byte_for_byte() {
    assert_eq!(passed(json!([])), values());
    assert_eq!(passed(json!([{ "sql": "SELECT * FROM input" }])), values());
    let some = passed(
        json!([{ "filter": "id > 0" }, { "validate": { "rules": [{ "not_null": ["id"] }] } }, { "sql": "SELECT * FROM input WHERE id < 3" }]),
    );
    assert_eq!(some, values()[1..3]);
    assert_eq!(passed(json!([{ "sql": "SELECT id, payload, held, held.n AS n FROM input" }]))[0].len(), values()[0].len() + 1);
}

#[test]
fn a_step_that_looks_into_a_union_is_refused_by_its_name() {
    for step in [
        json!({ "filter": "payload IS NOT NULL" }),
        json!({ "sql": "SELECT CAST(payload AS text) AS t FROM input" }),
        json!({ "sql": "SELECT coalesce(payload, 1) AS t FROM input" }),
        json!({ "sql": "SELECT id FROM input WHERE payload = 'a'" }),
        json!({ "sql": "SELECT held.u AS payload FROM input" }),
        json!({ "validate": { "rules": [{ "not_null": ["payload"] }] } }),
        json!({ "validate": { "rules": [{ "one_of": { "column": "payload", "values": ["a"] } }] } }),
        json!({ "validate": { "rules": [{ "expression": "payload > 3" }] } }),
    ] {
        let Err(error) = compile(&[from_value(step.clone()).expect("is a step")], &schema()) else { panic!("{step} compiles") };
        assert_eq!(error.kind, Kind::UnionTouched, "{step}: {error}");
        let named = error.message.contains("payload") || error.message.contains("held");
        assert!(named && error.message.contains("union of several types") && !error.message.contains("Union("), "{step}: {error}");
    }
}
