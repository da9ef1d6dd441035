//! Records into a topic as they are.

use std::sync::Arc;

use async_trait::async_trait;
use millrace_model::{Code, Records, Rejection, Result, Stage};
use millrace_runtime::dead_letters::{DeadLetter, Identity, Resolution};
use millrace_runtime::kafka::{Outgoing, Producer, Topic};

use super::{Destination, send_marks};

/// A topic that someone named.
pub(super) struct Elsewhere {
    producer: Producer,
    topic: Topic,
}

impl Elsewhere {
    pub(super) fn open(mut producer: Producer, topic: &str) -> Result<Self> {
        let topic = producer.topic(topic)?;
        Ok(Self { producer, topic })
    }

    fn send(&self, records: &Records, row: usize) -> Result<()> {
        let record = records.record(row);
        let Self { producer, topic } = self;
        let outgoing =
            Outgoing { key: record.key, value: record.value, timestamp: record.timestamp, headers: record.headers, ..Outgoing::default() };
        producer.send(*topic, &outgoing)
    }
}

#[async_trait(?Send)]
impl Destination for Elsewhere {
    async fn attempt(&mut self, _letters: &[DeadLetter], records: &Arc<Records>) -> Result<Vec<(Stage, Rejection)>> {
        self.producer.begin()?;
        let mut rejected = Vec::new();
        for row in 0..records.len() {
            match self.send(records, row) {
                Err(fault) if fault.code() == Code::KafkaTooLarge => {
                    rejected.push((Stage::Encode, Rejection::new(row as u32, fault.code(), fault.message())));
                }
                sent => sent?,
            }
        }
        Ok(rejected)
    }

    async fn commit(&mut self, marks: &[(Identity, Resolution)]) -> Result<()> {
        send_marks(&mut self.producer, marks)?;
        self.producer.commit()
    }

    async fn abandon(&mut self) -> Result<()> {
        self.producer.abort()
    }

    async fn mark(&mut self, marks: &[(Identity, Resolution)]) -> Result<()> {
        self.commit(marks).await
    }
}
