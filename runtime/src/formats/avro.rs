//! Avro object container files: the records of any writer's schema that can be read as the topic's (Avro 1.12, Schema Resolution).

use std::io::{BufReader, Read, Seek, SeekFrom};
use std::sync::Arc;

use apache_avro::reader::datum::GenericDatumReader;
use millrace_model::{Batch, Code, Fault, Origin, Record, Records, RecordsBuilder, Rejection, Result, Schema};

use super::blocks::{Block, Blocks, Bytes, Opening};
use super::numbered::Numbered;
use super::render::each_row;
use crate::codec::Decoder;
use crate::codec::container::{Container, Header};

/// What a block may inflate to, in bytes.
const BLOCK: usize = 256 << 20;
/// How long a header may be, in bytes.
const HEADER: u64 = 16 << 20;
/// The id that the file's schema has here, and the framing with it.
const ID: u32 = 1;
const FRAME: [u8; 5] = [0, 0, 0, 0, 1];

/// An Avro container file, open.
pub struct AvroFile {
    opening: Opening,
    header: Header,
    written: apache_avro::Schema,
    decoder: Decoder,
    file: BufReader<Box<dyn Bytes>>,
    /// The values of the present block, and up to where they are done with.
    block: Vec<u8>,
    at: usize,
    /// How many records of the block are left.
    left: u64,
    next: u64,
    /// Why nothing follows what was brought last.
    damaged: Option<Fault>,
}

impl std::fmt::Debug for AvroFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AvroFile").field("opening", &self.opening).field("next", &self.next).finish_non_exhaustive()
    }
}

impl AvroFile {
    /// Opens a file whose records are read as those of `schema`. Blocks before [`Opening::from`] are passed over unread.
    pub fn open(mut file: Box<dyn Bytes>, schema: &Schema, opening: Opening) -> Result<Self> {
        let mut beginning = Vec::new();
        Read::by_ref(&mut file).take(HEADER).read_to_end(&mut beginning).map_err(unreadable)?;
        let header = Container::open(&beginning).map_err(|why| damaged(&why))?.header(beginning.len());
        file.seek(SeekFrom::Start(header.length as u64)).map_err(unreadable)?;
        let written = apache_avro::Schema::parse_str(&header.schema).map_err(|error| damaged(&error.to_string()))?;
        let mut decoder = Decoder::new(schema)?;
        decoder.learn(ID, Some(&header.schema));
        if let Some(fault) = decoder.measure(ID, &[]).err().filter(|fault| fault.code() == Code::SchemaIncompatible) {
            return Err(Fault::operator(Code::ColumnsUnfit, format!("its schema can't be read as the topic's: {}", fault.message())));
        }
        let file = BufReader::new(file);
        let mut opened = Self { opening, header, written, decoder, file, block: Vec::new(), at: 0, left: 0, next: 0, damaged: None };
        opened.skip()?;
        Ok(opened)
    }

    /// Goes to the first record that is to be brought.
    fn skip(&mut self) -> Result<()> {
        while self.next < self.opening.from {
            if self.left == 0 && !self.begin_block(self.opening.from - self.next)? {
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
        let Some(count) = self.count()? else { return Ok(false) };
        let size = usize::try_from(self.long()?).map_err(|_| damaged("the size of a block is negative"))?;
        if size > BLOCK {
            return Err(damaged(&format!("a block of {size} bytes is larger than {BLOCK}")));
        }
        let mut packed = Vec::new();
        Read::by_ref(&mut self.file).take(size as u64).read_to_end(&mut packed).map_err(unreadable)?;
        let mut marker = [0; 16];
        if packed.len() < size || self.file.read_exact(&mut marker).is_err() {
            return Err(damaged("it ends within a block"));
        }
        if marker != self.header.sync {
            return Err(damaged("a block does not end with the file's marker"));
        }
        if count <= skipped {
            self.next += count;
            return Ok(true);
        }
        self.block = self.header.inflate(&packed, BLOCK).map_err(|why| damaged(&why))?;
        (self.at, self.left) = (0, count);
        Ok(true)
    }

    /// How many records the next block has; nothing at the file's end.
    fn count(&mut self) -> Result<Option<u64>> {
        let ended = std::io::BufRead::fill_buf(&mut self.file).map_err(unreadable)?.is_empty();
        if ended {
            return Ok(None);
        }
        let count = self.long()?;
        u64::try_from(count).map(Some).map_err(|_| damaged("the count of a block is negative"))
    }

    /// A zigzag number in 7-bit groups, lowest first.
    fn long(&mut self) -> Result<i64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let mut byte = [0];
            self.file.read_exact(&mut byte).map_err(|_| damaged("it ends within a block"))?;
            number |= u64::from(byte[0] & 0x7f) << shift;
            if byte[0] < 0x80 {
                return Ok((number >> 1) as i64 ^ -((number & 1) as i64));
            }
        }
        Err(damaged("a number has more than 64 bits"))
    }

    /// The bytes of the next record of the block.
    fn value(&mut self) -> Result<std::ops::Range<usize>> {
        let length = self.decoder.measure(ID, &self.block[self.at..]);
        let length = length.map_err(|fault| damaged(&format!("record {}: {}", self.next + 1, fault.message())))?;
        let value = self.at..self.at + length;
        (self.at, self.left, self.next) = (value.end, self.left - 1, self.next + 1);
        Ok(value)
    }

    /// The next records, framed as the decoder wants them.
    fn framed(&mut self, rows: usize) -> Result<Arc<Records>> {
        if let Some(fault) = self.damaged.take() {
            return Err(fault);
        }
        let mut builder = RecordsBuilder::new(Arc::clone(&self.opening.topic), rows);
        let mut framed = Vec::new();
        while builder.len() < rows {
            match self.following() {
                Ok(Some(value)) => {
                    framed.clear();
                    framed.extend_from_slice(&FRAME);
                    framed.extend_from_slice(&self.block[value]);
                    let (topic, value) = (&*self.opening.topic, Some(framed.as_slice()));
                    builder.push(&Record { topic, partition: 0, offset: 0, timestamp: 0, key: None, value, headers: &[] });
                }
                Ok(None) => break,
                Err(fault) if builder.is_empty() => return Err(fault),
                // What came before it is brought first.
                Err(fault) => {
                    self.damaged = Some(fault);
                    break;
                }
            }
        }
        Ok(Arc::new(builder.finish()))
    }

    /// The bytes of the next record, of whichever block.
    fn following(&mut self) -> Result<Option<std::ops::Range<usize>>> {
        while self.left == 0 {
            if !self.begin_block(0)? {
                return Ok(None);
            }
        }
        self.value().map(Some)
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
        let first = self.next;
        let framed = self.framed(rows)?;
        if framed.is_empty() {
            return Ok(None);
        }
        let decoded = self.decoder.decode(&framed)?;
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

fn unreadable(error: std::io::Error) -> Fault {
    Fault::operator(Code::FileUnreadable, "the file can't be read").because(error)
}
