//! Records as text, for people: Avro as JSON where the registry knows the schema, else text, else bytes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use millrace_model::{Record, Result};
use serde_json::{Value, json};

use crate::registry::Registry;

/// Turns keys and values into text.
pub struct Inspector {
    registry: Registry,
    schemas: Mutex<HashMap<u32, Option<Arc<Schema>>>>,
}

impl Inspector {
    /// With the schemas of `registry`.
    pub fn new(registry: Registry) -> Self {
        Self { registry, schemas: Mutex::default() }
    }

    /// One record as a JSON object.
    pub async fn line(&self, record: &Record<'_>) -> Result<Value> {
        let headers: serde_json::Map<String, Value> =
            record.headers.iter().map(|header| (header.key.clone(), header.value.as_deref().map_or(Value::Null, text))).collect();
        let mut line = json!({
            "partition": record.partition, "offset": record.offset, "timestamp": time(record.timestamp),
            "key": self.render(record.key).await?, "value": self.render(record.value).await?,
        });
        if !headers.is_empty() {
            line["headers"] = Value::Object(headers);
        }
        Ok(line)
    }

    /// A key or a value; null for none.
    pub async fn render(&self, bytes: Option<&[u8]>) -> Result<Value> {
        let Some(bytes) = bytes else { return Ok(Value::Null) };
        if let Some((id, body)) = framed(bytes)
            && let Some(schema) = self.schema(id).await?
            && let Some(value) = decode(&schema, body)
        {
            return Ok(value);
        }
        Ok(text(bytes))
    }

    async fn schema(&self, id: u32) -> Result<Option<Arc<Schema>>> {
        let known = self.schemas.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let schema = self.registry.schema(id).await?.and_then(|text| Schema::parse_str(&text).ok()).map(Arc::new);
        self.schemas.lock().unwrap_or_else(PoisonError::into_inner).insert(id, schema.clone());
        Ok(schema)
    }
}

/// The schema id and the Avro body of a Confluent-framed value.
fn framed(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (header, body) = bytes.split_at_checked(5)?;
    (header[0] == 0).then(|| (u32::from_be_bytes([header[1], header[2], header[3], header[4]]), body))
}

fn decode(schema: &Schema, mut body: &[u8]) -> Option<Value> {
    let reader = GenericDatumReader::builder(schema).build().ok()?;
    let value = reader.read_value(&mut body).ok()?;
    body.is_empty().then(|| Value::try_from(value).ok())?
}

/// UTF-8 as it is, anything else in hexadecimal.
fn text(bytes: &[u8]) -> Value {
    std::str::from_utf8(bytes).map_or_else(|_| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into(), Value::from)
}

fn time(timestamp: i64) -> Value {
    jiff::Timestamp::from_millisecond(timestamp).map_or(Value::Null, |time| time.to_string().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_text_are_shown_in_hexadecimal() {
        assert_eq!(text(b"\xff\x00"), "ff00");
        assert_eq!(text("Ä".as_bytes()), "Ä");
    }

    #[test]
    fn a_body_with_bytes_left_over_is_not_shown_as_avro() {
        let schema = Schema::parse_str("\"int\"").expect("parses");
        assert_eq!(decode(&schema, &[2]), Some(json!(1)));
        assert_eq!(decode(&schema, &[2, 2]), None);
    }
}
