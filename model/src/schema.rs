//! A record schema in both of its forms: Avro on the wire, Arrow in memory.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use serde_json::Value;

/// The schema of a topic, a batch or a table: the Avro record schema as JSON, and the Arrow schema
/// of its columns, which is what the codec decodes it into. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Schema {
    avro: Arc<Value>,
    text: Arc<str>,
    arrow: SchemaRef,
}

impl Schema {
    /// Both forms of one schema; `runtime::codec` makes the Arrow form of an Avro schema.
    pub fn new(avro: Value, arrow: SchemaRef) -> Self {
        let text = avro.to_string().into();
        Self { avro: Arc::new(avro), text, arrow }
    }

    /// The Avro schema: an object of `"type": "record"`.
    pub fn avro(&self) -> &Value {
        &self.avro
    }

    /// The Avro schema as JSON text, as it goes to the registry.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The Arrow schema, a column for each field in the same order.
    pub fn arrow(&self) -> &SchemaRef {
        &self.arrow
    }

    /// The record's full name.
    pub fn name(&self) -> String {
        let name = self.avro["name"].as_str().unwrap_or_default();
        match self.avro["namespace"].as_str() {
            Some(namespace) if !name.contains('.') => format!("{namespace}.{name}"),
            _ => name.to_owned(),
        }
    }

    /// The Avro fields in their order.
    pub fn fields(&self) -> &[Value] {
        self.avro["fields"].as_array().map_or(&[], Vec::as_slice)
    }

    /// The Avro field of that name.
    pub fn field(&self, name: &str) -> Option<&Value> {
        self.fields().iter().find(|field| field["name"] == name)
    }
}

impl PartialEq for Schema {
    fn eq(&self, other: &Self) -> bool {
        self.avro == other.avro
    }
}
