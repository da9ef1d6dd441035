//! One batch on its way into Kafka.

use millrace_model::{Code, Records, Rejection, Result};

use super::fitted::Ready;
use super::{Gate, Written};
use crate::kafka::{Outgoing, Producer, Topic};
use crate::telemetry::BatchTrace;

pub(super) struct Sending<'a, G> {
    producer: &'a Producer,
    topic: Topic,
    records: &'a Records,
    trace: &'a BatchTrace,
    gate: G,
    pub(super) written: Written,
}

impl<'a, G: Gate> Sending<'a, G> {
    pub(super) fn new(producer: &'a Producer, topic: Topic, records: &'a Records, trace: &'a BatchTrace, gate: G) -> Self {
        Self { producer, topic, records, trace, gate, written: Written::default() }
    }

    pub(super) fn take(&mut self, record: u32, ready: Result<Ready<'_>, Rejection>) -> Result<()> {
        match ready {
            Ok(ready) => self.send(record, ready),
            Err(rejection) => {
                self.reject(rejection);
                Ok(())
            }
        }
    }

    fn reject(&mut self, rejection: Rejection) {
        self.gate.rejected(rejection.record);
        self.written.rejected.push(rejection);
    }

    fn send(&mut self, record: u32, ready: Ready<'_>) -> Result<()> {
        if self.gate.holds(record) {
            return Ok(());
        }
        let row = record as usize;
        let traceparent = self.trace.outgoing(record);
        let outgoing = Outgoing {
            partition: None,
            key: ready.key,
            value: ready.value,
            timestamp: self.records.timestamps()[row],
            headers: self.records.headers(row),
            said: &[],
            traceparent: traceparent.as_deref(),
        };
        match self.producer.send(self.topic, &outgoing) {
            Ok(()) => {
                self.written.records += 1;
                self.written.bytes += ready.value.map_or(0, |value| value.len() as u64);
                Ok(())
            }
            // It was not queued: the transaction is as it was.
            Err(fault) if fault.code() == Code::KafkaTooLarge => {
                self.reject(ready.too_large(record));
                Ok(())
            }
            Err(fault) => Err(fault),
        }
    }
}
