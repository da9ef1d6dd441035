//! JSON records by schema.
//!
//! The text is walked by the schema: each value stays as its raw text until its type is known. So numbers keep every
//! digit, the depth of what a sender nests is bounded by the schema, and nothing is copied that needn't be.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use millrace_model::{Batch, Code, Origin, Records, Result, Schema};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::columns::Columns;
use super::datum::Datum;
use super::scalar::{self, Fit};
use super::shape::{Kind, Shape, Slot};
use super::{Parsed, Problem, shortened};

/// Reads records whose values are one JSON object each.
#[derive(Debug)]
pub struct JsonReader {
    schema: Schema,
    shape: Shape,
}

impl JsonReader {
    /// A reader of records of `schema`; refuses a schema that JSON can't carry (`SchemaUnsupported`).
    pub fn new(schema: &Schema) -> Result<Self> {
        let shape = Shape::of(schema)?;
        Columns::new(&shape, schema.arrow())?;
        Ok(Self { schema: schema.clone(), shape })
    }

    /// Reads each record's value; a record that does not fit is refused alone.
    pub fn read(&self, records: &Arc<Records>) -> Result<Parsed> {
        let mut columns = Columns::new(&self.shape, self.schema.arrow())?;
        let mut rows = Vec::with_capacity(records.len());
        let mut refused = Vec::new();
        for index in 0..records.len() as u32 {
            match check(&self.shape, records.value(index as usize).unwrap_or_default()) {
                Ok(row) => {
                    columns.append(row);
                    rows.push(index);
                }
                Err(problem) => refused.push(problem.of_record(index)),
            }
        }
        Ok(Parsed { batch: Batch::new(columns.finish()?, Origin::of(Arc::clone(records), rows)), refused })
    }
}

/// Checks one record's text.
fn check<'a>(shape: &Shape, value: &'a [u8]) -> Result<Vec<Datum<'a>>, Problem> {
    let text = std::str::from_utf8(value).map_err(|error| {
        let reason = format!("the text is not UTF-8 from byte {} on", error.valid_up_to());
        Problem::new(Code::EncodingInvalid, reason)
    })?;
    let raw: &RawValue = serde_json::from_str(text).map_err(|error| syntax(&error))?;
    match JsonType::of(raw) {
        JsonType::Object => record(shape, raw),
        _ => Err(Problem::expected("an object", &found(raw))),
    }
}

fn syntax(error: &serde_json::Error) -> Problem {
    Problem::new(Code::JsonInvalid, format!("not valid JSON: {error}"))
}

/// What a JSON text is, as its first character says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum JsonType {
    Null,
    Boolean,
    Number,
    String,
    Array,
    Object,
}

impl JsonType {
    fn of(raw: &RawValue) -> Self {
        match raw.get().as_bytes().first() {
            Some(b'n') => Self::Null,
            Some(b't' | b'f') => Self::Boolean,
            Some(b'"') => Self::String,
            Some(b'[') => Self::Array,
            Some(b'{') => Self::Object,
            _ => Self::Number,
        }
    }
}

fn found(raw: &RawValue) -> String {
    let text = raw.get();
    match JsonType::of(raw) {
        JsonType::Null => "null".into(),
        JsonType::Boolean => format!("boolean {text}"),
        JsonType::Number => format!("number {}", shortened(text)),
        JsonType::String => format!("string {}", shortened(text)),
        JsonType::Array => "an array".into(),
        JsonType::Object => "an object".into(),
    }
}

fn value<'a>(slot: &Slot, raw: &'a RawValue) -> Result<Datum<'a>, Problem> {
    match (JsonType::of(raw), &slot.kind) {
        (JsonType::Null, _) if slot.nullable => Ok(Datum::Null),
        (JsonType::Boolean, Kind::Boolean) => Ok(Datum::Boolean(raw.get() == "true")),
        (JsonType::Number, kind) => fitted(scalar::of_number(kind, raw.get()), kind, raw),
        (JsonType::String, kind) => fitted(scalar::of_text(kind, string(raw)?), kind, raw),
        (JsonType::Array, Kind::Array(items)) => array(items, raw),
        (JsonType::Object, Kind::Map(values)) => map(values, raw),
        (JsonType::Object, Kind::Record(shape)) => record(shape, raw).map(Datum::Record),
        (_, kind) => Err(Problem::expected(&kind.name(), &found(raw))),
    }
}

fn fitted<'a>(fit: Fit<Datum<'a>>, kind: &Kind, raw: &RawValue) -> Result<Datum<'a>, Problem> {
    fit.map_err(|more| {
        let comma = if more.is_empty() { "" } else { ", " };
        Problem::expected(&kind.name(), &format!("{}{comma}{more}", found(raw)))
    })
}

/// The text of a string, borrowed when it has no escapes.
fn string(raw: &RawValue) -> Result<Cow<'_, str>, Problem> {
    let inner = raw.get().trim_matches('"');
    if inner.len() + 2 == raw.get().len() && !inner.contains('\\') {
        return Ok(Cow::Borrowed(inner));
    }
    serde_json::from_str(raw.get()).map(Cow::Owned).map_err(|error| syntax(&error))
}

fn array<'a>(items: &Slot, raw: &'a RawValue) -> Result<Datum<'a>, Problem> {
    let raws: Vec<&RawValue> = serde_json::from_str(raw.get()).map_err(|error| syntax(&error))?;
    let item = |(index, raw): (usize, &'a RawValue)| value(items, raw).map_err(|problem| problem.at_index(index));
    raws.into_iter().enumerate().map(item).collect::<Result<_, _>>().map(Datum::Array)
}

fn map<'a>(values: &Slot, raw: &'a RawValue) -> Result<Datum<'a>, Problem> {
    let mut entries: Vec<(Cow<'a, str>, Datum<'a>)> = Vec::new();
    let mut names = std::collections::HashSet::new();
    for (name, raw) in members(raw)? {
        if !names.insert(name.clone()) {
            return Err(twice(&name));
        }
        let datum = value(values, raw).map_err(|problem| problem.in_field(&name))?;
        entries.push((name, datum));
    }
    Ok(Datum::Map(entries))
}

fn record<'a>(shape: &Shape, raw: &'a RawValue) -> Result<Vec<Datum<'a>>, Problem> {
    let mut row: Vec<Option<Datum<'a>>> = vec![None; shape.fields.len()];
    for (name, raw) in members(raw)? {
        let index = shape.index(&name).ok_or_else(|| unknown(shape, &name))?;
        if row[index].is_some() {
            return Err(twice(&name));
        }
        row[index] = Some(value(&shape.fields[index].slot, raw).map_err(|problem| problem.in_field(&name))?);
    }
    let filled = row.into_iter().zip(&shape.fields).map(|(datum, field)| datum.or_else(|| field.absent()).ok_or_else(|| missing(field)));
    filled.collect()
}

fn missing(field: &super::shape::Member) -> Problem {
    let reason = format!("the field is missing; expected {}", field.slot.kind.name());
    Problem::new(Code::FieldMissing, reason).in_field(&field.name)
}

fn unknown(shape: &Shape, name: &str) -> Problem {
    Problem::new(Code::FieldUnknown, format!("the schema has no such field{}", shape.suggestion(name))).in_field(name)
}

fn twice(name: &str) -> Problem {
    Problem::new(Code::JsonInvalid, "the name occurs twice in one object").in_field(name)
}

/// The members of an object in their order, names that occur twice included.
fn members(raw: &RawValue) -> Result<Vec<(Cow<'_, str>, &RawValue)>, Problem> {
    let Members(members) = serde_json::from_str(raw.get()).map_err(|error| syntax(&error))?;
    Ok(members)
}

struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(Name(name)) = access.next_key()? {
            members.push((name, access.next_value()?));
        }
        Ok(Members(members))
    }
}

/// A member's name, borrowed when it has no escapes; serde's own `Cow` is never borrowed.
#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// A field's default, which the Avro specification writes in its own way: bytes and decimals as characters U+0000 to
/// U+00FF, dates and times as their numbers.
pub(super) fn default_value(default: &serde_json::Value, slot: &Slot) -> Result<Datum<'static>, String> {
    use serde_json::Value;
    match (default, &slot.kind) {
        (Value::Null, _) if slot.nullable => Ok(Datum::Null),
        (Value::Bool(value), Kind::Boolean) => Ok(Datum::Boolean(*value)),
        (Value::Number(number), Kind::Date | Kind::Time(_)) => {
            number.as_i64().map(Datum::Integer).ok_or_else(|| misfit(default, &slot.kind))
        }
        (Value::Number(number), kind) => scalar::of_number(kind, &number.to_string()).map_err(|_| misfit(default, kind)),
        (Value::String(text), Kind::Bytes | Kind::Fixed(_)) => characters(text).map(|bytes| Datum::Bytes(Cow::Owned(bytes))),
        (Value::String(text), Kind::Decimal { .. }) => characters(text).map(|bytes| Datum::Decimal(big_endian(&bytes))),
        (Value::String(text), kind) => scalar::of_text(kind, Cow::Owned(text.clone())).map_err(|_| misfit(default, kind)),
        (Value::Array(items), Kind::Array(slot)) => {
            items.iter().map(|item| default_value(item, slot)).collect::<Result<_, _>>().map(Datum::Array)
        }
        (Value::Object(object), Kind::Map(slot)) => {
            let entry = |(name, value): (&String, &Value)| Ok((Cow::Owned(name.clone()), default_value(value, slot)?));
            object.iter().map(entry).collect::<Result<_, String>>().map(Datum::Map)
        }
        (Value::Object(object), Kind::Record(shape)) => default_of_record(object, shape),
        (_, kind) => Err(misfit(default, kind)),
    }
}

fn misfit(default: &serde_json::Value, kind: &Kind) -> String {
    format!("expected {}, found {}", kind.name(), shortened(&default.to_string()))
}

fn default_of_record(object: &serde_json::Map<String, serde_json::Value>, shape: &Shape) -> Result<Datum<'static>, String> {
    let field = |field: &super::shape::Member| match object.get(&*field.name) {
        Some(value) => default_value(value, &field.slot),
        None => field.absent().ok_or_else(|| format!("it has no field `{}`", field.name)),
    };
    shape.fields.iter().map(field).collect::<Result<_, _>>().map(Datum::Record)
}

fn characters(text: &str) -> Result<Vec<u8>, String> {
    text.chars().map(|c| u8::try_from(u32::from(c)).map_err(|_| format!("`{c}` is not a byte"))).collect()
}

/// A number in two's complement; longer ones than 16 bytes exceed every precision.
fn big_endian(bytes: &[u8]) -> i128 {
    const WIDTH: usize = size_of::<i128>();
    let sign = if bytes.first().is_some_and(|byte| byte & 0x80 != 0) { 0xff } else { 0 };
    let mut wide = [sign; WIDTH];
    let kept = &bytes[bytes.len().saturating_sub(WIDTH)..];
    wide[WIDTH - kept.len()..].copy_from_slice(kept);
    i128::from_be_bytes(wide)
}

#[cfg(test)]
mod tests {
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
        let columns = accepted(
            &fields,
            r#"{"at":"1970-01-01T00:00:01Z","id":"550e8400-e29b-41d4-a716-446655440000","day":"1970-01-03","time":"00:01"}"#,
        );
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
        let inner = json!({ "type": "record", "name": "In", "fields": [{ "name": "deep", "type": { "type": "array", "items": ["null", "string"] } }] });
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

    proptest! {
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
}
