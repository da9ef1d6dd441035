//! The end of a pipeline that writes a topic: batches in, keyed and encoded records out.

use millrace_model::{Batch, Code, Records, Rejection, Result, Schema};

use crate::codec::Encoder;
use crate::kafka::{Outgoing, Producer, Topic};
use crate::keys::{Keys, RowKey};
use crate::registry::{Part, Registry};
use crate::telemetry::BatchTrace;

/// Writes batches of one schema to one topic.
pub struct Writer {
    name: Box<str>,
    topic: Topic,
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
    pub async fn open(registry: &Registry, producer: &mut Producer, topic: &str, schema: &Schema, key: &[String]) -> Result<Self> {
        let id = registry.register(&registry.subject_of(topic, Part::Value, schema), schema).await?;
        let keys = Keys::open(registry, topic, schema, key).await?;
        Ok(Self { name: topic.into(), topic: producer.topic(topic)?, values: Encoder::new(schema, id)?, keys })
    }

    /// Writes rows of another schema from here on, which is registered before this returns. On a fault it goes on as it was.
    ///
    /// # Errors
    /// [`Code::RegistryRefused`] when the registry does not take the schema, [`Code::SchemaIncompatible`] when keys would be written
    /// otherwise than before; else faults of the registry.
    pub async fn follow(&mut self, registry: &Registry, schema: &Schema, key: &[String]) -> Result<()> {
        let columns = self.keys.columns_in(schema, key)?;
        let id = registry.register(&registry.subject_of(&self.name, Part::Value, schema), schema).await?;
        self.values = Encoder::new(schema, id)?;
        self.keys.read_from(columns);
        Ok(())
    }

    /// Sends the rows of `batch`, and tombstones for the records of those indices (ascending), all in the order of the records.
    pub fn write(&self, producer: &Producer, batch: &Batch, tombstones: &[u32], trace: &BatchTrace) -> Result<Written> {
        self.write_through(producer, batch, tombstones, trace, Open)
    }

    /// The same of the records that `gate` lets through.
    pub fn write_through(
        &self,
        producer: &Producer,
        batch: &Batch,
        tombstones: &[u32],
        trace: &BatchTrace,
        gate: impl Gate,
    ) -> Result<Written> {
        let values = self.values.encode(batch.columns())?;
        let keys = self.keys.encode(batch.columns())?;
        let mut pass = Pass { writer: self, producer, records: batch.origin().records(), trace, gate, written: Written::default() };
        let mut tombstones = tombstones.iter().copied().peekable();
        for (row, &record) in batch.origin().rows().iter().enumerate() {
            while let Some(tombstone) = tombstones.next_if(|&tombstone| tombstone < record) {
                pass.tombstone(tombstone)?;
            }
            pass.row(record, keys.of(row), values.value(row))?;
        }
        tombstones.try_for_each(|tombstone| pass.tombstone(tombstone))?;
        Ok(pass.written)
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

/// One batch on its way out.
struct Pass<'a, G> {
    writer: &'a Writer,
    producer: &'a Producer,
    records: &'a Records,
    trace: &'a BatchTrace,
    gate: G,
    written: Written,
}

impl<G: Gate> Pass<'_, G> {
    fn row(&mut self, record: u32, key: RowKey<'_>, value: &[u8]) -> Result<()> {
        match key {
            RowKey::Kept => self.send(record, self.records.key(record as usize), Some(value)),
            RowKey::Made(key) => self.send(record, Some(key), Some(value)),
            RowKey::Missing => {
                self.reject(record, Code::KeyInvalid, "the key's column is null");
                Ok(())
            }
        }
    }

    /// A tombstone has no columns that another key could be made of.
    fn tombstone(&mut self, record: u32) -> Result<()> {
        if self.writer.keys.are_kept() {
            return self.send(record, self.records.key(record as usize), None);
        }
        let reason = "a record without a value has no columns to make the pipeline's key of";
        self.reject(record, Code::TombstoneRefused, reason);
        Ok(())
    }

    fn reject(&mut self, record: u32, code: Code, reason: impl Into<String>) {
        self.gate.rejected(record);
        self.written.rejected.push(Rejection::new(record, code, reason));
    }

    fn send(&mut self, record: u32, key: Option<&[u8]>, value: Option<&[u8]>) -> Result<()> {
        if self.gate.holds(record) {
            return Ok(());
        }
        let row = record as usize;
        let traceparent = self.trace.outgoing(record);
        let outgoing = Outgoing {
            partition: None,
            key,
            value,
            timestamp: self.records.timestamps()[row],
            headers: self.records.headers(row),
            traceparent: traceparent.as_deref(),
        };
        match self.producer.send(self.writer.topic, &outgoing) {
            Ok(()) => {
                self.written.records += 1;
                self.written.bytes += value.map_or(0, |value| value.len() as u64);
                Ok(())
            }
            // It was not queued: the transaction is as it was.
            Err(fault) if fault.code() == Code::KafkaTooLarge => {
                self.reject(record, Code::KafkaTooLarge, too_large(key, value));
                Ok(())
            }
            Err(fault) => Err(fault),
        }
    }
}

fn too_large(key: Option<&[u8]>, value: Option<&[u8]>) -> String {
    let length = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
    format!("the encoded record has {} bytes, more than Kafka's client takes", length(key) + length(value))
}
