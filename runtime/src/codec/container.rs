//! Avro object container files (Avro 1.12, Object Container Files), taken apart into their values.
//!
//! The readers of apache-avro and arrow-avro give a file's rows and let a block grow to any size. Here a file comes from
//! outside: what it may inflate to is bounded, and each value is had by itself, so that a bad one is rejected alone.

use std::fmt;
use std::io::{self, BufRead, ErrorKind, Read as _};

use flate2::Crc;
use serde_json::Value;

use super::number;
use crate::inflate::{self, NotInflated};

/// What a container begins with.
const MAGIC: &[u8] = b"Obj\x01";
/// How many bytes mark the end of a block.
const SYNC: usize = 16;
/// How long a header may be, in bytes.
const HEADER: u64 = 16 << 20;
/// How much memory is asked for before it is known that there are as many bytes.
const RESERVED: usize = 1 << 20;

/// Whether `bytes` begin as a container does.
pub fn is_container(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// A container whose header has been read from `R`, which is at the next block.
#[derive(Debug)]
pub struct Container<R> {
    schema: String,
    codec: Codec,
    sync: [u8; SYNC],
    from: R,
    /// The number of the next block.
    block: usize,
}

/// How blocks are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Codec {
    Null,
    Deflate,
    Snappy,
    Zstandard,
}

/// A block as it stands in the file.
#[derive(Debug)]
pub(crate) struct Packed {
    /// How many values it says to have.
    pub(crate) count: u64,
    number: usize,
    bytes: Vec<u8>,
}

/// A block's values, still one after the other.
#[derive(Debug)]
pub struct Block {
    /// How many values it says to have.
    pub count: usize,
    /// Their bytes.
    pub bytes: Vec<u8>,
}

/// Why a container can't be read.
#[derive(Debug)]
pub enum Broken {
    /// It is not what the format wants.
    Damaged(String),
    /// Its bytes can't be had.
    Unreadable(io::Error),
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged(why) => f.write_str(why),
            Self::Unreadable(error) => write!(f, "{error}"),
        }
    }
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        if error.kind() == ErrorKind::UnexpectedEof { truncated() } else { Self::Unreadable(error) }
    }
}

impl<R: BufRead> Container<R> {
    /// Reads the header of the container that `from` has.
    pub fn open(mut from: R) -> Result<Self, Broken> {
        let mut header = from.by_ref().take(HEADER);
        if header.by_ref().take(MAGIC.len() as u64).bytes().collect::<io::Result<Vec<u8>>>()? != MAGIC {
            return Err(damaged("it does not begin with `Obj` and 1"));
        }
        let (mut schema, mut codec) = (None, Codec::Null);
        metadata(&mut header, |key, value| {
            match key {
                b"avro.schema" => schema = Some(text(value)?),
                b"avro.codec" => codec = Codec::of(value)?,
                _ => {}
            }
            Ok(())
        })?;
        let sync = sync(&mut header)?;
        Ok(Self { schema: schema.ok_or_else(|| damaged("its header has no avro.schema"))?, codec, sync, from, block: 0 })
    }

    /// The schema that its values were written with.
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// Its blocks from here on, which together inflate to at most `limit` bytes.
    pub fn blocks(&mut self, limit: usize) -> Result<Vec<Block>, Broken> {
        let (mut blocks, mut left) = (Vec::new(), limit);
        while let Some(packed) = self.packed(usize::MAX)? {
            let count = usize::try_from(packed.count).map_err(|_| damaged("a count is beyond what memory can have"))?;
            let bytes = self.inflate(packed, left)?;
            left -= bytes.len();
            blocks.push(Block { count, bytes });
        }
        Ok(blocks)
    }

    /// The next block, which may be `most` bytes; `None` at the end.
    pub(crate) fn packed(&mut self, most: usize) -> Result<Option<Packed>, Broken> {
        if self.from.fill_buf()?.is_empty() {
            return Ok(None);
        }
        let number = self.block;
        let count = u64::try_from(long(&mut self.from)?).map_err(|_| negative())?;
        let size = size(&mut self.from)?;
        if size > most {
            return Err(Broken::Damaged(format!("block {number} of {size} bytes is larger than {most}")));
        }
        let bytes = take(&mut self.from, size)?;
        if sync(&mut self.from)? != self.sync {
            return Err(Broken::Damaged(format!("block {number} does not end with the file's marker")));
        }
        self.block += 1;
        Ok(Some(Packed { count, number, bytes }))
    }

    /// The values of a block, which may be `limit` bytes.
    pub(crate) fn inflate(&self, packed: Packed, limit: usize) -> Result<Vec<u8>, Broken> {
        let number = packed.number;
        self.codec.inflate(packed.bytes, limit).map_err(|why| match why {
            NotInflated::TooLarge => Broken::Damaged(format!("block {number}: the container inflates to more than the limit")),
            NotInflated::Broken(why) => Broken::Damaged(format!("block {number}: it can't be inflated: {why}")),
        })
    }
}

/// A container of one value, written with `schema`.
pub fn of_one(schema: &str, value: &[u8]) -> Vec<u8> {
    // One marker is as good as another where there is one block.
    let sync = [0x4d; SYNC];
    let mut bytes = MAGIC.to_vec();
    put_long(&mut bytes, 1);
    put_sized(&mut bytes, b"avro.schema");
    put_sized(&mut bytes, schema.as_bytes());
    put_long(&mut bytes, 0);
    bytes.extend_from_slice(&sync);
    put_long(&mut bytes, 1);
    put_sized(&mut bytes, value);
    bytes.extend_from_slice(&sync);
    bytes
}

fn put_sized(bytes: &mut Vec<u8>, value: &[u8]) {
    put_long(bytes, value.len());
    bytes.extend_from_slice(value);
}

fn put_long(bytes: &mut Vec<u8>, length: usize) {
    number::write(length as i64, bytes);
}

impl Codec {
    fn of(name: &[u8]) -> Result<Self, Broken> {
        match name {
            b"null" => Ok(Self::Null),
            b"deflate" => Ok(Self::Deflate),
            b"snappy" => Ok(Self::Snappy),
            b"zstandard" => Ok(Self::Zstandard),
            other => {
                let name = String::from_utf8_lossy(other);
                Err(Broken::Damaged(format!("it is compressed with {name}; null, deflate, snappy and zstandard are read")))
            }
        }
    }

    fn inflate(self, block: Vec<u8>, limit: usize) -> Result<Vec<u8>, NotInflated> {
        match self {
            Self::Null if block.len() > limit => Err(NotInflated::TooLarge),
            Self::Null => Ok(block),
            Self::Deflate => inflate::deflate(&block, limit),
            Self::Snappy => snappy(&block, limit),
            Self::Zstandard => inflate::zstd(&block, limit),
        }
    }
}

/// A snappy block is followed by the checksum of what it inflates to.
fn snappy(block: &[u8], limit: usize) -> Result<Vec<u8>, NotInflated> {
    let broken = |error: snap::Error| NotInflated::Broken(error.to_string());
    let (block, sum) = block.split_last_chunk::<4>().ok_or_else(|| NotInflated::Broken("it has no checksum".to_owned()))?;
    if snap::raw::decompress_len(block).map_err(broken)? > limit {
        return Err(NotInflated::TooLarge);
    }
    let bytes = snap::raw::Decoder::new().decompress_vec(block).map_err(broken)?;
    let mut crc = Crc::new();
    crc.update(&bytes);
    if crc.sum() == u32::from_be_bytes(*sum) { Ok(bytes) } else { Err(NotInflated::Broken("its checksum is another".to_owned())) }
}

fn text(bytes: &[u8]) -> Result<String, Broken> {
    let value: Value = serde_json::from_slice(bytes).map_err(|error| Broken::Damaged(format!("its schema is not JSON: {error}")))?;
    Ok(value.to_string())
}

/// A map of bytes, in blocks as every Avro map. Entries are not kept: empty ones take two bytes each.
fn metadata(from: &mut impl BufRead, mut each: impl FnMut(&[u8], &[u8]) -> Result<(), Broken>) -> Result<(), Broken> {
    loop {
        let count = long(from)?;
        if count < 0 {
            size(from)?;
        }
        for _ in 0..count.unsigned_abs() {
            let (key, value) = (sized(from)?, sized(from)?);
            each(&key, &value)?;
        }
        if count == 0 {
            return Ok(());
        }
    }
}

fn sync(from: &mut impl BufRead) -> Result<[u8; SYNC], Broken> {
    let mut sync = [0; SYNC];
    from.read_exact(&mut sync)?;
    Ok(sync)
}

fn sized(from: &mut impl BufRead) -> Result<Vec<u8>, Broken> {
    let size = size(from)?;
    take(from, size)
}

fn take(from: &mut impl BufRead, size: usize) -> Result<Vec<u8>, Broken> {
    let mut bytes = Vec::with_capacity(size.min(RESERVED));
    from.take(size as u64).read_to_end(&mut bytes)?;
    if bytes.len() < size { Err(truncated()) } else { Ok(bytes) }
}

fn size(from: &mut impl BufRead) -> Result<usize, Broken> {
    usize::try_from(long(from)?).map_err(|_| negative())
}

fn long(from: &mut impl BufRead) -> Result<i64, Broken> {
    let byte = || {
        let mut byte = [0];
        from.read_exact(&mut byte)?;
        Ok(byte[0])
    };
    number::read(byte, || damaged("a number has more than 64 bits"))
}

fn damaged(why: &str) -> Broken {
    Broken::Damaged(why.to_owned())
}

fn negative() -> Broken {
    damaged("a size is negative")
}

fn truncated() -> Broken {
    damaged("it ends too early")
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::DeflateEncoder;
    use std::io::Write as _;

    const SCHEMA: &str = r#"{"fields":[{"name":"x","type":"long"}],"name":"r","type":"record"}"#;

    /// A container whose blocks are the given ones, compressed already.
    fn container(codec: &str, blocks: &[(usize, Vec<u8>)]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        put_long(&mut bytes, 2);
        for (key, value) in [("avro.schema", SCHEMA), ("avro.codec", codec)] {
            put_sized(&mut bytes, key.as_bytes());
            put_sized(&mut bytes, value.as_bytes());
        }
        put_long(&mut bytes, 0);
        bytes.extend_from_slice(&[7; SYNC]);
        for (count, block) in blocks {
            put_long(&mut bytes, *count);
            put_sized(&mut bytes, block);
            bytes.extend_from_slice(&[7; SYNC]);
        }
        bytes
    }

    fn deflated(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).expect("deflates");
        encoder.finish().expect("ends")
    }

    fn snapped(bytes: &[u8]) -> Vec<u8> {
        let mut crc = Crc::new();
        crc.update(bytes);
        let block = snap::raw::Encoder::new().compress_vec(bytes).expect("compresses");
        [&block[..], &crc.sum().to_be_bytes()].concat()
    }

    fn inflated(bytes: &[u8], limit: usize) -> Result<Vec<Vec<u8>>, String> {
        let blocks = Container::open(bytes).and_then(|mut container| container.blocks(limit));
        blocks.map(|blocks| blocks.into_iter().map(|block| block.bytes).collect()).map_err(|why| why.to_string())
    }

    #[test]
    fn blocks_are_inflated_whatever_their_codec() {
        let values = [2, 4, 6];
        let zstandard = zstd::encode_all(&values[..], 0).expect("compresses");
        let cases = [("null", values.to_vec()), ("deflate", deflated(&values)), ("snappy", snapped(&values)), ("zstandard", zstandard)];
        for (codec, block) in cases {
            assert_eq!(inflated(&container(codec, &[(3, block.clone()), (3, block)]), 100), Ok(vec![values.to_vec(); 2]), "{codec}");
        }
    }

    #[test]
    fn what_inflates_beyond_the_limit_is_refused_by_every_codec() {
        let zeros = vec![0; 1 << 20];
        let zstandard = zstd::encode_all(&zeros[..], 0).expect("compresses");
        for (codec, block) in [("deflate", deflated(&zeros)), ("snappy", snapped(&zeros)), ("zstandard", zstandard)] {
            let bomb = container(codec, &[(1, block.clone()), (1, block)]);
            assert!(inflated(&bomb, (2 << 20) - 1).expect_err("is too large").contains("more than the limit"), "{codec}");
            assert!(inflated(&bomb, 2 << 20).is_ok(), "{codec}");
        }
    }

    #[test]
    fn a_container_that_ends_early_or_lies_is_broken() {
        let whole = container("null", &[(1, vec![2])]);
        for end in 0..whole.len() {
            let cut = inflated(&whole[..end], 100);
            assert!(cut.is_err() || cut == Ok(vec![]), "cut at {end}");
        }
        let mut other_marker = whole.clone();
        *other_marker.last_mut().expect("has bytes") = 8;
        assert!(inflated(&other_marker, 100).expect_err("is broken").contains("marker"));
        assert!(inflated(&container("xz", &[]), 100).expect_err("is unknown").contains("xz"));
        let mut sum = snapped(&[2]);
        *sum.last_mut().expect("has bytes") ^= 1;
        assert!(inflated(&container("snappy", &[(1, sum)]), 100).expect_err("is broken").contains("checksum"));
    }

    #[test]
    fn a_number_of_more_than_64_bits_is_broken() {
        let mut container = container("null", &[]);
        container.extend_from_slice(&[0xff; 9]);
        container.push(0x7f);
        assert!(inflated(&container, 100).expect_err("is broken").contains("64 bits"));
    }

    #[test]
    fn a_value_is_put_into_a_container_of_its_own() {
        let one = of_one(SCHEMA, &[2]);
        let container = Container::open(&one[..]).expect("opens");
        assert_eq!(container.schema(), SCHEMA);
        assert_eq!(inflated(&one, 100), Ok(vec![vec![2]]));
        let read: Vec<_> = apache_avro::Reader::new(&one[..]).expect("is a container").map(|value| value.expect("is a value")).collect();
        assert_eq!(read, [apache_avro::types::Value::Record(vec![("x".to_owned(), apache_avro::types::Value::Long(1))])]);
    }
}
