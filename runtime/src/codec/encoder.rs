//! Arrow to Confluent-framed Avro.

use std::sync::{Mutex, PoisonError};

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema as ArrowSchema, SchemaRef};
use arrow_avro::schema::{FingerprintStrategy, SCHEMA_METADATA_KEY};
use arrow_avro::writer::format::AvroSoeFormat;
use arrow_avro::writer::{EncodedRows, Encoder as Rows, WriterBuilder};
use millrace_model::{Code, Fault, Result, Schema};

use super::types::Type;
use super::{form, wire, writer};

/// How many bytes a row is reserved at first; the buffer grows where rows are longer.
const ROW_CAPACITY: usize = 96;

/// Encodes batches of one schema as Confluent-framed Avro, in exactly the bytes that the schema says.
#[derive(Debug)]
pub struct Encoder {
    kind: Type,
    /// The Arrow form that arrow-avro writes from.
    wire: SchemaRef,
    /// arrow-avro's encoder has a buffer of its own.
    rows: Mutex<Rows>,
}

/// Encoded rows, one after the other in one buffer.
#[derive(Debug, Clone)]
pub struct Encoded {
    rows: EncodedRows,
}

impl Encoded {
    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The framed value of one row.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn value(&self, row: usize) -> &[u8] {
        let offsets = self.rows.offsets();
        &self.rows.bytes()[offsets[row]..offsets[row + 1]]
    }
}

impl Encoder {
    /// An encoder of rows of `schema`, which comes from [`super::schema`] and is registered as `id`.
    pub fn new(schema: &Schema, id: u32) -> Result<Self> {
        let kind = super::kind_of(schema)?;
        let text = wire::text(&kind);
        let form = writer::decoder(id, &text, &text).map_err(|error| unsupported(schema, error))?.schema();
        let metadata = [(SCHEMA_METADATA_KEY.to_owned(), text)].into();
        let described = ArrowSchema::new_with_metadata(form.fields().clone(), metadata);
        let builder = WriterBuilder::new(described).with_fingerprint_strategy(FingerprintStrategy::Id(id)).with_row_capacity(ROW_CAPACITY);
        let rows = builder.build_encoder::<AvroSoeFormat>().map_err(|error| unsupported(schema, error))?;
        Ok(Self { kind, wire: form, rows: Mutex::new(rows) })
    }

    /// Encodes the rows of `columns`, which has a column for each field of the schema, found by name.
    ///
    /// # Errors
    /// [`Code::SchemaIncompatible`] for columns of another type than the schema's, a null where it has none, or a value
    /// that its type can't hold.
    pub fn encode(&self, columns: &RecordBatch) -> Result<Encoded> {
        let columns = form::conform_batch(columns, &self.kind, &self.wire).map_err(unfit)?;
        let mut encoder = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        encoder
            .encode(&columns)
            .map_err(|error| Fault::fatal(Code::SchemaIncompatible, "a row can't be encoded in its schema").because(error))?;
        Ok(Encoded { rows: encoder.flush() })
    }
}

fn unfit(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Fault {
    Fault::fatal(Code::SchemaIncompatible, "the rows do not fit the schema that they are to be encoded in").because(error)
}

fn unsupported(schema: &Schema, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Fault {
    Fault::operator(Code::SchemaUnsupported, format!("records of {} can't be encoded", schema.name())).because(error)
}
