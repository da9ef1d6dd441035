//! JSON records by schema.
//!
//! The text is walked by the schema: each value stays as its raw text until its type is known. So numbers keep every
//! digit, the depth of what a sender nests is bounded by the schema, and nothing is copied that needn't be.

mod direct;
mod schema;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use millrace_model::{Code, Records, Result, Schema};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::columns::Columns;
use super::datum::Datum;
use super::scalar::{self, Fit};
use super::shape::{Kind, Shape, Slot};
use super::{Parsed, Problem, parsed, shortened};

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
        Columns::new(&shape, schema.arrow(), 0)?;
        Ok(Self { schema: schema.clone(), shape })
    }

    /// Reads each record's value; a record that does not fit is refused alone.
    pub fn read(&self, records: &Arc<Records>) -> Result<Parsed> {
        let checked = (0..records.len()).map(|record| check(&self.shape, records.value(record).unwrap_or_default()));
        parsed(&self.shape, &self.schema, records, checked)
    }
}

/// Checks one record's text.
fn check<'a>(shape: &Shape, value: &'a [u8]) -> Result<Vec<Datum<'a>>, Problem> {
    let text = std::str::from_utf8(value).map_err(|error| {
        let reason = format!("the text is not UTF-8 from byte {} on", error.valid_up_to());
        Problem::new(Code::EncodingInvalid, reason)
    })?;
    direct::row(shape, text).map_or_else(|| walked(shape, text), Ok)
}

/// The careful walk.
fn walked<'a>(shape: &Shape, text: &'a str) -> Result<Vec<Datum<'a>>, Problem> {
    let raw: &RawValue = serde_json::from_str(text).map_err(|error| syntax(&error))?;
    match JsonType::of(raw) {
        JsonType::Object => record(shape, raw),
        _ => Err(Problem::expected("an object", &found(raw))),
    }
}

pub(super) fn syntax(error: &serde_json::Error) -> Problem {
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

pub(super) fn value<'a>(slot: &Slot, raw: &'a RawValue) -> Result<Datum<'a>, Problem> {
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
    filled(shape, row)
}

/// A row, each field that is left out with its default or null.
pub(super) fn filled<'a>(shape: &Shape, row: Vec<Option<Datum<'a>>>) -> Result<Vec<Datum<'a>>, Problem> {
    let filled = row.into_iter().zip(&shape.fields).map(|(datum, field)| datum.or_else(|| field.absent()).ok_or_else(|| missing(field)));
    filled.collect()
}

fn missing(field: &super::shape::Member) -> Problem {
    let reason = format!("the field is missing; expected {}", field.slot.kind.name());
    Problem::new(Code::FieldMissing, reason).in_field(&field.name)
}

pub(super) fn unknown(shape: &Shape, name: &str) -> Problem {
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
mod tests;
