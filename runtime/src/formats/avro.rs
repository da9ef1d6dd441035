//! Avro object container files: the records of any writer's schema that can be read as the topic's (Avro 1.12, Schema Resolution).

use std::io::BufReader;
use std::ops::Range;
use std::sync::Arc;

use apache_avro::reader::datum::GenericDatumReader;
use millrace_model::{Batch, Code, Fault, Origin, Record, Records, RecordsBuilder, Rejection, Result, Schema};

use super::blocks::{self, Block, Blocks, Bytes, Opening};
use super::numbered::Numbered;
use super::render::each_row;
use crate::codec::Decoder;
use crate::codec::container::{Broken, Container};

/// How much is read at once, in bytes.
const READ: usize = 1 << 18;
/// What a block may be in the file, and what it may inflate to, in bytes.
const BLOCK: usize = 256 << 20;
/// The id that the file's schema has here, and the framing with it.
const ID: u32 = 1;
const FRAME: [u8; 5] = [0, 0, 0, 0, 1];

/// An Avro container file, open.
pub struct AvroFile {
    opening: Opening,
    written: apache_avro::Schema,
    values: Values,
    /// Why nothing follows what was brought last.
    damaged: Option<Fault>,
}

/// The values of a file, one after the other, whichever blocks they are in.
struct Values {
    container: Container<BufReader<Box<dyn Bytes>>>,
    decoder: Decoder,
    /// The values of the present block, and up to where they are done with.
    block: Vec<u8>,
    at: usize,
    /// How many records of the block are left.
    left: u64,
    /// The number of the next record.
    next: u64,
}

impl std::fmt::Debug for AvroFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AvroFile").field("opening", &self.opening).field("next", &self.values.next).finish_non_exhaustive()
    }
}

impl Values {
    /// Goes to the record number `from`; blocks before it are passed over unread.
    fn skip(&mut self, from: u64) -> Result<()> {
        while self.next < from {
            if self.left == 0 && !self.begin_block(from - self.next)? {
                return Ok(());
            }
            if self.left > 0 {
                self.value()?;
            }
        }
        Ok(())
    }

    /// Reads the next block, or passes over it when it has no more records than `skipped`. Tells whether there was one.
    fn begin_block(&mut self, skipped: u64) -> Result<bool> {
        if self.at < self.block.len() {
            let left = self.block.len() - self.at;
            return Err(damaged(&format!("{left} bytes follow record {}, the last of its block", self.next)));
        }
        let Some(packed) = self.container.packed(BLOCK).map_err(broken)? else { return Ok(false) };
        if packed.count <= skipped {
            self.next += packed.count;
            return Ok(true);
        }
        let count = packed.count;
        self.block = self.container.inflate(packed, BLOCK).map_err(broken)?;
        (self.at, self.left) = (0, count);
        Ok(true)
    }

    /// Where in the block the bytes of its next record are.
    fn value(&mut self) -> Result<Range<usize>> {
        let length = self.decoder.measure(ID, &self.block[self.at..]);
        let length = length.map_err(|fault| damaged(&format!("record {}: {}", self.next + 1, fault.message())))?;
        let value = self.at..self.at + length;
        (self.at, self.left, self.next) = (value.end, self.left - 1, self.next + 1);
        Ok(value)
    }

    /// The bytes of the next record; `None` at the file's end.
    fn following(&mut self) -> Result<Option<&[u8]>> {
        while self.left == 0 {
            if !self.begin_block(0)? {
                return Ok(None);
            }
        }
        let value = self.value()?;
        Ok(Some(&self.block[value]))
    }
}

impl AvroFile {
    /// Opens a file whose records are read as those of `schema`. Blocks before [`Opening::from`] are passed over unread.
    pub fn open(file: Box<dyn Bytes>, schema: &Schema, opening: Opening) -> Result<Self> {
        let container = Container::open(BufReader::with_capacity(READ, file)).map_err(broken)?;
        let written = apache_avro::Schema::parse_str(container.schema()).map_err(|error| damaged(&error.to_string()))?;
        let mut decoder = Decoder::new(schema)?;
        decoder.learn(ID, Some(container.schema()));
        if let Some(fault) = decoder.measure(ID, &[]).err().filter(|fault| fault.code() == Code::SchemaIncompatible) {
            return Err(Fault::operator(Code::ColumnsUnfit, format!("its schema can't be read as the topic's: {}", fault.message())));
        }
        let mut values = Values { container, decoder, block: Vec::new(), at: 0, left: 0, next: 0 };
        values.skip(opening.from)?;
        Ok(Self { opening, written, values, damaged: None })
    }

    /// The next records, framed as the decoder wants them.
    fn framed(&mut self, rows: usize) -> Result<Arc<Records>> {
        let Self { opening, values, damaged, .. } = self;
        let mut builder = RecordsBuilder::new(Arc::clone(&opening.topic), rows);
        let mut framed = Vec::new();
        blocks::bring(rows, damaged, || {
            let Some(value) = values.following()? else { return Ok(false) };
            framed.clear();
            framed.extend_from_slice(&FRAME);
            framed.extend_from_slice(value);
            let (topic, value) = (&*opening.topic, Some(framed.as_slice()));
            builder.push(&Record { topic, partition: 0, offset: 0, timestamp: 0, key: None, value, headers: &[] });
            Ok(true)
        })?;
        Ok(Arc::new(builder.finish()))
    }

    /// A record as JSON, whether it can be read as the topic's or not.
    fn original(&self, framed: &[u8]) -> String {
        let mut datum = framed.get(FRAME.len()..).unwrap_or_default();
        let reader = GenericDatumReader::builder(&self.written).build().ok();
        let json = reader.and_then(|reader| serde_json::Value::try_from(reader.read_value(&mut datum).ok()?).ok());
        json.map(|json| json.to_string()).unwrap_or_default()
    }
}

impl Blocks for AvroFile {
    fn next(&mut self, rows: usize) -> Result<Option<Block>> {
        let first = self.values.next;
        let framed = self.framed(rows)?;
        if framed.is_empty() {
            return Ok(None);
        }
        let decoded = self.values.decoder.decode(&framed)?;
        let (columns, origin) = decoded.batch.into_parts();
        let mut texts = vec![Vec::new(); framed.len()];
        let mut row = origin.rows().iter();
        let written = each_row(&columns, |text| {
            if let Some(&record) = row.next() {
                texts[record as usize] = text.to_vec();
            }
        });
        written.map_err(|error| Fault::fatal(Code::Internal, "rows can't be written as JSON").because(error))?;
        for rejection in &decoded.rejected {
            let record = rejection.record as usize;
            texts[record] = self.original(framed.value(record).unwrap_or_default()).into_bytes();
        }
        let mut numbered = Numbered::new(&self.opening, first, texts.len());
        texts.iter().for_each(|text| numbered.push(text));
        let originals = numbered.finish();
        let batch = Batch::new(columns, Origin::of(Arc::clone(&originals.records), origin.rows().to_vec()));
        let rejected: Vec<Rejection> = decoded.rejected;
        originals.sifted(batch, rejected, |number| format!("record {}", number + 1)).map(Some)
    }
}

fn damaged(why: &str) -> Fault {
    Fault::operator(Code::FileDamaged, format!("not a whole Avro container: {why}"))
}

fn broken(why: Broken) -> Fault {
    match why {
        Broken::Damaged(why) => damaged(&why),
        Broken::Unreadable(error) => unreadable(error),
    }
}

fn unreadable(error: std::io::Error) -> Fault {
    Fault::operator(Code::FileUnreadable, "the file can't be read").because(error)
}
