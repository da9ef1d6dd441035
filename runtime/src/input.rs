//! The start of a pipeline that reads a topic: the schemas that its records were written with.

use millrace_model::{Records, Result};

use crate::codec::Decoder;
use crate::registry::Registry;

/// Gives `decoder` the schemas of the ids in `records` that it has not met yet.
pub async fn learn(decoder: &mut Decoder, registry: &Registry, records: &Records) -> Result<()> {
    for id in decoder.unknown_ids(records) {
        let writer = registry.schema(id).await?;
        decoder.learn(id, writer.as_deref());
    }
    Ok(())
}
