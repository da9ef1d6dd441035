//! Compressed bodies: gzip (RFC 1952) and zstd (RFC 8878), inflated up to the limit of bodies and no further.

use std::borrow::Cow;
use std::io::Read;

use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, header};
use flate2::read::MultiGzDecoder;
use millrace_model::Code;

use super::super::answer::Refused;
use super::text;

/// The largest window that a zstd body may ask for, as a power of two: what RFC 9659 grants the content coding.
const ZSTD_WINDOW: u32 = 23;

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Identity,
    Gzip,
    Zstd,
}

/// Why a body could not be inflated.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotInflated {
    TooLarge,
    Broken(String),
}

impl Encoding {
    /// As `Content-Encoding` says.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Refused> {
        let said = headers.get(header::CONTENT_ENCODING).map_or(Cow::Borrowed(""), |value| String::from_utf8_lossy(value.as_bytes()));
        match said.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Ok(Self::Identity),
            "gzip" | "x-gzip" => Ok(Self::Gzip),
            "zstd" => Ok(Self::Zstd),
            other => {
                let message = format!("bodies compressed with {other} are not taken; send gzip, zstd, or none");
                Err(Refused::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::MediaTypeRefused, message))
            }
        }
    }

    /// The body itself, of at most `limit` bytes. Blocks: to be called where that is allowed.
    pub(crate) fn inflate(self, body: Bytes, limit: usize) -> Result<Bytes, NotInflated> {
        match self {
            Self::Identity => Ok(body),
            Self::Gzip => limited(MultiGzDecoder::new(&body[..]), limit),
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::new(&body[..]).map_err(broken)?;
                decoder.window_log_max(ZSTD_WINDOW).map_err(broken)?;
                limited(decoder, limit)
            }
        }
    }
}

fn limited(reader: impl Read, limit: usize) -> Result<Bytes, NotInflated> {
    let mut bytes = Vec::new();
    reader.take(limit as u64 + 1).read_to_end(&mut bytes).map_err(broken)?;
    if bytes.len() > limit { Err(NotInflated::TooLarge) } else { Ok(bytes.into()) }
}

#[expect(clippy::needless_pass_by_value, reason = "the form that map_err takes")]
fn broken(error: std::io::Error) -> NotInflated {
    NotInflated::Broken(error.to_string())
}

/// What the request's compressed body is called in messages.
pub(crate) fn name(headers: &HeaderMap) -> &str {
    text(headers, header::CONTENT_ENCODING.as_str()).unwrap_or("identity")
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write as _;

    fn gzip(bytes: &[u8]) -> Bytes {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).expect("compresses");
        encoder.finish().expect("ends").into()
    }

    fn zstd(bytes: &[u8]) -> Bytes {
        zstd::encode_all(bytes, 0).expect("compresses").into()
    }

    #[test]
    fn a_body_is_inflated_up_to_the_limit() {
        for (encoding, body) in [(Encoding::Gzip, gzip(b"12345")), (Encoding::Zstd, zstd(b"12345"))] {
            assert_eq!(encoding.inflate(body.clone(), 5).expect("inflates"), "12345");
            assert_eq!(encoding.inflate(body, 4), Err(NotInflated::TooLarge));
        }
        let members = [gzip(b"12"), gzip(b"3")].concat();
        assert_eq!(Encoding::Gzip.inflate(members.into(), 5).expect("inflates"), "123");
    }

    #[test]
    fn a_bomb_is_refused_when_it_has_reached_the_limit() {
        let zeros = vec![0; 64 << 20];
        for (encoding, bomb) in [(Encoding::Gzip, gzip(&zeros)), (Encoding::Zstd, zstd(&zeros))] {
            assert!(bomb.len() < 100_000);
            assert_eq!(encoding.inflate(bomb, 1 << 20), Err(NotInflated::TooLarge));
        }
    }

    #[test]
    fn a_zstd_body_can_not_ask_for_a_window_of_any_size() {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).expect("an encoder");
        encoder.window_log(27).expect("is set");
        encoder.write_all(&vec![1; 1 << 20]).expect("compresses");
        let body = encoder.finish().expect("ends");
        assert!(matches!(Encoding::Zstd.inflate(body.into(), 4 << 20), Err(NotInflated::Broken(_))));
    }

    #[test]
    fn a_body_that_is_cut_or_no_such_body_is_broken() {
        for (encoding, body) in [(Encoding::Gzip, gzip(&[7; 1000])), (Encoding::Zstd, zstd(&[7; 1000]))] {
            assert!(matches!(encoding.inflate(body.slice(..body.len() - 2), 5000), Err(NotInflated::Broken(_))));
            assert!(matches!(encoding.inflate("{\"a\": 1}".into(), 5000), Err(NotInflated::Broken(_))));
        }
    }
}
