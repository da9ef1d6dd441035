//! Rows as JSON, in the form in which [`JsonReader`](super::JsonReader) reads them: bytes in base64, decimals as text so that no digit
//! is lost, dates and times as ISO 8601 has them. A NaN or an infinity, for which JSON has no number, is the text that names it: no type takes
//! it for another value.

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, AsArray, RecordBatch, StructArray};
use arrow::datatypes::{DataType, Decimal128Type, Field, FieldRef, Float32Type, Float64Type};
use arrow::error::ArrowError;
use arrow_json::writer::{EncoderOptions, NullableEncoder, make_encoder};
use arrow_json::{Encoder, EncoderFactory};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use millrace_model::{Code, Fault, Result};
use serde_json::Value;
use uuid::Uuid;

static OPTIONS: LazyLock<EncoderOptions> =
    LazyLock::new(|| EncoderOptions::default().with_explicit_nulls(true).with_encoder_factory(Arc::new(AsRead)));

/// Each row as an object. For people and patches: it is not made for speed.
pub fn render(columns: &RecordBatch) -> Result<Vec<Value>> {
    let mut rows = Vec::with_capacity(columns.num_rows());
    each_row(columns, |text| rows.push(serde_json::from_slice(text))).map_err(unwritable)?;
    rows.into_iter().map(|row| row.map_err(unwritable)).collect()
}

/// Hands out the text of each row in turn.
pub(super) fn each_row(columns: &RecordBatch, mut take: impl FnMut(&[u8])) -> Result<(), ArrowError> {
    let rows = StructArray::from(columns.clone());
    let field = Arc::new(Field::new("row", rows.data_type().clone(), false));
    let mut encoder = make_encoder(&field, &rows, &OPTIONS)?;
    let mut text = Vec::new();
    for row in 0..rows.len() {
        text.clear();
        encoder.encode(row, &mut text);
        take(&text);
    }
    Ok(())
}

fn unwritable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Fault {
    Fault::fatal(Code::Internal, "rows can't be written as JSON").because(error)
}

/// The encoders of types that arrow-json writes otherwise.
#[derive(Debug)]
struct AsRead;

impl EncoderFactory for AsRead {
    fn make_default_encoder<'a>(
        &self,
        field: &'a FieldRef,
        array: &'a dyn Array,
        _options: &'a EncoderOptions,
    ) -> Result<Option<NullableEncoder<'a>>, ArrowError> {
        let encoder: Box<dyn Encoder + 'a> = match array.data_type() {
            DataType::FixedSizeBinary(16) if is_uuid(field) => {
                let uuids = array.as_fixed_size_binary();
                Box::new(Quoted(move |row| Uuid::from_slice(uuids.value(row)).unwrap_or_default().to_string()))
            }
            DataType::FixedSizeBinary(_) => {
                let bytes = array.as_fixed_size_binary();
                Box::new(Quoted(move |row| BASE64.encode(bytes.value(row))))
            }
            DataType::Binary => {
                let bytes = array.as_binary::<i32>();
                Box::new(Quoted(move |row| BASE64.encode(bytes.value(row))))
            }
            DataType::Decimal128(..) => {
                let decimals = array.as_primitive::<Decimal128Type>();
                Box::new(Quoted(move |row| decimals.value_as_string(row)))
            }
            DataType::Float32 => {
                let floats = array.as_primitive::<Float32Type>();
                Box::new(Floats(move |row| f64::from(floats.value(row)), move |row| format!("{:?}", floats.value(row))))
            }
            DataType::Float64 => {
                let floats = array.as_primitive::<Float64Type>();
                Box::new(Floats(move |row| floats.value(row), move |row| format!("{:?}", floats.value(row))))
            }
            _ => return Ok(None),
        };
        Ok(Some(NullableEncoder::new(encoder, array.nulls().cloned())))
    }
}

fn is_uuid(field: &Field) -> bool {
    field.metadata().get("logicalType").is_some_and(|logical| logical == "uuid")
}

/// A text without characters that JSON escapes, in quotes.
struct Quoted<F>(F);

impl<F: Fn(usize) -> String> Encoder for Quoted<F> {
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        out.push(b'"');
        out.extend_from_slice(self.0(row).as_bytes());
        out.push(b'"');
    }
}

/// Numbers as they are, and as text that tells them from whole numbers: `2.0`, not `2`.
struct Floats<F, G>(F, G);

impl<F: Fn(usize) -> f64, G: Fn(usize) -> String> Encoder for Floats<F, G> {
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        let text = (self.1)(row);
        let quote: &[u8] = if (self.0)(row).is_finite() { b"" } else { b"\"" };
        [quote, text.as_bytes(), quote].into_iter().for_each(|part| out.extend_from_slice(part));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::codec;
    use crate::formats::JsonReader;
    use millrace_model::{Record, RecordsBuilder};
    use serde_json::json;

    #[test]
    fn what_is_written_is_read_back_as_it_was() {
        let logical = |base: &str, name: &str| json!({ "type": base, "logicalType": name });
        let fields = json!([
            { "name": "flag", "type": "boolean" }, { "name": "n", "type": "long" }, { "name": "f", "type": "float" },
            { "name": "d", "type": "double" }, { "name": "text", "type": ["null", "string"] }, { "name": "raw", "type": "bytes" },
            { "name": "four", "type": { "type": "fixed", "name": "four", "size": 4 } },
            { "name": "kind", "type": { "type": "enum", "name": "kind", "symbols": ["a", "b"] } },
            { "name": "price", "type": { "type": "bytes", "logicalType": "decimal", "precision": 30, "scale": 4 } },
            { "name": "day", "type": logical("int", "date") }, { "name": "time", "type": logical("long", "time-micros") },
            { "name": "at", "type": logical("long", "timestamp-micros") }, { "name": "here", "type": logical("long", "local-timestamp-millis") },
            { "name": "id", "type": logical("string", "uuid") },
            { "name": "list", "type": { "type": "array", "items": "int" } }, { "name": "map", "type": { "type": "map", "values": "long" } },
            { "name": "inner", "type": { "type": "record", "name": "inner", "fields": [{ "name": "x", "type": ["null", "int"] }] } },
        ]);
        let row = json!({
            "flag": true, "n": i64::MAX, "f": 0.1, "d": 1e300, "text": null, "raw": "/wA=", "four": "AAECAw==", "kind": "b",
            "price": "12345678901234567890.1234", "day": "2013-01-31", "time": "17:05:00.250", "at": "2026-01-01T00:00:00.000001Z",
            "here": "2026-01-01T00:00:00.500", "id": "11111111-2222-3333-4444-555555555555", "list": [1, 2], "map": { "k": 7 },
            "inner": { "x": null },
        });
        let schema = codec::schema(json!({ "type": "record", "name": "r", "fields": fields })).expect("is carried");
        let reader = JsonReader::new(&schema).expect("a reader");
        let read = |value: &Value| {
            let mut records = RecordsBuilder::new("t".into(), 1);
            let value = value.to_string();
            let value = Some(value.as_bytes());
            records.push(&Record { topic: "t", partition: 0, offset: 0, timestamp: 0, key: None, value, headers: &[] });
            let parsed = reader.read(&Arc::new(records.finish())).expect("reads");
            assert_eq!(parsed.refused, []);
            parsed.batch.columns().clone()
        };
        let columns = read(&row);
        let rendered = render(&columns).expect("renders");
        assert_eq!(read(&rendered[0]), columns);
        assert_eq!(rendered[0]["price"], row["price"]);
        assert_eq!(rendered[0]["text"], Value::Null);
    }
}
