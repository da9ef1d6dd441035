//! Compressed bytes that come from outside, inflated up to a limit and no further.

use std::io::{Error, Read};

use flate2::read::{DeflateDecoder, MultiGzDecoder};

/// The largest window that zstd data may ask for, as a power of two: what RFC 9659 grants the content coding.
const ZSTD_WINDOW: u32 = 23;

/// Why bytes were not inflated.
#[derive(Debug, PartialEq, Eq)]
pub enum NotInflated {
    /// They inflate to more than the limit.
    TooLarge,
    /// They are not of the format, and why.
    Broken(String),
}

/// What gzip data (RFC 1952), all members of them, inflate to: at most `limit` bytes.
pub fn gzip(bytes: &[u8], limit: usize) -> Result<Vec<u8>, NotInflated> {
    limited(MultiGzDecoder::new(bytes), limit)
}

/// The same of raw deflate data (RFC 1951).
pub fn deflate(bytes: &[u8], limit: usize) -> Result<Vec<u8>, NotInflated> {
    limited(DeflateDecoder::new(bytes), limit)
}

/// The same of zstd data (RFC 8878).
pub fn zstd(bytes: &[u8], limit: usize) -> Result<Vec<u8>, NotInflated> {
    let mut decoder = zstd::stream::read::Decoder::new(bytes).map_err(broken)?;
    decoder.window_log_max(ZSTD_WINDOW).map_err(broken)?;
    limited(decoder, limit)
}

fn limited(reader: impl Read, limit: usize) -> Result<Vec<u8>, NotInflated> {
    let mut bytes = Vec::new();
    reader.take(limit as u64 + 1).read_to_end(&mut bytes).map_err(broken)?;
    if bytes.len() > limit { Err(NotInflated::TooLarge) } else { Ok(bytes) }
}

#[expect(clippy::needless_pass_by_value, reason = "the form that map_err takes")]
fn broken(error: Error) -> NotInflated {
    NotInflated::Broken(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder};

    use super::*;

    type Inflate = fn(&[u8], usize) -> Result<Vec<u8>, NotInflated>;
    type Compress = fn(&[u8]) -> Vec<u8>;

    fn gzipped(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).expect("compresses");
        encoder.finish().expect("ends")
    }

    fn deflated(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).expect("compresses");
        encoder.finish().expect("ends")
    }

    fn zstandard(bytes: &[u8]) -> Vec<u8> {
        zstd::encode_all(bytes, 0).expect("compresses")
    }

    const FORMATS: [(Inflate, Compress); 3] = [(gzip, gzipped), (deflate, deflated), (zstd, zstandard)];

    #[test]
    fn bytes_are_inflated_up_to_the_limit() {
        for (inflate, compress) in FORMATS {
            assert_eq!(inflate(&compress(b"12345"), 5), Ok(b"12345".to_vec()));
            assert_eq!(inflate(&compress(b"12345"), 4), Err(NotInflated::TooLarge));
        }
        assert_eq!(gzip(&[gzipped(b"12"), gzipped(b"3")].concat(), 5), Ok(b"123".to_vec()));
    }

    #[test]
    fn a_bomb_is_refused_when_it_has_reached_the_limit() {
        let zeros = vec![0; 8 << 20];
        for (inflate, compress) in FORMATS {
            let bomb = compress(&zeros);
            assert!(bomb.len() < 100_000);
            assert_eq!(inflate(&bomb, 1 << 20), Err(NotInflated::TooLarge));
        }
    }

    #[test]
    fn zstd_data_can_not_ask_for_a_window_of_any_size() {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).expect("an encoder");
        encoder.window_log(27).expect("is set");
        encoder.write_all(&vec![1; 1 << 20]).expect("compresses");
        assert!(matches!(zstd(&encoder.finish().expect("ends"), 4 << 20), Err(NotInflated::Broken(_))));
    }

    #[test]
    fn what_is_cut_or_no_such_data_is_broken() {
        for (inflate, compress) in FORMATS {
            let whole = compress(&[7; 1000]);
            assert!(matches!(inflate(&whole[..whole.len() - 2], 5000), Err(NotInflated::Broken(_))));
            assert!(matches!(inflate(b"{\"a\": 1}", 5000), Err(NotInflated::Broken(_))));
        }
    }
}
