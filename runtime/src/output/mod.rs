//! The end of a pipeline that writes a topic: batches in, keyed and encoded records out.
//!
//! ```text
//!  batch ─► fit: values and keys encoded, records that can't be keyed set aside ─► send: into Kafka
//!                        └─► what would be rejected, for who only asks
//! ```

mod fitted;
mod oversize;
mod sending;

use std::sync::Arc;

use millrace_model::{Batch, Rejection, Result, Schema};

use crate::codec::Encoder;
use crate::kafka::Producer;
use crate::keys::Keys;
use crate::registry::{Part, Registry};
use crate::telemetry::BatchTrace;

pub use fitted::Fitted;
pub use oversize::Sifted;

/// Writes batches of one schema to one topic.
pub struct Writer {
    topic: Arc<str>,
    values: Encoder,
    keys: Keys,
}

/// What was written of a batch.
#[derive(Debug, Default)]
pub struct Written {
    /// How many records.
    pub records: u64,
    /// How many bytes of values.
    pub bytes: u64,
    /// Records whose key can't be made, or that are larger than Kafka takes.
    pub rejected: Vec<Rejection>,
}

impl Writer {
    /// For `topic`: registers the schema of its values, and that of its keys where they are Avro, under the subjects that the
    /// registry's [strategy](crate::project::SubjectStrategy) gives them. `key` names the columns that keys are made of; with none, records keep the key they came with.
    pub async fn open(registry: &Registry, topic: &str, schema: &Schema, key: &[String]) -> Result<Self> {
        let id = registry.register(&registry.subject_of(topic, Part::Value, schema), schema).await?;
        let keys = Keys::open(registry, topic, schema, key).await?;
        Ok(Self { topic: topic.into(), values: Encoder::new(schema, id)?, keys })
    }

    /// Writes rows of another schema from here on, which is registered before this returns. On a fault it goes on as it was.
    ///
    /// # Errors
    /// [`Code::RegistryRefused`](millrace_model::Code) when the registry does not take the schema,
    /// [`Code::SchemaIncompatible`](millrace_model::Code) when keys would be written otherwise than before; else faults of the registry.
    pub async fn follow(&mut self, registry: &Registry, schema: &Schema, key: &[String]) -> Result<()> {
        let columns = self.keys.columns_in(schema, key)?;
        let id = registry.register(&registry.subject_of(&self.topic, Part::Value, schema), schema).await?;
        self.values = Encoder::new(schema, id)?;
        self.keys.read_from(columns);
        Ok(())
    }

    /// The rows of `batch`, and tombstones for the records of those indices (ascending), ready to be sent. Pure.
    ///
    /// # Errors
    /// [`Code::SchemaIncompatible`](millrace_model::Code) for rows that are none of the schema: no row of the batch can be written.
    pub fn fit(&self, batch: Batch, tombstones: Vec<u32>) -> Result<Fitted> {
        let (values, keys) = (self.values.encode(batch.columns())?, self.keys.encode(batch.columns())?);
        Ok(Fitted { topic: Arc::clone(&self.topic), batch, tombstones, values, keys })
    }

    /// Sends the rows of `batch`, and tombstones for the records of those indices (ascending), all in the order of the records.
    pub fn write(&self, producer: &mut Producer, batch: &Batch, tombstones: &[u32], trace: &BatchTrace) -> Result<Written> {
        self.fit(batch.clone(), tombstones.to_vec())?.send(producer, trace)
    }

    /// The same of the records that `gate` lets through.
    pub fn write_through(
        &self,
        producer: &mut Producer,
        batch: &Batch,
        tombstones: &[u32],
        trace: &BatchTrace,
        gate: impl Gate,
    ) -> Result<Written> {
        self.fit(batch.clone(), tombstones.to_vec())?.send_through(producer, trace, gate)
    }
}

/// Says, record by record, which ones are written.
pub trait Gate {
    /// Whether the record is to be left out.
    fn holds(&self, record: u32) -> bool;

    /// The record was rejected.
    fn rejected(&mut self, record: u32);
}

/// Lets every record through.
struct Open;

impl Gate for Open {
    fn holds(&self, _: u32) -> bool {
        false
    }

    fn rejected(&mut self, _: u32) {}
}
