//! Writing dead letters.

use millrace_model::{Code, Header, Record, Rejected, Result};

use super::PREFIX;
use super::letter::is_said;
use crate::kafka::{Outgoing, Producer, Topic};

/// Writes the dead letters of one pipeline.
#[derive(Debug, Clone)]
pub struct DeadLetters {
    pipeline: Box<str>,
    topic: Box<str>,
}

/// In the place of a key and value that are larger than Kafka takes: they are where the other headers say.
fn omitted(record: &Record<'_>) -> Header {
    let length = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
    let bytes = length(record.key) + length(record.value);
    Header { key: format!("{PREFIX}omitted_bytes"), value: Some(bytes.to_string().into_bytes()) }
}

impl DeadLetters {
    /// Those of pipeline `pipeline` (`<project>.<pipeline>`), into `topic`.
    pub fn new(pipeline: &str, topic: &str) -> Self {
        Self { pipeline: pipeline.into(), topic: topic.into() }
    }

    /// Sends the dead letters of `rejected`, in the producer's transaction if it is in one.
    pub fn send(&self, producer: &mut Producer, rejected: &[Rejected]) -> Result<()> {
        if rejected.is_empty() {
            return Ok(());
        }
        let topic = producer.topic(&self.topic)?;
        rejected.iter().try_for_each(|rejected| self.send_one(producer, topic, rejected))
    }

    fn send_one(&self, producer: &Producer, topic: Topic, rejected: &Rejected) -> Result<()> {
        let record = rejected.record();
        let mut headers = self.headers(rejected, jiff::Timestamp::now());
        let whole =
            Outgoing { key: record.key, value: record.value, timestamp: record.timestamp, headers: &headers, ..Outgoing::default() };
        match producer.send(topic, &whole) {
            Err(fault) if fault.code() == Code::KafkaTooLarge => {
                headers.push(omitted(&record));
                let place = Outgoing { timestamp: record.timestamp, headers: &headers, ..Outgoing::default() };
                producer.send(topic, &place)
            }
            sent => sent,
        }
    }

    /// The original's headers, without those of an earlier rejection, and then what happened.
    pub(super) fn headers(&self, rejected: &Rejected, now: jiff::Timestamp) -> Vec<Header> {
        let record = rejected.record();
        let (partition, offset) = (record.partition.to_string(), record.offset.to_string());
        let (stage, code, reason) = (rejected.stage().to_string(), rejected.code().as_str(), rejected.reason());
        let at = now.to_string();
        let said = [
            ("millrace.error.pipeline", &*self.pipeline),
            ("millrace.error.stage", &*stage),
            ("millrace.error.code", code),
            ("millrace.error.message", reason),
            ("millrace.error.topic", record.topic),
            ("millrace.error.partition", &*partition),
            ("millrace.error.offset", &*offset),
            ("millrace.error.at", &*at),
            ("__connect.errors.topic", record.topic),
            ("__connect.errors.partition", &*partition),
            ("__connect.errors.offset", &*offset),
            ("__connect.errors.connector.name", &*self.pipeline),
            ("__connect.errors.task.id", "0"),
            ("__connect.errors.stage", &*stage),
            ("__connect.errors.class.name", "millrace"),
            ("__connect.errors.exception.class.name", code),
            ("__connect.errors.exception.message", reason),
        ];
        let kept = record.headers.iter().filter(|header| !is_said(&header.key)).cloned();
        kept.chain(said.map(|(key, value)| Header { key: key.to_owned(), value: Some(value.as_bytes().to_vec()) })).collect()
    }
}
