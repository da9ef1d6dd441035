//! Letters in an Avro container file, by `schemas/dead_letter.avsc`.

use std::sync::LazyLock;

use apache_avro::types::Value;
use apache_avro::{Reader, Schema, Writer};
use millrace_model::{Code, Fault, Header, Record, Result};
use millrace_runtime::dead_letters::{DeadLetter, Place};

use crate::letters::Letter;

static SCHEMA: LazyLock<Schema> =
    LazyLock::new(|| Schema::parse_str(include_str!("../../../schemas/dead_letter.avsc")).expect("the schema is Avro"));

/// The letters as an Avro container file.
pub fn avro(letters: &[Letter]) -> Result<Vec<u8>> {
    let failed = |error| Fault::fatal(Code::Internal, "a dead letter fits its schema").because(error);
    let mut writer = Writer::new(&SCHEMA, Vec::new()).map_err(failed)?;
    for Letter { letter, .. } in letters {
        writer.append_value(record(letter)).map_err(failed)?;
    }
    writer.into_inner().map_err(failed)
}

fn record(letter: &DeadLetter) -> Value {
    let Place { topic, partition, offset } = letter.place.clone();
    let text = |name: &str| Value::String(letter.said(name).to_owned());
    let headers = letter.headers.iter().map(|header| {
        Value::Record(vec![("name".to_owned(), Value::String(header.key.clone())), ("value".to_owned(), optional(header.value.as_deref()))])
    });
    let fields = [
        ("dead_letter_topic", Value::String(topic)),
        ("dead_letter_partition", Value::Int(partition)),
        ("dead_letter_offset", Value::Long(offset)),
        ("timestamp", Value::TimestampMillis(letter.timestamp)),
        ("pipeline", text("pipeline")),
        ("stage", text("stage")),
        ("code", text("code")),
        ("message", text("message")),
        ("topic", text("topic")),
        ("partition", text("partition")),
        ("offset", text("offset")),
        ("key", optional(letter.key.as_deref())),
        ("value", optional(letter.value.as_deref())),
        ("headers", Value::Array(headers.collect())),
    ];
    Value::Record(fields.map(|(name, value)| (name.to_owned(), value)).into())
}

fn optional(bytes: Option<&[u8]>) -> Value {
    match bytes {
        None => Value::Union(0, Box::new(Value::Null)),
        Some(bytes) => Value::Union(1, Box::new(Value::Bytes(bytes.to_vec()))),
    }
}

/// The letters of a container file; a text says what is wrong with it.
pub(crate) fn letters(file: &[u8]) -> Result<Vec<DeadLetter>, String> {
    let reader = Reader::builder(file).reader_schema(&SCHEMA).build().map_err(|error| error.to_string())?;
    reader.map(|value| letter(value.map_err(|error| error.to_string())?)).collect()
}

fn letter(value: Value) -> Result<DeadLetter, String> {
    let Value::Record(fields) = value else { return Err("it holds something else than records".to_owned()) };
    let field = |name: &str| fields.iter().find(|(field, _)| field == name).map(|(_, value)| value);
    let missing = |name: &str| format!("the field {name} is not as it should be");
    let (Some(Value::String(topic)), Some(Value::Int(partition)), Some(Value::Long(offset)), Some(Value::TimestampMillis(timestamp))) =
        (field("dead_letter_topic"), field("dead_letter_partition"), field("dead_letter_offset"), field("timestamp"))
    else {
        return Err(missing("dead_letter_topic"));
    };
    let Some(Value::Array(headers)) = field("headers") else { return Err(missing("headers")) };
    let headers: Vec<Header> = headers.iter().map(|value| header(value).ok_or_else(|| missing("headers"))).collect::<Result<_, _>>()?;
    let (key, value) = (field("key").and_then(bytes), field("value").and_then(bytes));
    Ok(DeadLetter::of(&Record { topic, partition: *partition, offset: *offset, timestamp: *timestamp, key, value, headers: &headers }))
}

fn header(value: &Value) -> Option<Header> {
    let Value::Record(fields) = value else { return None };
    match fields.as_slice() {
        [(_, Value::String(key)), (_, value)] => Some(Header { key: key.clone(), value: bytes(value).map(<[u8]>::to_vec) }),
        _ => None,
    }
}

fn bytes(value: &Value) -> Option<&[u8]> {
    match value {
        Value::Union(_, value) => bytes(value),
        Value::Bytes(bytes) => Some(bytes),
        _ => None,
    }
}
