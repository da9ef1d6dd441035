//! A batch made ready to be sent: decided without Kafka, so that who only asks is told the same.

use std::sync::Arc;

use millrace_model::{Batch, Code, Records, Rejection, Result};

use super::sending::Sending;
use super::{Gate, Open, Written};
use crate::codec::Encoded;
use crate::kafka::{Cluster, Producer};
use crate::keys::{BatchKeys, RowKey};
use crate::telemetry::BatchTrace;

/// A batch in the bytes that its topic gets.
pub struct Fitted {
    pub(super) topic: Arc<str>,
    pub(super) batch: Batch,
    pub(super) tombstones: Vec<u32>,
    pub(super) values: Encoded,
    pub(super) keys: BatchKeys,
}

/// The bytes of one record.
#[derive(Clone, Copy)]
pub(super) struct Ready<'a> {
    pub(super) key: Option<&'a [u8]>,
    /// `None` is a tombstone.
    pub(super) value: Option<&'a [u8]>,
}

impl Fitted {
    /// Sends the rows and the tombstones, all in the order of the records.
    pub fn send(&self, producer: &mut Producer, trace: &BatchTrace) -> Result<Written> {
        self.send_through(producer, trace, Open)
    }

    /// The same of the records that `gate` lets through.
    pub(super) fn send_through(&self, producer: &mut Producer, trace: &BatchTrace, gate: impl Gate) -> Result<Written> {
        let topic = producer.topic(&self.topic)?;
        let mut sending = Sending::new(producer, topic, self.batch.origin().records(), trace, gate);
        self.each(|record, ready| sending.take(record, ready))?;
        Ok(sending.written)
    }

    /// The records that the rows came from.
    pub fn records(&self) -> &Arc<Records> {
        self.batch.origin().records()
    }

    /// What sending would reject: records whose key can't be made, and those larger than the clients of `cluster` take. What the broker
    /// alone refuses, such as what is too large for its topic, is not known.
    pub fn rejected(&self, cluster: &Cluster) -> Result<Vec<Rejection>> {
        let mut rejected = Vec::new();
        self.each(|record, ready| {
            rejected.extend(match ready {
                Ok(ready) => (!cluster.takes(ready.key, ready.value)).then(|| ready.too_large(record)),
                Err(rejection) => Some(rejection),
            });
            Ok(())
        })?;
        Ok(rejected)
    }

    /// Gives the records in their order, or why one can't be written.
    pub(super) fn each(&self, mut take: impl FnMut(u32, Result<Ready<'_>, Rejection>) -> Result<()>) -> Result<()> {
        let mut tombstones = self.tombstones.iter().copied().peekable();
        for (row, &record) in self.batch.origin().rows().iter().enumerate() {
            while let Some(tombstone) = tombstones.next_if(|&tombstone| tombstone < record) {
                take(tombstone, self.tombstone(tombstone))?;
            }
            take(record, self.row(record, row))?;
        }
        tombstones.try_for_each(|tombstone| take(tombstone, self.tombstone(tombstone)))
    }

    fn row(&self, record: u32, row: usize) -> Result<Ready<'_>, Rejection> {
        let value = Some(self.values.value(row));
        match self.keys.of(row) {
            RowKey::Kept => Ok(Ready { key: self.kept(record), value }),
            RowKey::Made(key) => Ok(Ready { key: Some(key), value }),
            RowKey::Missing => Err(Rejection::new(record, Code::KeyInvalid, "the key's column is null")),
        }
    }

    /// A tombstone has no columns that another key could be made of.
    fn tombstone(&self, record: u32) -> Result<Ready<'_>, Rejection> {
        if self.keys.are_kept() {
            return Ok(Ready { key: self.kept(record), value: None });
        }
        let reason = "a record without a value has no columns to make the pipeline's key of";
        Err(Rejection::new(record, Code::TombstoneRefused, reason))
    }

    fn kept(&self, record: u32) -> Option<&[u8]> {
        self.batch.origin().records().key(record as usize)
    }
}

impl Ready<'_> {
    pub(super) fn too_large(&self, record: u32) -> Rejection {
        let length = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
        let reason = format!("the encoded record has {} bytes, more than Kafka's client takes", length(self.key) + length(self.value));
        Rejection::new(record, Code::KafkaTooLarge, reason)
    }
}
