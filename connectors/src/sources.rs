//! Sources by their configuration: a line for each in each function.

use millrace_model::{Position, Result, Schema, Source};

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

    /// Opens a split at `position`, or at its beginning.
    #[expect(clippy::unused_async, reason = "other sources open connections")]
    pub async fn open(&self, split: &str, schema: &Schema, position: Option<&Position>) -> Result<Box<dyn Source>> {
        match self {
            Self::Files(files) => Ok(Box::new(files.open(split, schema, position)?)),
        }
    }
}
