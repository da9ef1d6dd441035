//! Parquet files. Of their columns those are read that the schema has.
//!
//! A batch whose columns are of the schema's types, or of types that hold no more, is taken as it is. Any other one goes through the
//! JSON form of its rows, which is their original: so its values are checked as strictly as JSON's, and a row that does not fit is
//! rejected alone.

use std::io::{Read, Seek, SeekFrom};
use std::sync::Arc;

use arrow::array::{Array, RecordBatch, RecordBatchReader as _};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, SchemaRef};
use arrow::error::ArrowError;
use bytes::Bytes as Buffer;
use millrace_model::{Batch, Code, Fault, Origin, Result, Schema};
use parking_lot::Mutex;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

use super::blocks::{Block, Blocks, Bytes, Opening};
use super::json::JsonReader;
use super::numbered::Numbered;
use super::render::each_row;
use super::shape::Shape;

/// How many rows are decoded at once.
const ROWS: usize = 4096;

/// A Parquet file, open.
pub struct ParquetFile {
    opening: Opening,
    schema: Schema,
    reader: JsonReader,
    rows: ParquetRecordBatchReader,
    /// The columns that are read, each with the names and marks of the schema's.
    fields: SchemaRef,
    /// Whether the columns that are read are all that the schema has, in its order once they are sorted so.
    whole: bool,
    /// What was decoded and not handed out yet.
    pending: Option<RecordBatch>,
    next: u64,
}

impl std::fmt::Debug for ParquetFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ParquetFile").field("opening", &self.opening).field("next", &self.next).finish_non_exhaustive()
    }
}

impl ParquetFile {
    /// Opens a file of rows of `schema`. Row groups before [`Opening::from`] are passed over unread.
    pub fn open(file: Box<dyn Bytes>, schema: &Schema, opening: Opening) -> Result<Self> {
        let reader = JsonReader::new(schema)?;
        // The file's own types, not those of the program that wrote it.
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(Chunks::new(file)?, options).map_err(damaged)?;
        let wanted = wanted(schema, builder.schema())?;
        let rows = builder.metadata().file_metadata().num_rows().max(0) as u64;
        let mask = ProjectionMask::roots(builder.parquet_schema(), wanted);
        let builder = builder.with_projection(mask).with_batch_size(ROWS).with_offset(opening.from.min(rows) as usize);
        let rows = builder.build().map_err(damaged)?;
        let fields = named_as(&rows.schema(), schema);
        let whole = fields.fields().len() == schema.arrow().fields().len();
        let next = opening.from;
        Ok(Self { opening, schema: schema.clone(), reader, rows, fields, whole, pending: None, next })
    }

    fn decoded(&mut self, rows: usize) -> Result<Option<RecordBatch>> {
        let decoded = match self.pending.take() {
            Some(pending) => pending,
            None => match self.rows.next() {
                Some(batch) => batch.map_err(|error| damaged(error.into()))?,
                None => return Ok(None),
            },
        };
        if decoded.num_rows() > rows {
            self.pending = Some(decoded.slice(rows, decoded.num_rows() - rows));
            return Ok(Some(decoded.slice(0, rows)));
        }
        Ok(Some(decoded))
    }

    fn block(&self, decoded: &RecordBatch) -> Result<Block> {
        let mut numbered = Numbered::new(&self.opening, self.next, decoded.num_rows());
        let labelled = RecordBatch::try_new(Arc::clone(&self.fields), decoded.columns().to_vec()).map_err(|error| unsupported(&error))?;
        each_row(&labelled, |text| numbered.push(text)).map_err(|error| unsupported(&error))?;
        let originals = numbered.finish();
        let place = |number: u64| format!("row {}", number + 1);
        if let Some(columns) = self.as_it_is(decoded) {
            let batch = Batch::new(columns, Origin::all(Arc::clone(&originals.records)));
            return originals.sifted(batch, Vec::new(), place);
        }
        let parsed = self.reader.read(&originals.records)?;
        originals.block(parsed, place)
    }

    /// The columns as the schema's, when nothing about them has to be looked at value by value.
    fn as_it_is(&self, decoded: &RecordBatch) -> Option<RecordBatch> {
        if !self.whole {
            return None;
        }
        let column = |field: &Arc<Field>| {
            let array = decoded.column_by_name(field.name())?;
            let fits = (field.is_nullable() || array.null_count() == 0) && is_lossless(array.data_type(), field.data_type());
            if fits { cast(array, field.data_type()).ok() } else { None }
        };
        let columns = self.schema.arrow().fields().iter().map(column).collect::<Option<Vec<_>>>()?;
        RecordBatch::try_new(Arc::clone(self.schema.arrow()), columns).ok()
    }
}

impl Blocks for ParquetFile {
    fn next(&mut self, rows: usize) -> Result<Option<Block>> {
        let Some(decoded) = self.decoded(rows)? else { return Ok(None) };
        let block = self.block(&decoded)?;
        self.next = block.next;
        Ok(Some(block))
    }
}

/// Whether every value of one type is a value of the other, and a cast does not have to look. Nested types, texts that stand for
/// something else and bytes of some length have to be looked at.
fn is_lossless(from: &DataType, to: &DataType) -> bool {
    use DataType::{Date32, Float32, Float64, Int8, Int16, Int32, Int64, UInt8, UInt16, UInt32};
    let plain = matches!(to, DataType::Boolean | Date32 | Float32 | Float64 | Int32 | Int64 | DataType::Utf8 | DataType::Binary)
        || matches!(to, DataType::Timestamp(..) | DataType::Decimal128(..));
    match (from, to) {
        _ if from == to => plain,
        (Int8 | Int16 | UInt8 | UInt16, Int32 | Int64 | Float64) | (Int32 | UInt32, Int64 | Float64) | (Float32, Float64) => true,
        (DataType::Timestamp(from, zone), DataType::Timestamp(to, other)) => from == to && zone.is_some() == other.is_some(),
        (DataType::Decimal128(digits, scale), DataType::Decimal128(more, same)) => scale == same && digits <= more,
        _ => false,
    }
}

/// The numbers of the file's columns that the schema has.
fn wanted(schema: &Schema, file: &SchemaRef) -> Result<Vec<usize>> {
    let shape = Shape::of(schema)?;
    for member in &shape.fields {
        if member.absent().is_none() && file.column_with_name(&member.name).is_none() {
            let message = format!("the file has no column `{}`, and the schema gives it no default", member.name);
            return Err(Fault::operator(Code::ColumnsUnfit, message));
        }
    }
    let names = file.fields().iter().enumerate().filter(|(_, field)| shape.index(field.name()).is_some());
    Ok(names.map(|(number, _)| number).collect())
}

/// The file's fields with what the schema says of the bytes in them.
fn named_as(file: &SchemaRef, schema: &Schema) -> SchemaRef {
    let fields = file.fields().iter().map(|field| match schema.arrow().field_with_name(field.name()) {
        Ok(wanted) => field.as_ref().clone().with_metadata(wanted.metadata().clone()),
        Err(_) => field.as_ref().clone(),
    });
    Arc::new(arrow::datatypes::Schema::new(fields.collect::<Vec<_>>()))
}

fn damaged(error: ParquetError) -> Fault {
    Fault::operator(Code::FileDamaged, "not a whole Parquet file").because(error)
}

fn unsupported(error: &ArrowError) -> Fault {
    Fault::operator(Code::ColumnsUnfit, format!("the file has a column of a type that is not read: {error}"))
}

/// A file whose parts are read in any order, each from where it begins.
struct Chunks {
    file: Arc<Mutex<Box<dyn Bytes>>>,
    length: u64,
}

impl Chunks {
    fn new(mut file: Box<dyn Bytes>) -> Result<Self> {
        let length = file.seek(SeekFrom::End(0));
        let length = length.map_err(|error| Fault::operator(Code::FileUnreadable, "the file can't be read").because(error))?;
        Ok(Self { file: Arc::new(Mutex::new(file)), length })
    }
}

impl Length for Chunks {
    fn len(&self) -> u64 {
        self.length
    }
}

impl ChunkReader for Chunks {
    type T = Chunk;

    fn get_read(&self, start: u64) -> Result<Chunk, ParquetError> {
        Ok(Chunk { file: Arc::clone(&self.file), at: start })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Buffer, ParquetError> {
        if start.checked_add(length as u64).is_none_or(|end| end > self.length) {
            return Err(ParquetError::EOF(format!("{length} bytes from byte {start} on are beyond the file's {}", self.length)));
        }
        let mut buffer = vec![0; length];
        self.get_read(start)?.read_exact(&mut buffer)?;
        Ok(buffer.into())
    }
}

/// A file from some byte on.
struct Chunk {
    file: Arc<Mutex<Box<dyn Bytes>>>,
    at: u64,
}

impl Read for Chunk {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let mut file = self.file.lock();
        file.seek(SeekFrom::Start(self.at))?;
        let read = file.read(buffer)?;
        self.at += read as u64;
        Ok(read)
    }
}
