//! Avro object container files (Avro 1.12, Object Container Files), taken apart into their values.
//!
//! The readers of apache-avro and arrow-avro give a file's rows and let a block grow to any size. Here a file comes from
//! outside: what it may inflate to is bounded, and each value is had by itself, so that a bad one is rejected alone.

use std::io::Read;

use flate2::Crc;
use flate2::read::DeflateDecoder;
use serde_json::Value;

/// What a container begins with.
const MAGIC: &[u8] = b"Obj\x01";
/// How many bytes mark the end of a block.
const SYNC: usize = 16;
/// The largest window that a zstd block may ask for, as a power of two: that of RFC 9659.
const ZSTD_WINDOW: u32 = 23;

/// Whether `bytes` begin as a container does.
pub fn is_container(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// A container whose header has been read.
#[derive(Debug)]
pub struct Container<'a> {
    schema: String,
    codec: Codec,
    sync: [u8; SYNC],
    blocks: &'a [u8],
}

/// What a container's header says, for whoever reads the blocks by himself.
#[derive(Debug, Clone)]
pub(crate) struct Header {
    /// The schema that the values were written with.
    pub(crate) schema: String,
    /// What each block ends with.
    pub(crate) sync: [u8; SYNC],
    /// How many bytes the header takes.
    pub(crate) length: usize,
    codec: Codec,
}

impl Header {
    /// The values of a block, which may be `limit` bytes.
    pub(crate) fn inflate(&self, block: &[u8], limit: usize) -> Result<Vec<u8>, Broken> {
        self.codec.inflate(block, limit)
    }
}

/// How blocks are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Codec {
    Null,
    Deflate,
    Snappy,
    Zstandard,
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
pub type Broken = String;

impl<'a> Container<'a> {
    /// Reads the header of the container that `bytes` are.
    pub fn open(bytes: &'a [u8]) -> Result<Self, Broken> {
        let mut cursor = Cursor(bytes.strip_prefix(MAGIC).ok_or("it does not begin with `Obj` and 1")?);
        let (mut schema, mut codec) = (None, Codec::Null);
        for (key, value) in cursor.metadata()? {
            match key {
                b"avro.schema" => schema = Some(text(value)?),
                b"avro.codec" => codec = Codec::of(value)?,
                _ => {}
            }
        }
        let sync = cursor.sync()?;
        Ok(Self { schema: schema.ok_or("its header has no avro.schema")?, codec, sync, blocks: cursor.0 })
    }

    /// The header of this container, which is of so many bytes, or of their beginning.
    pub(crate) fn header(&self, bytes: usize) -> Header {
        Header { schema: self.schema.clone(), sync: self.sync, length: bytes - self.blocks.len(), codec: self.codec }
    }

    /// The schema that its values were written with.
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// Its blocks, which together inflate to at most `limit` bytes.
    pub fn blocks(&self, limit: usize) -> Result<Vec<Block>, Broken> {
        let (mut cursor, mut blocks, mut left) = (Cursor(self.blocks), Vec::new(), limit);
        while !cursor.0.is_empty() {
            let (count, size) = (cursor.size()?, cursor.size()?);
            let bytes = self.codec.inflate(cursor.take(size)?, left).map_err(|why| format!("block {}: {why}", blocks.len()))?;
            if cursor.sync()? != self.sync {
                return Err(format!("block {} does not end with the file's marker", blocks.len()));
            }
            left -= bytes.len();
            blocks.push(Block { count, bytes });
        }
        Ok(blocks)
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
    let mut zigzag = (length as u64) << 1;
    while zigzag >= 0x80 {
        bytes.push(zigzag as u8 | 0x80);
        zigzag >>= 7;
    }
    bytes.push(zigzag as u8);
}

impl Codec {
    fn of(name: &[u8]) -> Result<Self, Broken> {
        match name {
            b"null" => Ok(Self::Null),
            b"deflate" => Ok(Self::Deflate),
            b"snappy" => Ok(Self::Snappy),
            b"zstandard" => Ok(Self::Zstandard),
            other => Err(format!("it is compressed with {}; null, deflate, snappy and zstandard are read", String::from_utf8_lossy(other))),
        }
    }

    fn inflate(self, block: &[u8], limit: usize) -> Result<Vec<u8>, Broken> {
        match self {
            Self::Null => limited(block, limit),
            Self::Deflate => limited(DeflateDecoder::new(block), limit),
            Self::Snappy => snappy(block, limit),
            Self::Zstandard => {
                let mut decoder = zstd::stream::read::Decoder::new(block).map_err(|error| error.to_string())?;
                decoder.window_log_max(ZSTD_WINDOW).map_err(|error| error.to_string())?;
                limited(decoder, limit)
            }
        }
    }
}

fn limited(reader: impl Read, limit: usize) -> Result<Vec<u8>, Broken> {
    let mut bytes = Vec::new();
    reader.take(limit as u64 + 1).read_to_end(&mut bytes).map_err(|error| format!("it can't be inflated: {error}"))?;
    if bytes.len() > limit { Err(too_large()) } else { Ok(bytes) }
}

fn too_large() -> Broken {
    "the container inflates to more than the limit".to_owned()
}

/// A snappy block is followed by the checksum of what it inflates to.
fn snappy(block: &[u8], limit: usize) -> Result<Vec<u8>, Broken> {
    let (block, sum) = block.split_last_chunk::<4>().ok_or("it has no checksum")?;
    if snap::raw::decompress_len(block).map_err(|error| error.to_string())? > limit {
        return Err(too_large());
    }
    let bytes = snap::raw::Decoder::new().decompress_vec(block).map_err(|error| error.to_string())?;
    let mut crc = Crc::new();
    crc.update(&bytes);
    if crc.sum() == u32::from_be_bytes(*sum) { Ok(bytes) } else { Err("its checksum is another".to_owned()) }
}

fn text(bytes: &[u8]) -> Result<String, Broken> {
    let value: Value = serde_json::from_slice(bytes).map_err(|error| format!("its schema is not JSON: {error}"))?;
    Ok(value.to_string())
}

type Entry<'a> = (&'a [u8], &'a [u8]);

/// The bytes that are not read yet.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    /// A map of bytes, in blocks as every Avro map.
    fn metadata(&mut self) -> Result<Vec<Entry<'a>>, Broken> {
        let mut entries = Vec::new();
        loop {
            let count = self.long()?;
            if count < 0 {
                self.size()?;
            }
            for _ in 0..count.unsigned_abs() {
                entries.push((self.sized()?, self.sized()?));
            }
            if count == 0 {
                return Ok(entries);
            }
        }
    }

    fn sync(&mut self) -> Result<[u8; SYNC], Broken> {
        let (sync, rest) = self.0.split_first_chunk::<SYNC>().ok_or_else(truncated)?;
        self.0 = rest;
        Ok(*sync)
    }

    fn sized(&mut self) -> Result<&'a [u8], Broken> {
        let size = self.size()?;
        self.take(size)
    }

    fn take(&mut self, size: usize) -> Result<&'a [u8], Broken> {
        let (taken, rest) = self.0.split_at_checked(size).ok_or_else(truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    fn size(&mut self) -> Result<usize, Broken> {
        usize::try_from(self.long()?).map_err(|_| "a size is negative".to_owned())
    }

    fn long(&mut self) -> Result<i64, Broken> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first().ok_or_else(truncated)?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok((number >> 1) as i64 ^ -((number & 1) as i64));
            }
        }
        Err("a number has more than 64 bits".to_owned())
    }
}

fn truncated() -> Broken {
    "it ends too early".to_owned()
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

    fn inflated(bytes: &[u8], limit: usize) -> Result<Vec<Vec<u8>>, Broken> {
        Ok(Container::open(bytes)?.blocks(limit)?.into_iter().map(|block| block.bytes).collect())
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
    fn a_value_is_put_into_a_container_of_its_own() {
        let one = of_one(SCHEMA, &[2]);
        let container = Container::open(&one).expect("opens");
        assert_eq!(container.schema(), SCHEMA);
        assert_eq!(inflated(&one, 100), Ok(vec![vec![2]]));
        let read: Vec<_> = apache_avro::Reader::new(&one[..]).expect("is a container").map(|value| value.expect("is a value")).collect();
        assert_eq!(read, [apache_avro::types::Value::Record(vec![("x".to_owned(), apache_avro::types::Value::Long(1))])]);
    }
}
