//! Sources by their configuration: a line for each in each function.

use std::sync::Arc;

use millrace_model::{Position, Records, Result, Schema, Source};
use millrace_runtime::formats::Parsed;

use crate::config::SourceConfig;

impl SourceConfig {
    /// Whether the source can bring records of `schema`, as far as can be said without I/O.
    pub fn check(&self, schema: &Schema) -> Result<()> {
        match self {
            Self::Files(files) => files.check(schema),
        }
    }

    /// The splits there are now, in their order. A split's name is the key of its position.
    pub async fn splits(&self) -> Result<Vec<String>> {
        match self {
            Self::Files(files) => files.splits().await,
        }
    }

    /// Reads records of a split once more that it had rejected, as they are or mended. `position` is how far the split has been read.
    pub fn reread(&self, split: &str, schema: &Schema, position: Option<&Position>, records: &Arc<Records>) -> Result<Parsed> {
        match self {
            Self::Files(files) => files.open(split, schema, position)?.reread(records),
        }
    }

    /// Opens a split at `position`, or at its beginning.
    #[expect(clippy::unused_async, reason = "other sources open connections")]
    pub async fn open(&self, split: &str, schema: &Schema, position: Option<&Position>) -> Result<Box<dyn Source>> {
        match self {
            Self::Files(files) => Ok(Box::new(files.open(split, schema, position)?)),
        }
    }
}
