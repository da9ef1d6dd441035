//! Writing dead letters.

use std::borrow::Cow;
use std::fmt::{Display, Write as _};

use millrace_model::{Code, Header, Record, Rejected, Result};

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
        let mut words = Words::at(jiff::Timestamp::now());
        rejected.iter().try_for_each(|rejected| self.send_one(producer, topic, rejected, &mut words))
    }

    fn send_one(&self, producer: &Producer, topic: Topic, rejected: &Rejected, words: &mut Words) -> Result<()> {
        let record = rejected.record();
        let headers = originals(record.headers);
        words.tell(rejected);
        let mut send = |most: usize| {
            let cut = Cut::of(&record, most);
            words.omit(cut.omitted);
            let said = self.said(rejected, words);
            let said = if cut.omitted > 0 { &said[..] } else { &said[..said.len() - 1] };
            let timestamp = record.timestamp;
            producer.send(topic, &Outgoing { key: cut.key, value: cut.value, timestamp, headers: &headers, said, ..Outgoing::default() })
        };
        match send(if self.cuts { KEPT } else { usize::MAX }) {
            Err(fault) if fault.code() == Code::KafkaTooLarge => send(KEPT),
            sent => sent,
        }
    }

    /// What happened. The last says how much is left out.
    fn said<'a>(&'a self, rejected: &'a Rejected, words: &'a Words) -> [(&'a str, &'a [u8]); 18] {
        let (topic, code, reason) = (rejected.record().topic, rejected.code().as_str(), rejected.reason());
        [
            ("millrace.error.pipeline", &*self.pipeline),
            ("millrace.error.stage", &words.stage),
            ("millrace.error.code", code),
            ("millrace.error.message", reason),
            ("millrace.error.topic", topic),
            ("millrace.error.partition", &words.partition),
            ("millrace.error.offset", &words.offset),
            ("millrace.error.at", &words.at),
            ("__connect.errors.topic", topic),
            ("__connect.errors.partition", &words.partition),
            ("__connect.errors.offset", &words.offset),
            ("__connect.errors.connector.name", &*self.pipeline),
            ("__connect.errors.task.id", "0"),
            ("__connect.errors.stage", &words.stage),
            ("__connect.errors.class.name", "millrace"),
            ("__connect.errors.exception.class.name", code),
            ("__connect.errors.exception.message", reason),
            ("millrace.error.omitted_bytes", &words.omitted),
        ]
        .map(|(name, text)| (name, text.as_bytes()))
    }
}

/// The headers that a record came with, without those of an earlier rejection.
fn originals(headers: &[Header]) -> Cow<'_, [Header]> {
    if headers.iter().any(|header| is_said(&header.key)) {
        headers.iter().filter(|header| !is_said(&header.key)).cloned().collect()
    } else {
        headers.into()
    }
}

/// What headers say in numbers, as texts that are written over for each letter.
struct Words {
    at: String,
    stage: String,
    partition: String,
    offset: String,
    omitted: String,
}

impl Words {
    /// Of letters that are written at that time.
    fn at(now: jiff::Timestamp) -> Self {
        let (stage, partition, offset, omitted) = Default::default();
        Self { at: now.to_string(), stage, partition, offset, omitted }
    }

    fn tell(&mut self, rejected: &Rejected) {
        let record = rejected.record();
        over(&mut self.stage, rejected.stage());
        over(&mut self.partition, record.partition);
        over(&mut self.offset, record.offset);
    }

    fn omit(&mut self, bytes: usize) {
        over(&mut self.omitted, bytes);
    }
}

fn over(text: &mut String, value: impl Display) {
    text.clear();
    // Writing to a string can't fail.
    write!(text, "{value}").unwrap_or_default();
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// All headers of a letter that leaves nothing out.
    pub(in super::super) fn headers(letters: &DeadLetters, rejected: &Rejected, at: jiff::Timestamp) -> Vec<Header> {
        let mut words = Words::at(at);
        words.tell(rejected);
        let said = letters.said(rejected, &words);
        let said = said[..said.len() - 1].iter().map(|(key, value)| Header { key: (*key).to_owned(), value: Some(value.to_vec()) });
        originals(rejected.record().headers).iter().cloned().chain(said).collect()
    }
}
