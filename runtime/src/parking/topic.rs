//! The topic of parked records.

use std::collections::BTreeMap;
use std::sync::mpsc::channel;

use millrace_model::{Code, Header, Record, Result};

use super::entry::{Entry, Parked, clear_headers, head_headers, omitted_headers, waiting_headers};
use super::rebuild::Entries;
use crate::kafka::topics::Declared;
use crate::kafka::{Cluster, Outgoing, Producer, Topic, compacted};
use crate::own_topics::PARKED;

/// The topic as it is made. Its records are as large as those of the topics that they come from.
pub fn own_topic() -> Declared {
    let mut declared = Declared::compacted(PARKED, 1);
    declared.config.insert("max.message.bytes".to_owned(), (32 << 20).to_string());
    declared
}

/// What is kept of the records of `topic` by `pipeline`, transactions that are open now included once they are committed.
pub(super) async fn read(cluster: &Cluster, pipeline: &str, topic: &str) -> Result<Entries> {
    let (sender, receiver) = channel();
    let (pipeline, topic) = (pipeline.to_owned(), topic.to_owned());
    compacted::read_to_end(cluster, PARKED, move |record| {
        let Some(parked) = record.key.and_then(Parked::of_key) else { return };
        if parked.pipeline == pipeline && parked.topic == topic {
            // The receiver outlives the reading.
            sender.send(((parked.partition, parked.offset), Entry::of(record))).unwrap_or_default();
        }
    })
    .await?;
    let mut entries = Entries::new();
    for (place, entry) in receiver {
        match entry {
            Some(entry) => entries.insert(place, entry),
            None => entries.remove(&place),
        };
    }
    Ok(entries)
}

/// Everything that is parked now, by whatever pipeline; nothing where the topic does not exist. For people.
pub async fn read_now(cluster: &Cluster) -> Result<BTreeMap<Parked, Entry>> {
    let (sender, receiver) = channel();
    let read = compacted::read_now(cluster, PARKED, move |record| {
        let parked = record.key.and_then(Parked::of_key).map(|parked| (parked, Entry::of(record)));
        parked.into_iter().for_each(|parked| sender.send(parked).unwrap_or_default());
    });
    match read.await {
        Err(fault) if fault.code() == Code::KafkaTopicMissing => return Ok(BTreeMap::new()),
        read => read?,
    }
    let mut entries = BTreeMap::new();
    for (parked, entry) in receiver {
        match entry {
            Some(entry) => entries.insert(parked, entry),
            None => entries.remove(&parked),
        };
    }
    Ok(entries)
}

/// Writes entries of one pipeline, in the producer's transaction if it is in one.
pub(super) struct Entering<'a> {
    producer: &'a Producer,
    topic: Topic,
    pipeline: &'a str,
    input: &'a str,
}

impl<'a> Entering<'a> {
    pub(super) fn new(producer: &'a mut Producer, pipeline: &'a str, input: &'a str) -> Result<Self> {
        let topic = producer.topic(PARKED)?;
        Ok(Self { producer, topic, pipeline, input })
    }

    fn parked(&self, partition: i32, offset: i64) -> Parked {
        Parked { pipeline: self.pipeline.to_owned(), topic: self.input.to_owned(), partition, offset }
    }

    pub(super) fn head(&self, record: &Record<'_>, at: jiff::Timestamp) -> Result<()> {
        self.bare(record, |parked, key| head_headers(parked, key, at))
    }

    pub(super) fn clear(&self, record: &Record<'_>) -> Result<()> {
        self.bare(record, clear_headers)
    }

    /// An entry without the record's value.
    fn bare(&self, record: &Record<'_>, headers: impl Fn(&Parked, &[u8]) -> Vec<Header>) -> Result<()> {
        let parked = self.parked(record.partition, record.offset);
        let headers = headers(&parked, record.key.unwrap_or_default());
        let (key, value) = (parked.to_key(), Some(b"".as_slice()));
        self.send(&Outgoing { key: Some(&key), value, timestamp: record.timestamp, headers: &headers, ..Outgoing::default() })
    }

    pub(super) fn waiting(&self, record: &Record<'_>) -> Result<()> {
        let parked = self.parked(record.partition, record.offset);
        let headers = waiting_headers(&parked, record);
        let (key, value) = (parked.to_key(), Some(record.value.unwrap_or_default()));
        let whole = Outgoing { key: Some(&key), value, timestamp: record.timestamp, headers: &headers, ..Outgoing::default() };
        match self.send(&whole) {
            Err(fault) if fault.code() == Code::KafkaTooLarge => {
                let headers = omitted_headers(&parked, record.key.unwrap_or_default());
                self.send(&Outgoing { value: Some(b""), headers: &headers, ..whole })
            }
            sent => sent,
        }
    }

    pub(super) fn gone(&self, partition: i32, offset: i64) -> Result<()> {
        let key = self.parked(partition, offset).to_key();
        self.send(&Outgoing { key: Some(&key), ..Outgoing::default() })
    }

    fn send(&self, record: &Outgoing<'_>) -> Result<()> {
        self.producer.send(self.topic, record)
    }
}
