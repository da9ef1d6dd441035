//! Writing dead letters.

use millrace_model::{Code, Header, Record, Rejected, Result};

use super::PREFIX;
use super::letter::is_said;
use crate::kafka::{Outgoing, Producer, Topic};

/// How much of a key and of a value that can't be copied whole is kept, in bytes: enough to see what it is, and less than any topic takes.
const KEPT: usize = 16 << 10;

/// Writes the dead letters of one pipeline.
#[derive(Debug, Clone)]
pub struct DeadLetters {
    pipeline: Box<str>,
    topic: Box<str>,
    /// Whether what is longer than [`KEPT`] is cut from the first: the topic takes less than clients do.
    cuts: bool,
}

/// Key and value as far as they are kept, and how many bytes are not: those are where the other headers say.
struct Cut<'a> {
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    omitted: usize,
}

impl<'a> Cut<'a> {
    /// Of each part at most so many bytes. A key is kept whole or not at all: half a one is another.
    fn of(record: &Record<'a>, most: usize) -> Self {
        let length = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
        let key = record.key.filter(|key| key.len() <= most);
        let value = record.value.map(|value| &value[..value.len().min(most)]);
        let omitted = length(record.key) + length(record.value) - length(key) - length(value);
        Self { key, value, omitted }
    }

    fn header(&self) -> Option<Header> {
        let value = Some(self.omitted.to_string().into_bytes());
        (self.omitted > 0).then(|| Header { key: format!("{PREFIX}omitted_bytes"), value })
    }
}

impl DeadLetters {
    /// Those of pipeline `pipeline` (`<project>.<pipeline>`), into `topic`.
    pub fn new(pipeline: &str, topic: &str) -> Self {
        Self { pipeline: pipeline.into(), topic: topic.into(), cuts: false }
    }

    /// Cuts long keys and values from here on, for a topic that does not take what the client would send; tells whether that is new.
    pub fn cut(&mut self) -> bool {
        !std::mem::replace(&mut self.cuts, true)
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
        let headers = self.headers(rejected, jiff::Timestamp::now());
        let send = |most: usize| {
            let cut = Cut::of(&record, most);
            let headers: Vec<Header> = headers.iter().cloned().chain(cut.header()).collect();
            producer.send(
                topic,
                &Outgoing { key: cut.key, value: cut.value, timestamp: record.timestamp, headers: &headers, ..Outgoing::default() },
            )
        };
        match send(if self.cuts { KEPT } else { usize::MAX }) {
            Err(fault) if fault.code() == Code::KafkaTooLarge => send(KEPT),
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
