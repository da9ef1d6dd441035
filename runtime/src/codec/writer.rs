//! Records of one writer's schema, decoded together.

use arrow::array::{BinaryArray, RecordBatch};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow_avro::reader::{Decoder, ReaderBuilder};
use arrow_avro::schema::{AvroSchema, Fingerprint, FingerprintAlgorithm, SchemaStore};
use millrace_model::{Code, Fault, Rejection, Result};

use super::form;
use super::shape::Shape;
use super::types::{Type, Unsupported};
use super::{FRAME, resolution, wire};

/// A writer's schema and the decoder that reads it as the topic's.
#[derive(Debug)]
pub(super) struct Writer {
    id: u32,
    shape: Shape,
    written: String,
    read: String,
    decoder: Decoder,
    /// Whether the decoder can't be used again after it has given rows: arrow-avro 59.3 goes on counting the values of a union's
    /// branches.
    single_use: bool,
}

/// The topic's schema, which every writer's records are decoded into.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) kind: Type,
    pub(super) arrow: SchemaRef,
}

/// The rows of one writer: the columns, and for each row the index of its record.
pub(super) struct Rows {
    pub(super) columns: RecordBatch,
    pub(super) records: Vec<u32>,
}

impl Writer {
    /// Reads what was written as `written` under the id `id` as `reader`; a text says why that can't be.
    pub(super) fn new(id: u32, written: &Type, reader: &Reader) -> Result<Self, String> {
        let aligned = resolution::align(written, &reader.kind).map_err(|at| reason(&at))?;
        let shape = Shape::of(&aligned, &reader.kind).map_err(|at| reason(&at))?;
        if shape.width() == 0 {
            return Err("the writer's schema is of records without any bytes".to_owned());
        }
        let (written, read) = (wire::text(&aligned), wire::text(&reader.kind));
        let decoder = decoder(id, &written, &read).map_err(|error| error.to_string())?;
        Ok(Self { id, shape, written, read, decoder, single_use: reader.kind.has_branches() })
    }

    /// Decodes the given records, which are framed with this writer's id; those that can't be are added to `rejected`.
    ///
    /// In the common case that is one pass over good values, fed to arrow-avro in as few pieces as they lie in. If
    /// that fails, a string is not UTF-8 or a value has no counterpart in the reader's schema, and the values are
    /// looked at one by one.
    pub(super) fn decode(
        &mut self,
        values: &BinaryArray,
        records: Vec<u32>,
        reader: &Reader,
        rejected: &mut Vec<Rejection>,
    ) -> Result<Rows> {
        let mut good = self.checked::<false>(values, records, rejected);
        let columns = if let Ok(columns) = self.feed(values, &good) {
            columns
        } else {
            self.rebuild()?;
            good = self.checked::<true>(values, good, rejected);
            good = self.readable(values, good, rejected)?;
            self.feed(values, &good).map_err(|error| defect("decoded rows one by one but not together", error))?
        };
        let columns = form::conform_batch(&columns, &reader.kind, &reader.arrow);
        Ok(Rows { columns: columns.map_err(|error| defect("decoded rows of another form than the schema's", error))?, records: good })
    }

    /// How many bytes the value takes that `bytes` begin with, written with this schema and without framing.
    pub(super) fn measure(&self, bytes: &[u8]) -> Result<usize, String> {
        self.shape.measure(bytes).map_err(|flaw| flaw.to_string())
    }

    fn checked<const TEXTS: bool>(&self, values: &BinaryArray, mut records: Vec<u32>, rejected: &mut Vec<Rejection>) -> Vec<u32> {
        records.retain(|&record| {
            let flaw = self.shape.check::<TEXTS>(&values.value(record as usize)[FRAME..]).err();
            rejected.extend(flaw.iter().map(|flaw| Rejection::new(record, Code::AvroInvalid, flaw.to_string())));
            flaw.is_none()
        });
        records
    }

    /// Those of the records, valid as they were written, that the reader's schema has a value for.
    fn readable(&mut self, values: &BinaryArray, records: Vec<u32>, rejected: &mut Vec<Rejection>) -> Result<Vec<u32>> {
        let mut good = Vec::with_capacity(records.len());
        for record in records {
            match self.feed(values, &[record]) {
                Ok(_) => good.push(record),
                Err(error) => {
                    rejected.push(Rejection::new(record, Code::SchemaIncompatible, error.to_string()));
                    self.rebuild()?;
                }
            }
        }
        Ok(good)
    }

    fn feed(&mut self, values: &BinaryArray, records: &[u32]) -> Result<RecordBatch, ArrowError> {
        let offsets = values.value_offsets();
        let (mut start, mut end) = (0, 0);
        for &record in records {
            let record = record as usize;
            if offsets[record] != end {
                self.feed_run(&values.value_data()[start as usize..end as usize])?;
                start = offsets[record];
            }
            end = offsets[record + 1];
        }
        self.feed_run(&values.value_data()[start as usize..end as usize])?;
        let columns = self.decoder.flush()?.unwrap_or_else(|| RecordBatch::new_empty(self.decoder.schema()));
        if self.single_use {
            self.decoder = decoder(self.id, &self.written, &self.read)?;
        }
        if columns.num_rows() != records.len() {
            return Err(ArrowError::AvroError(format!("{} values gave {} rows", records.len(), columns.num_rows())));
        }
        Ok(columns)
    }

    fn feed_run(&mut self, run: &[u8]) -> Result<(), ArrowError> {
        let consumed = self.decoder.decode(run)?;
        if consumed == run.len() { Ok(()) } else { Err(ArrowError::AvroError(format!("{consumed} of {} bytes were decoded", run.len()))) }
    }

    /// After an error the decoder's columns are of different lengths.
    fn rebuild(&mut self) -> Result<()> {
        self.decoder = decoder(self.id, &self.written, &self.read).map_err(|error| defect("built a decoder once but not again", error))?;
        Ok(())
    }
}

/// A decoder of what was written as `written` and is framed with `id`, into columns of `read`.
pub(super) fn decoder(id: u32, written: &str, read: &str) -> Result<Decoder, ArrowError> {
    let mut store = SchemaStore::new_with_type(FingerprintAlgorithm::Id);
    store.set(Fingerprint::Id(id), AvroSchema::new(written.to_owned()))?;
    let mut builder = ReaderBuilder::new().with_writer_schema_store(store).with_batch_size(usize::MAX);
    if written != read {
        builder = builder.with_reader_schema(AvroSchema::new(read.to_owned()));
    }
    builder.build_decoder()
}

fn reason(at: &Unsupported) -> String {
    format!("{} {}", at.path, at.what)
}

fn defect(what: &str, error: ArrowError) -> Fault {
    Fault::fatal(Code::Internal, format!("the Avro decoder {what}")).because(error)
}
