//! The start of a pipeline that reads a topic: the schemas that its records were written with.

use millrace_model::{Code, Records, Result};

use crate::codec::Decoder;
use crate::registry::Registry;

/// Gives `decoder` the schemas of the ids in `records` that it has not met yet.
pub async fn learn(decoder: &mut Decoder, registry: &Registry, records: &Records) -> Result<()> {
    for id in decoder.unknown_ids(records) {
        match registry.schema(id).await {
            Ok(writer) => decoder.learn(id, writer.as_deref()),
            // The schema is to blame, not the registry: its records are rejected, those beside them go on.
            Err(fault) if matches!(fault.code(), Code::SchemaUnsupported | Code::SchemaInvalid) => {
                decoder.learn_unreadable(id, fault.message());
            }
            Err(fault) => return Err(fault),
        }
    }
    Ok(())
}
