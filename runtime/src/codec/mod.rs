//! Confluent-framed Avro to Arrow and back, by the batch.
//!
//! The wire format is Confluent's: a zero byte, the id of the writer's schema as four bytes big-endian, and the record in
//! Avro's binary encoding. A topic's [`Schema`] says what its records are decoded into, whatever schema each was written
//! with.
//!
//! | Avro | Arrow |
//! |---|---|
//! | boolean, int, long, float, double | `Boolean`, `Int32`, `Int64`, `Float32`, `Float64` |
//! | string, bytes, fixed | `Utf8`, `Binary`, `FixedSizeBinary` |
//! | enum | `Dictionary(Int32, Utf8)`, whose values are the symbols in their order |
//! | array, map, record | `List` (of `item`), `Map` (`entries` of `key` and `value`), `Struct` |
//! | decimal of up to 38 digits | `Decimal128` |
//! | date | `Date32` |
//! | time-millis, time-micros | `Time32(ms)`, `Time64(µs)` |
//! | timestamp-millis, -micros, -nanos | `Timestamp` of that unit in `+00:00` |
//! | local-timestamp-millis, -micros, -nanos | `Timestamp` of that unit without a zone |
//! | uuid, in a string or fixed | `FixedSizeBinary(16)`, with the field's metadata `logicalType` = `uuid` |
//! | union of null and one type | that type's, nullable |
//! | any other union | `Union` (dense), whose type ids are the indices of the branches |
//!
//! Everything else (recursive records, durations, null alone) is refused by [`schema`], which names
//! the field.

mod compatibility;
pub mod container;
mod decoder;
pub(crate) mod definitions;
mod difference;
mod encoder;
mod fit;
mod form;
mod memory;
mod number;
mod resolution;
mod shape;
mod support;
mod types;
mod wire;
mod writer;

use millrace_model::{Code, Fault, Result, Schema};
use serde_json::{Value, json};

pub use compatibility::{Reading, are_same, reading, reads_all};
pub use decoder::{Decoded, Decoder};
pub use difference::{Change, Difference, are_written_alike, differences, told_differences};
pub use encoder::{Encoded, Encoder};
pub(crate) use fit::misfits;

use types::{Type, Unsupported};

/// How many bytes the framing takes.
const FRAME: usize = 5;

/// The schema of an Avro record with its Arrow form, which is exactly what a [`Decoder`] yields.
///
/// # Errors
/// [`Code::SchemaInvalid`] for what is not a valid Avro schema of a record, and [`Code::SchemaUnsupported`] for a type that
/// Millrace does not carry; both name the field.
pub fn schema(avro: Value) -> Result<Schema> {
    let kind = parse(&avro)?;
    let text = wire::text(&kind);
    let decoder = writer::decoder(0, &text, &text);
    let wire = decoder.map_err(|error| Fault::operator(Code::SchemaUnsupported, "the schema can't be decoded").because(error))?.schema();
    Ok(Schema::new(avro, form::labelled(&wire, &kind)))
}

/// The schema of some columns of `whole`, in the given order: a record of its name with `suffix` added, in which each
/// named type is defined where it is first mentioned, wherever it was defined in `whole`.
///
/// # Errors
/// As those of [`schema`].
///
/// # Panics
/// If `whole` has no such column.
pub fn columns(whole: &Schema, columns: &[usize], suffix: &str) -> Result<Schema> {
    let fields: Vec<&Value> = columns.iter().map(|&column| &whole.fields()[column]).collect();
    let mut avro = json!({ "type": "record", "name": format!("{}{suffix}", whole.name()), "fields": fields });
    definitions::define(&mut avro, &definitions::defined_in(whole.avro()));
    schema(avro)
}

/// The schema of the record that the column `name` of `whole` is, nullable or not.
///
/// # Errors
/// As those of [`schema`]; [`Code::SchemaInvalid`] where the column is no record.
pub fn record(whole: &Schema, name: &str) -> Result<Schema> {
    let definitions = definitions::defined_in(whole.avro());
    let kinds = whole.field(name).map(|field| &field["type"]);
    let branches = kinds.into_iter().flat_map(|kind| kind.as_array().map_or(std::slice::from_ref(kind), Vec::as_slice));
    let full = |name: &str| definitions.get(name).or_else(|| definitions.get(&format!("{}.{name}", whole.avro()["namespace"].as_str()?)));
    let mut records = branches.filter_map(|branch| match branch {
        Value::String(name) => full(name).cloned(),
        other => Some(other.clone()),
    });
    let mut record = records
        .find(|branch| branch["type"] == "record")
        .ok_or_else(|| Fault::operator(Code::SchemaInvalid, format!("the column {name} of {} is no record", whole.name())))?;
    definitions::define(&mut record, &definitions);
    schema(record)
}

/// The first union of several types in `schema`, with its place, in words: what no text format has a form for.
pub fn union_in(schema: &Schema) -> Option<String> {
    support::union_in(&kind_of(schema).ok()?, &mut types::Path::default())
}

/// The type of a schema that [`schema`] has made.
fn kind_of(schema: &Schema) -> Result<Type> {
    parse(schema.avro())
}

fn parse(avro: &Value) -> Result<Type> {
    let parsed = apache_avro::Schema::parse(avro).map_err(|error| invalid(avro, error))?;
    let kind = Type::of(&parsed).and_then(|kind| support::supported(&kind).map(|()| kind));
    kind.map_err(|Unsupported { path, what }| Fault::operator(Code::SchemaUnsupported, format!("{path} {what}")))
}

fn invalid(avro: &Value, error: apache_avro::Error) -> Fault {
    let place = support::culprit(avro).map_or_else(|| "the schema".to_owned(), |path| format!("field `{path}` of the schema"));
    Fault::operator(Code::SchemaInvalid, format!("{place} is not valid Avro")).because(error)
}

/// The id in the framing of a value, if it is framed.
fn schema_id(value: &[u8]) -> Option<u32> {
    match value {
        [0, a, b, c, d, ..] => Some(u32::from_be_bytes([*a, *b, *c, *d])),
        _ => None,
    }
}
