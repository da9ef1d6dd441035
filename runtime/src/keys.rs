//! Keys of records: what they are made of, and how they are written.

use arrow::array::{Array, AsArray, RecordBatch, StringArray};
use arrow::datatypes::DataType;
use millrace_model::{Code, Fault, Result, Schema};
use serde_json::{Value, json};

use crate::codec::{self, Encoded, Encoder};
use crate::registry::{Part, Registry};

/// How a key made of columns is written.
#[derive(Debug)]
pub enum KeyFormat {
    /// One column of text, by its index: its UTF-8 bytes.
    Text(usize),
    /// Anything else: a Confluent-framed Avro record of the columns, by their indices and with its schema.
    Framed(Vec<usize>, Schema),
}

impl KeyFormat {
    /// The format of a key of the columns `names` of `schema`.
    pub fn of(schema: &Schema, names: &[String]) -> Result<Self> {
        let columns = names.iter().map(|name| column(schema, name)).collect::<Result<Vec<_>>>()?;
        match *columns {
            [column] if *schema.arrow().field(column).data_type() == DataType::Utf8 => Ok(Self::Text(column)),
            _ => key_schema(schema, &columns).map(|key| Self::Framed(columns, key)),
        }
    }
}

fn column(schema: &Schema, name: &str) -> Result<usize> {
    let missing = |_| Fault::operator(Code::ProjectFlow, format!("records have no column {name} to make keys of; mend `key:` or `keys:`"));
    schema.arrow().index_of(name).map_err(missing)
}

/// The schema of framed keys of the columns `names` of `schema`: what they are written with, whatever [`KeyFormat`] is theirs, where
/// Kafka Connect writes them.
pub fn framed(schema: &Schema, names: &[String]) -> Result<Schema> {
    let columns = names.iter().map(|name| column(schema, name)).collect::<Result<Vec<_>>>()?;
    let mut avro = key_schema(schema, &columns)?.avro().clone();
    let full = schema.name();
    // Debezium's keys are records `Key` beside the record of the values.
    avro["aliases"] = json!([full.rsplit_once('.').map_or_else(|| "Key".to_owned(), |(namespace, _)| format!("{namespace}.Key"))]);
    codec::schema(avro)
}

/// A record of those fields, as the values have them.
fn key_schema(schema: &Schema, columns: &[usize]) -> Result<Schema> {
    let fields: Vec<Value> = columns.iter().map(|&column| schema.fields()[column].clone()).collect();
    let name = schema.avro()["name"].as_str().unwrap_or("Record");
    let mut avro = json!({ "type": "record", "name": format!("{name}Key"), "fields": fields });
    if let Some(namespace) = schema.avro().get("namespace") {
        avro["namespace"] = namespace.clone();
    }
    codec::schema(avro)
}

/// What the keys of a topic are made of.
pub(crate) enum Keys {
    /// The key that the record came with, byte for byte.
    Kept,
    /// One column of text.
    Text(usize),
    /// Columns in Avro.
    Framed { columns: Vec<usize>, schema: Box<Schema>, encoder: Box<Encoder> },
}

/// The keys of one batch.
pub(crate) enum BatchKeys {
    Kept,
    Text(StringArray),
    Framed(Encoded),
}

/// The key of one row.
#[derive(Clone, Copy)]
pub(crate) enum RowKey<'a> {
    Kept,
    Made(&'a [u8]),
    Missing,
}

impl Keys {
    /// Keys of the columns `names`, or those that records came with where there are none. Registers the schema of Avro keys
    /// under their subject.
    pub(crate) async fn open(registry: &Registry, topic: &str, schema: &Schema, names: &[String]) -> Result<Self> {
        if names.is_empty() {
            return Ok(Self::Kept);
        }
        match KeyFormat::of(schema, names)? {
            KeyFormat::Text(column) => Ok(Self::Text(column)),
            KeyFormat::Framed(columns, key) => {
                let id = registry.register(&registry.subject_of(topic, Part::Key, &key), &key).await?;
                let encoder = Box::new(Encoder::new(&key, id)?);
                Ok(Self::Framed { columns, schema: Box::new(key), encoder })
            }
        }
    }

    /// Where the key's columns are in rows of another schema.
    ///
    /// # Errors
    /// [`Code::SchemaIncompatible`] when their keys would have other bytes than before: records of one key would go to two partitions.
    pub(crate) fn columns_in(&self, schema: &Schema, names: &[String]) -> Result<Vec<usize>> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        match (self, KeyFormat::of(schema, names)?) {
            (Self::Text(_), KeyFormat::Text(column)) => Ok(vec![column]),
            (Self::Framed { schema: before, .. }, KeyFormat::Framed(columns, key))
                if codec::are_written_alike(before.text(), key.text()) =>
            {
                Ok(columns)
            }
            _ => {
                let message =
                    format!("the type of the key ({}) changes, so that records of one key would go to two partitions", names.join(", "));
                Err(Fault::operator(Code::SchemaIncompatible, message))
            }
        }
    }

    /// Makes the same keys of rows in which their columns are these.
    pub(crate) fn read_from(&mut self, at: Vec<usize>) {
        match self {
            Self::Kept => {}
            Self::Text(column) => *column = at.first().copied().unwrap_or(*column),
            Self::Framed { columns, .. } => *columns = at,
        }
    }

    /// The keys of a batch of these columns.
    pub(crate) fn encode(&self, columns: &RecordBatch) -> Result<BatchKeys> {
        Ok(match self {
            Self::Kept => BatchKeys::Kept,
            Self::Text(column) => BatchKeys::Text(columns.column(*column).as_string().clone()),
            Self::Framed { columns: chosen, encoder, .. } => {
                let chosen =
                    columns.project(chosen).map_err(|error| Fault::fatal(Code::Internal, "choosing key columns").because(error))?;
                BatchKeys::Framed(encoder.encode(&chosen)?)
            }
        })
    }
}

impl BatchKeys {
    /// Whether records keep the keys that they came with.
    pub(crate) fn are_kept(&self) -> bool {
        matches!(self, Self::Kept)
    }

    /// The key of row number `row`.
    pub(crate) fn of(&self, row: usize) -> RowKey<'_> {
        match self {
            Self::Kept => RowKey::Kept,
            Self::Text(texts) if texts.is_null(row) => RowKey::Missing,
            Self::Text(texts) => RowKey::Made(texts.value(row).as_bytes()),
            Self::Framed(keys) => RowKey::Made(keys.value(row)),
        }
    }
}
