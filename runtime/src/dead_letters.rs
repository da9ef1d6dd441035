//! Rejected records, durably kept: written beside what is good, and read back for people.
//!
//! A dead letter is the original record, byte for byte, with headers that say what happened to it: `millrace.error.*`,
//! and the names that Kafka Connect uses, so that the tools people have can read it (KIP-298).

use std::collections::BTreeMap;

use millrace_model::{Code, Fault, Header, Record, Rejected, Result};

use crate::kafka::{Cluster, Outgoing, Producer, Topic, compacted};

const PREFIX: &str = "millrace.error.";

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
    fn headers(&self, rejected: &Rejected, now: jiff::Timestamp) -> Vec<Header> {
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
        let earlier = |header: &&Header| header.key.starts_with(PREFIX) || header.key.starts_with("__connect.errors.");
        let kept = record.headers.iter().filter(|header| !earlier(header)).cloned();
        kept.chain(said.map(|(key, value)| Header { key: key.to_owned(), value: Some(value.as_bytes().to_vec()) })).collect()
    }
}

/// What `on_error: halt` makes of a rejected record: the pipeline stands at it.
pub fn halt_at(rejected: &Rejected) -> Fault {
    let record = rejected.record();
    let place = format!("{}-{} offset {}", record.topic, record.partition, record.offset);
    let message = format!("the record at {place} was rejected at {}: {}; on_error is halt", rejected.stage(), rejected.reason());
    Fault::operator(rejected.code(), message)
}

/// A dead letter, read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Where it stands in the dead-letter topic.
    pub partition: i32,
    /// Its offset there.
    pub offset: i64,
    /// Its timestamp in milliseconds since the epoch: the original's.
    pub timestamp: i64,
    /// The original's key.
    pub key: Option<Vec<u8>>,
    /// The original's value.
    pub value: Option<Vec<u8>>,
    /// All headers, those of the original first.
    pub headers: Vec<Header>,
    said: BTreeMap<String, String>,
}

impl DeadLetter {
    fn of(record: &Record<'_>) -> Self {
        let said = record.headers.iter().filter_map(|header| {
            let name = header.key.strip_prefix(PREFIX)?;
            Some((name.to_owned(), String::from_utf8_lossy(header.value.as_deref()?).into_owned()))
        });
        Self {
            partition: record.partition,
            offset: record.offset,
            timestamp: record.timestamp,
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
            headers: record.headers.to_vec(),
            said: said.collect(),
        }
    }

    /// What the header `millrace.error.<name>` says; empty when there is none.
    pub fn said(&self, name: &str) -> &str {
        self.said.get(name).map_or("", String::as_str)
    }

    /// What makes it one and the same dead letter wherever it is written twice: pipeline, topic, partition, offset, stage.
    pub fn identity(&self) -> [&str; 5] {
        ["pipeline", "topic", "partition", "offset", "stage"].map(|name| self.said(name))
    }
}

/// Every dead letter of `topic`, each identity once (the latest), in the order in which they were written.
pub async fn read(cluster: &Cluster, topic: &str) -> Result<Vec<DeadLetter>> {
    let (sender, receiver) = std::sync::mpsc::channel();
    // The receiver outlives the reading.
    compacted::read_to_end(cluster, topic, move |record| sender.send(DeadLetter::of(record)).unwrap_or_default()).await?;
    let letters: Vec<DeadLetter> = receiver.into_iter().collect();
    Ok(once_each(&letters))
}

fn once_each(letters: &[DeadLetter]) -> Vec<DeadLetter> {
    let last: BTreeMap<[String; 5], usize> =
        letters.iter().enumerate().map(|(index, letter)| (letter.identity().map(str::to_owned), index)).collect();
    let mut kept: Vec<usize> = last.into_values().collect();
    kept.sort_by_key(|&index| (letters[index].said("at").to_owned(), index));
    kept.into_iter().map(|index| letters[index].clone()).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use millrace_model::{RecordsBuilder, Rejection, Stage};

    fn rejected(headers: &[Header]) -> Rejected {
        let mut records = RecordsBuilder::new("in".into(), 1);
        records.push(&Record { topic: "in", partition: 3, offset: 42, timestamp: 5, key: Some(b"k"), value: Some(b"v"), headers });
        Rejected::new(&Arc::new(records.finish()), Stage::Decode, Rejection::new(0, Code::AvroInvalid, "truncated"))
    }

    fn letter(rejected: &Rejected) -> DeadLetter {
        let headers = DeadLetters::new("p.x", "dead").headers(rejected, jiff::Timestamp::UNIX_EPOCH);
        DeadLetter::of(&Record { headers: &headers, offset: 0, ..rejected.record() })
    }

    #[test]
    fn a_dead_letter_says_what_happened_and_keeps_the_originals_headers_first() {
        let letter = letter(&rejected(&[Header { key: "mine".into(), value: None }]));
        assert_eq!(letter.headers[0].key, "mine");
        assert_eq!(letter.identity(), ["p.x", "in", "3", "42", "decode"]);
        assert_eq!((letter.said("code"), letter.said("message"), letter.said("at")), ("MR0311", "truncated", "1970-01-01T00:00:00Z"));
        assert!(letter.headers.iter().any(|header| header.key == "__connect.errors.topic"));
    }

    #[test]
    fn a_record_rejected_again_carries_only_its_last_rejection() {
        let once = letter(&rejected(&[]));
        let twice = letter(&rejected(&once.headers));
        assert_eq!(twice.headers.iter().filter(|header| header.key == "millrace.error.code").count(), 1);
    }

    #[test]
    fn one_record_rejected_twice_is_one_dead_letter() {
        let letter = letter(&rejected(&[]));
        assert_eq!(once_each(&[letter.clone(), letter.clone()]), [letter]);
    }
}
