//! JSON in, by the schema.

use super::*;
use crate::formats::testing::{records, schema};
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Decimal128Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use proptest::prelude::*;
use serde_json::{Value, json};

fn parse(schema: &Schema, values: &[impl AsRef<[u8]>]) -> Parsed {
    JsonReader::new(schema).expect("a schema for JSON").read(&records(values)).expect("reads")
}

fn refusal(fields: &Value, value: &str) -> (Code, String) {
    let parsed = parse(&schema(fields), &[value]);
    assert!(parsed.batch.is_empty(), "{value} was taken");
    (parsed.refused[0].code, parsed.refused[0].text())
}

fn accepted(fields: &Value, value: &str) -> RecordBatch {
    let parsed = parse(&schema(fields), &[value]);
    assert_eq!(parsed.refused, [], "{value}");
    parsed.batch.columns().clone()
}

fn one(avro: &Value) -> Value {
    json!([{ "name": "a", "type": avro }])
}

#[test]
fn a_refusal_has_the_path_of_the_field() {
    let name = json!({ "type": "record", "name": "P", "fields": [{ "name": "name", "type": "string" }] });
    let fields = json!([{ "name": "passengers", "type": { "type": "array", "items": name } }, { "name": "extra", "type": { "type": "map", "values": "int" }, "default": {} }]);
    let people = r#"{"passengers":[{"name":"A"},{"name":"B"},{"name":12}]}"#;
    assert_eq!(refusal(&fields, people), (Code::FieldType, "passengers[2].name: expected string, found number 12".into()));
    assert_eq!(refusal(&fields, r#"{"passengers":[{}]}"#).1, "passengers[0].name: the field is missing; expected string");
    assert_eq!(refusal(&fields, r#"{"passengers":[],"extra":{"k":"v"}}"#).1, "extra.k: expected int, found string \"v\"");
}

#[test]
fn strange_names_and_missing_ones_are_refused() {
    let fields = json!([{ "name": "carrier", "type": "string" }]);
    assert_eq!(
        refusal(&fields, r#"{"carier":"UA"}"#),
        (Code::FieldUnknown, "carier: the schema has no such field; did you mean `carrier`?".into())
    );
    assert_eq!(refusal(&fields, "{}"), (Code::FieldMissing, "carrier: the field is missing; expected string".into()));
    assert_eq!(
        refusal(&fields, r#"{"carrier":"UA","carrier":"AA"}"#),
        (Code::JsonInvalid, "carrier: the name occurs twice in one object".into())
    );
}

#[test]
fn what_is_not_an_object_in_json_is_refused() {
    let fields = one(&json!("int"));
    for text in ["", "{", "{\"a\":1}}", "{\"a\":1,}", "{\"a\":01}", "{\"a\":NaN}", "{'a':1}", "{\"a\":1} {\"a\":2}"] {
        assert_eq!(refusal(&fields, text).0, Code::JsonInvalid, "{text}");
    }
    for text in ["1", "null", "[]", "\"a\""] {
        assert_eq!(refusal(&fields, text).0, Code::FieldType, "{text}");
    }
}

#[test]
fn text_that_is_not_utf_8_is_refused() {
    let parsed = parse(&schema(&one(&json!("string"))), &[b"{\"a\":\"\xff\"}".as_slice(), b"{\"a\":\"ok\"}"]);
    assert_eq!(
        (parsed.refused[0].code, parsed.refused[0].reason.as_str()),
        (Code::EncodingInvalid, "the text is not UTF-8 from byte 6 on")
    );
    assert_eq!(parsed.batch.len(), 1);
    assert_eq!(refusal(&one(&json!("string")), r#"{"a":"\ud800"}"#).0, Code::JsonInvalid);
}

#[test]
fn a_bomb_of_brackets_is_refused_without_recursion() {
    let bomb = format!("{{\"a\":{}{}}}", "[".repeat(200_000), "]".repeat(200_000));
    assert_eq!(refusal(&one(&json!("int")), &bomb).1, "a: expected int, found an array");
    assert_eq!(refusal(&one(&json!("int")), &"[".repeat(1_000_000)).0, Code::JsonInvalid);
}

#[test]
fn numbers_are_not_rounded_nor_cut() {
    for text in ["1.0", "1e3", "2147483648", "1e999", "\"1\"", "true", "null", "123456789012345678901234567890"] {
        assert_eq!(refusal(&one(&json!("int")), &format!("{{\"a\":{text}}}")).0, Code::FieldType, "{text}");
    }
    let long = accepted(&one(&json!("long")), r#"{"a":9007199254740993}"#);
    assert_eq!(long.column(0).as_primitive::<Int64Type>().value(0), 9_007_199_254_740_993);
    let decimal = json!({ "type": "bytes", "logicalType": "decimal", "precision": 30, "scale": 2 });
    let exact = accepted(&one(&decimal), r#"{"a":1234567890123456789012345678.25}"#);
    assert_eq!(exact.column(0).as_primitive::<Decimal128Type>().value(0), 123_456_789_012_345_678_901_234_567_825);
    assert_eq!(refusal(&one(&json!("double")), r#"{"a":1e400}"#).1, "a: expected double, found number 1e400, which is out of range");
}

#[test]
fn a_value_in_a_reason_is_shortened() {
    let (_, reason) = refusal(&one(&json!("int")), &format!("{{\"a\":\"{}\"}}", "x".repeat(1000)));
    assert!(reason.chars().count() < 100, "{reason}");
}

#[test]
fn a_field_left_out_takes_its_default_or_null() {
    let fields = json!([
        { "name": "a", "type": ["null", "string"] },
        { "name": "b", "type": "int", "default": 5 },
        { "name": "c", "type": ["string", "null"], "default": "x" },
        { "name": "d", "type": "bytes", "default": "\u{00ff}" },
        { "name": "e", "type": { "type": "enum", "name": "E", "symbols": ["X", "Y"] }, "default": "Y" },
        { "name": "f", "type": { "type": "array", "items": "int" }, "default": [1, 2] },
        { "name": "g", "type": { "type": "int", "logicalType": "date" }, "default": 3 },
    ]);
    let columns = accepted(&fields, "{}");
    assert!(columns.column(0).is_null(0));
    assert_eq!(columns.column(1).as_primitive::<Int32Type>().value(0), 5);
    assert_eq!(columns.column(2).as_string::<i32>().value(0), "x");
    assert_eq!(columns.column(3).as_binary::<i32>().value(0), [0xff]);
    assert_eq!(columns.column(4).as_dictionary::<Int32Type>().keys().value(0), 1);
    assert_eq!(columns.column(5).as_list::<i32>().value(0).as_primitive::<Int32Type>().values(), &[1, 2]);
}

#[test]
fn logical_types_have_their_usual_forms() {
    let fields = json!([
        { "name": "at", "type": { "type": "long", "logicalType": "timestamp-micros" } },
        { "name": "id", "type": { "type": "string", "logicalType": "uuid" } },
        { "name": "day", "type": { "type": "int", "logicalType": "date" } },
        { "name": "time", "type": { "type": "int", "logicalType": "time-millis" } },
    ]);
    let columns =
        accepted(&fields, r#"{"at":"1970-01-01T00:00:01Z","id":"550e8400-e29b-41d4-a716-446655440000","day":"1970-01-03","time":"00:01"}"#);
    assert_eq!(columns.column(0).as_primitive::<TimestampMicrosecondType>().value(0), 1_000_000);
    assert_eq!(refusal(&one(&fields[2]["type"]), r#"{"a":"3 Jan"}"#).1, "a: expected date such as 2013-01-31, found string \"3 Jan\"");
}

#[test]
fn null_records_within_records_stay_null() {
    let inner = json!({ "type": "record", "name": "I", "fields": [{ "name": "x", "type": "int" }, { "name": "m", "type": { "type": "map", "values": "string" } }] });
    let columns = accepted(&one(&json!(["null", inner])), r#"{"a":null}"#);
    assert!(columns.column(0).is_null(0));
    let columns = accepted(&one(&json!(["null", inner])), r#"{"a":{"x":1,"m":{"k":"v"}}}"#);
    assert_eq!(columns.column(0).as_struct().column(0).as_primitive::<Int32Type>().value(0), 1);
}

/// A field of every type, with a value in JSON.
fn every_type() -> (Value, Value) {
    let fixed = |name: &str, size: u32, more: Value| {
        let mut avro = json!({ "type": "fixed", "name": name, "size": size });
        avro.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
        avro
    };
    let logical = |base: &str, logical: &str| json!({ "type": base, "logicalType": logical });
    let inner =
        json!({ "type": "record", "name": "In", "fields": [{ "name": "deep", "type": { "type": "array", "items": ["null", "string"] } }] });
    let types = [
        ("boolean", json!("boolean"), json!(true)),
        ("int", json!("int"), json!(-7)),
        ("long", json!("long"), json!(i64::MIN)),
        ("float", json!("float"), json!(1.5)),
        ("double", json!("double"), json!(-0.1)),
        ("string", json!("string"), json!("a\"\u{e9}\n")),
        ("bytes", json!("bytes"), json!("AAH/")),
        ("fixed", fixed("F", 2, json!({})), json!("AAE=")),
        ("enum", json!({ "type": "enum", "name": "E", "symbols": ["A", "B"] }), json!("B")),
        ("decimal", json!({ "type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2 }), json!("-12.34")),
        (
            "wide",
            json!({ "type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 3 }),
            json!("12345678901234567890123456789012345.678"),
        ),
        ("fixed_decimal", fixed("D", 8, json!({ "logicalType": "decimal", "precision": 12, "scale": 0 })), json!(5)),
        ("date", logical("int", "date"), json!("2013-01-31")),
        ("time_millis", logical("int", "time-millis"), json!("17:05:00.250")),
        ("time_micros", logical("long", "time-micros"), json!("17:05:00.250001")),
        ("at_millis", logical("long", "timestamp-millis"), json!("2013-01-31T17:05:00Z")),
        ("at_micros", logical("long", "timestamp-micros"), json!(1)),
        ("local", logical("long", "local-timestamp-micros"), json!("2013-01-31T17:05:00")),
        ("uuid", logical("string", "uuid"), json!("550e8400-e29b-41d4-a716-446655440000")),
        ("array", json!({ "type": "array", "items": "int" }), json!([1, 2])),
        ("map", json!({ "type": "map", "values": ["null", "long"] }), json!({ "a": 1, "b": null })),
        ("record", inner.clone(), json!({ "deep": ["x", null] })),
        ("nothing", json!(["null", "In"]), json!(null)),
    ];
    let fields = types.iter().map(|(name, avro, _)| json!({ "name": name, "type": avro })).collect();
    (fields, types.into_iter().map(|(name, _, value)| (name.to_owned(), value)).collect())
}

#[test]
fn a_good_record_of_any_types_goes_the_direct_way() {
    let (fields, value) = every_type();
    let shape = Shape::of(&schema(&fields)).expect("a shape");
    let of = |members: &mut dyn Iterator<Item = (&String, &Value)>| {
        let members: Vec<String> = members.map(|(name, value)| format!("\"{name}\":{value}")).collect();
        format!("{{{}}}", members.join(","))
    };
    let members = || value.as_object().expect("an object").iter();
    for text in [of(&mut members()), of(&mut members().rev()), of(&mut members().filter(|(name, _)| *name != "nothing"))] {
        let walked = walked(&shape, &text).map_err(|problem| problem.reason).expect("is good");
        assert_eq!(direct::row(&shape, &text), Some(walked), "{text}");
    }
}

#[test]
fn every_type_comes_out_of_avro_as_it_went_in() {
    let (fields, value) = every_type();
    let schema = schema(&fields);
    let parsed = parse(&schema, &[value.to_string()]);
    assert_eq!(parsed.refused, []);
    let encoded = crate::codec::Encoder::new(&schema, 1).expect("an encoder").encode(parsed.batch.columns()).expect("encodes");
    let mut decoder = crate::codec::Decoder::new(&schema).expect("a decoder");
    decoder.learn(1, Some(schema.text()));
    let decoded = decoder.decode(&records(&[encoded.value(0)])).expect("decodes");
    assert_eq!(decoded.rejected, []);
    for (field, (ours, theirs)) in
        schema.arrow().fields().iter().zip(parsed.batch.columns().columns().iter().zip(decoded.batch.columns().columns()))
    {
        assert_eq!(ours, theirs, "{}", field.name());
    }
}

fn wide() -> Schema {
    schema(&json!([
        { "name": "n", "type": "long" },
        { "name": "x", "type": ["null", "double"] },
        { "name": "s", "type": "string" },
        { "name": "l", "type": { "type": "array", "items": ["null", "int"] } },
    ]))
}

type Row = (i64, Option<f64>, String, Vec<Option<i32>>);

fn row() -> impl Strategy<Value = Row> {
    let finite = prop::num::f64::NORMAL | prop::num::f64::ZERO;
    (any::<i64>(), prop::option::of(finite), any::<String>(), prop::collection::vec(any::<Option<i32>>(), 0..4))
}

fn text((n, x, s, l): &Row) -> Vec<u8> {
    json!({ "n": n, "x": x, "s": s, "l": l }).to_string().into_bytes()
}

fn read_back(columns: &RecordBatch) -> Vec<Row> {
    let (n, x) = (columns.column(0).as_primitive::<Int64Type>(), columns.column(1).as_primitive::<Float64Type>());
    let (s, l) = (columns.column(2).as_string::<i32>(), columns.column(3).as_list::<i32>());
    let x = |row| x.is_valid(row).then(|| x.value(row));
    let list = |row| l.value(row).as_primitive::<Int32Type>().iter().collect();
    (0..columns.num_rows()).map(|row| (n.value(row), x(row), s.value(row).to_owned(), list(row))).collect()
}

/// Texts that are near a good record: its pieces, kept, doubled, left out, or others in their place.
fn nearly_good() -> impl Strategy<Value = String> {
    let name = prop_oneof![Just("n"), Just("x"), Just("s"), Just("l"), Just("\\u006e"), Just("N")];
    let value = prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>().prop_map(|number| format!("{number:e}")),
        prop_oneof![
            Just("null"),
            Just("-0"),
            Just("1.0"),
            Just("true"),
            Just("[1,null]"),
            Just("[1,[2]]"),
            Just("{}"),
            Just("01"),
            Just("")
        ]
        .prop_map(str::to_owned),
        any::<String>().prop_map(|text| Value::from(text).to_string()),
        Just("\"\\ud800\"".to_owned()),
    ];
    let member = (name, value).prop_map(|(name, value)| format!("\"{name}\":{value}"));
    (prop::collection::vec(member, 0..6), prop_oneof![Just(""), Just(" "), Just(","), Just("x")])
        .prop_map(|(members, end)| format!("{{{}}}{end}", members.join(",")))
}

proptest! {
    #[test]
    fn what_the_direct_way_takes_the_careful_walk_takes_as_the_same(text in nearly_good()) {
        let shape = Shape::of(&wide()).expect("a shape");
        if let Some(row) = direct::row(&shape, &text) {
            prop_assert_eq!(walked(&shape, &text).map_err(|problem| problem.reason), Ok(row));
        }
    }

    #[test]
    fn rows_survive_json(rows in prop::collection::vec(row(), 0..20)) {
        let parsed = parse(&wide(), &rows.iter().map(text).collect::<Vec<_>>());
        prop_assert!(parsed.refused.is_empty());
        prop_assert_eq!(read_back(parsed.batch.columns()), rows);
    }

    #[test]
    fn a_bad_record_at_any_index_changes_no_other(rows in prop::collection::vec(row(), 1..12), at in any::<prop::sample::Index>(), bad in prop::collection::vec(any::<u8>(), 0..30)) {
        let mut values: Vec<Vec<u8>> = rows.iter().map(text).collect();
        let at = at.index(values.len() + 1);
        values.insert(at, bad);
        let parsed = parse(&wide(), &values);
        let others: Vec<u32> = (0..values.len() as u32).filter(|&record| record as usize != at).collect();
        prop_assert_eq!(parsed.refused.iter().map(|refusal| refusal.record as usize).collect::<Vec<_>>(), vec![at]);
        prop_assert_eq!(parsed.batch.origin().rows(), &others);
        prop_assert_eq!(read_back(parsed.batch.columns()), rows);
    }
}
