//! How much may wait behind rejected records.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ByteSize;

/// How much may wait behind rejected records where `on_error` is `park_key`, in all instances of the pipeline together. One that would make
/// it more halts until letters are replayed or discarded: nothing is lost, and nothing of the records that are too many is written. What the
/// others hold an instance learns from the topic `millrace.parked`, a moment later: those that park at the same instant may go over by that.
///
/// ```yaml
/// parked: { max_records: 50000, max_bytes: 256MiB }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Parked")]
pub struct ParkedConfig {
    /// How many records, those that the others wait for included.
    pub max_records: NonZeroU32,
    /// How many bytes of them: they wait in memory as well as in Kafka, those of a partition in the instance that reads it.
    pub max_bytes: ByteSize,
}

impl Default for ParkedConfig {
    fn default() -> Self {
        Self { max_records: NonZeroU32::MIN.saturating_add(9_999), max_bytes: ByteSize::new(64 << 20) }
    }
}
