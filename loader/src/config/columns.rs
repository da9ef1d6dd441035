//! The columns of the table, as the project file has them.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

/// A column of the table: the name of a column of the topic, `*`, or a name and what it is filled from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColumnConfig {
    /// A column of the topic under its own name, or `*`.
    Named(String),
    /// A column with a source of its own.
    Sourced(ColumnSource),
}

/// What a column of the table is filled from: one of `from`, `metadata` and `header`, or the topic's column of its name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ColumnSource")]
pub struct ColumnSource {
    /// The column's name in the table.
    pub name: String,
    /// The topic's column, with dots into records: `customer.address.city`.
    #[serde(default)]
    pub from: Option<String>,
    /// A part of the Kafka record beside its value.
    #[serde(default)]
    pub metadata: Option<Metadata>,
    /// The Kafka header of that name, as text; the last one where there are several, null without one.
    #[serde(default)]
    pub header: Option<String>,
}

/// A part of a Kafka record beside its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Metadata {
    /// The topic's name.
    Topic,
    /// The partition's number.
    Partition,
    /// The record's offset in its partition.
    Offset,
    /// The record's timestamp.
    Timestamp,
    /// The key, byte for byte.
    Key,
    /// The key as text; a record whose key is not UTF-8 is rejected.
    KeyText,
    /// All headers, a map from name to text. Bytes that are not UTF-8 are replaced by U+FFFD.
    Headers,
}

struct ColumnVisitor;

impl<'de> Visitor<'de> for ColumnVisitor {
    type Value = ColumnConfig;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a column's name, or its `name` with `from`, `metadata` or `header`")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<ColumnConfig, E> {
        Ok(ColumnConfig::Named(name.into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ColumnConfig, A::Error> {
        ColumnSource::deserialize(MapAccessDeserializer::new(map)).map(ColumnConfig::Sourced)
    }
}

impl<'de> Deserialize<'de> for ColumnConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ColumnVisitor)
    }
}

impl JsonSchema for ColumnConfig {
    fn schema_name() -> Cow<'static, str> {
        "TableColumn".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let source = generator.subschema_for::<ColumnSource>();
        json_schema!({ "anyOf": [{ "type": "string" }, source] })
    }
}
