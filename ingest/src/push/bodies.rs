//! Bodies read as a path of the gateway reads them, without a gateway: for what tests the reading by bytes of any kind.

use std::sync::Arc;

use axum::body::Bytes;
use axum::http::{StatusCode, request};
use millrace_model::{Result as Faultless, Schema};
use millrace_runtime::inflate::NotInflated;
use millrace_runtime::registry::Registry;
use millrace_runtime::telemetry::{Hop, TRACEPARENT};

use super::body::encoding::Encoding;
use super::body::text;
use super::reading::{Arrived, Reader};

/// Reads bodies of records of one schema.
pub struct Bodies {
    reader: Arc<Reader>,
    max_body: usize,
    hop: Hop,
}

/// How many records a body had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// All of them.
    pub records: usize,
    /// Those that fit the schema.
    pub accepted: usize,
    /// The others.
    pub refused: usize,
}

impl Bodies {
    /// Of records of `schema`, in bodies that take, inflated too, at most `max_body` bytes.
    pub fn new(schema: &Schema, max_body: usize, registry: &Registry) -> Faultless<Self> {
        let reader = Arc::new(Reader::new("/bodies", "bodies", max_body, schema, registry)?);
        Ok(Self { reader, max_body, hop: Hop::new("ingest", "bodies") })
    }

    /// Reads the body of a request with that head, or tells the status that it is refused with.
    pub async fn read(&self, head: &request::Parts, body: Bytes) -> Result<Counts, StatusCode> {
        let encoding = Encoding::of(&head.headers).map_err(|refused| refused.status)?;
        let body = encoding.inflate(body, self.max_body).map_err(|why| match why {
            NotInflated::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            NotInflated::Broken(_) => StatusCode::BAD_REQUEST,
        })?;
        let mut entry = self.hop.entry(text(&head.headers, TRACEPARENT), "/bodies");
        let read = self.reader.read(Arrived { head, body, entry: &mut entry }).await.map_err(|refused| refused.status)?;
        let parsed = self.reader.parsed(read).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
        Ok(Counts { records: parsed.batch.origin().records().len(), accepted: parsed.batch.len(), refused: parsed.refused.len() })
    }
}
