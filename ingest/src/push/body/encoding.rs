//! Compressed bodies: gzip (RFC 1952) and zstd (RFC 8878), inflated up to the limit of bodies and no further.

use std::borrow::Cow;

use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, header};
use millrace_model::Code;
use millrace_runtime::inflate::{self, NotInflated};

use super::super::answer::Refused;
use super::text;

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Identity,
    Gzip,
    Zstd,
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
            Self::Gzip => inflate::gzip(&body, limit).map(Bytes::from),
            Self::Zstd => inflate::zstd(&body, limit).map(Bytes::from),
        }
    }
}

/// What the request's compressed body is called in messages.
pub(crate) fn name(headers: &HeaderMap) -> &str {
    text(headers, header::CONTENT_ENCODING.as_str()).unwrap_or("identity")
}
