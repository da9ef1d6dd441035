//! Whether one schema can take another's place.

use std::error::Error;

use apache_avro::Schema as Avro;
use apache_avro::schema_compatibility::{Compatibility, SchemaCompatibility};

use super::resolution;
use super::types::{Type, Unsupported};

/// How much of what one schema's records hold another one's reader reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// All of it.
    All,
    /// All but some values: of a union's branch or an enum's symbol that the reader has not.
    Some,
    /// Nothing, and why.
    None(String),
}

/// What of the records written as `written` can be read as `reader` (the texts of two schemas): by the rules of the Avro
/// specification, and as far as this codec keeps them, which refuses, say, a timestamp of another unit.
pub fn reading(reader: &str, written: &str) -> Reading {
    of_texts(reader, written).unwrap_or_else(Reading::None)
}

/// Whether every record that was written as `written` can be read as `reader`. Otherwise a text says why not.
pub fn reads_all(reader: &str, written: &str) -> Result<(), String> {
    match reading(reader, written) {
        Reading::All => Ok(()),
        Reading::Some => Err("some values that one allows have no counterpart in the other".to_owned()),
        Reading::None(why) => Err(why),
    }
}

fn of_texts(reader: &str, written: &str) -> Result<Reading, String> {
    let (reader, written) = (parsed(reader)?, parsed(written)?);
    let (read_as, written_as) = (kind(&reader)?, kind(&written)?);
    resolution::align(&written_as, &read_as).map_err(said)?;
    match SchemaCompatibility::can_read(&written, &reader) {
        Ok(Compatibility::Full) => Ok(Reading::All),
        Ok(Compatibility::Partial) => Ok(Reading::Some),
        Err(error) => Err(words(&error)),
    }
}

/// An error and its causes, without the words that all of them begin with.
fn words(error: &dyn Error) -> String {
    let plain = |error: &dyn Error| {
        let text = error.to_string();
        let beginnings = ["Incompatible schemata! ", "Incompatible schema types! "];
        beginnings.iter().find_map(|start| text.strip_prefix(start).map(str::to_owned)).unwrap_or(text)
    };
    let (mut text, mut cause) = (plain(error), error.source());
    while let Some(error) = cause {
        text = format!("{text}: {}", plain(error));
        cause = error.source();
    }
    text
}

/// Whether two schemas (by their texts) are the same to readers and writers: documentation and the like aside.
pub fn are_same(one: &str, other: &str) -> bool {
    let kind_of = |text: &str| parsed(text).and_then(|avro| kind(&avro));
    matches!((kind_of(one), kind_of(other)), (Ok(one), Ok(other)) if one == other)
}

fn parsed(text: &str) -> Result<Avro, String> {
    Avro::parse_str(text).map_err(|error| error.to_string())
}

fn kind(avro: &Avro) -> Result<Type, String> {
    Type::of(avro).map_err(said)
}

fn said(Unsupported { path, what }: Unsupported) -> String {
    format!("{path} {what}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn reads(reader: &Value, written: &Value) -> Result<(), String> {
        let of = |kind: &Value| json!({"type": "record", "name": "r", "fields": [{"name": "x", "type": kind}]}).to_string();
        reads_all(&of(reader), &of(written))
    }

    #[test]
    fn what_only_some_values_fit_does_not_read_all() {
        let symbols = |symbols: &[&str]| json!({"type": "enum", "name": "e", "symbols": symbols});
        assert_eq!(reads(&symbols(&["A", "B"]), &symbols(&["A"])), Ok(()));
        assert!(reads(&symbols(&["A"]), &symbols(&["A", "B"])).is_err());
        assert_eq!(reads(&json!(["null", "int", "string"]), &json!(["string", "null"])), Ok(()));
        assert!(reads(&json!(["null", "string"]), &json!(["null", "string", "int"])).is_err());
        assert!(reads(&json!("int"), &json!(["null", "int"])).is_err());
    }

    #[test]
    fn a_logical_type_of_another_unit_is_not_read() {
        let logical = |logical: &str| json!({"type": "long", "logicalType": logical});
        assert!(reads(&logical("timestamp-micros"), &logical("timestamp-millis")).is_err());
        assert_eq!(reads(&json!("long"), &json!("int")), Ok(()));
    }
}
