//! Records as Kafka has them, many at a time: the undecoded side of a [`crate::Batch`].

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, BinaryArray, BinaryBuilder};

use crate::position::{Offsets, TopicPartition};

/// One header of a record: a name and bytes, or a name and null.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The header's name; names may repeat.
    pub key: String,
    /// The header's value; `None` is Kafka's null, which is not the empty value.
    pub value: Option<Vec<u8>>,
}

/// One record, borrowed from [`Records`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// The topic it was read from, or the name of the source that brought it.
    pub topic: &'a str,
    /// The partition it was read from.
    pub partition: i32,
    /// Its offset there.
    pub offset: i64,
    /// Its timestamp in milliseconds since the epoch.
    pub timestamp: i64,
    /// Its key, byte for byte.
    pub key: Option<&'a [u8]>,
    /// Its value, byte for byte; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// Its headers in their order.
    pub headers: &'a [Header],
}

/// Records of one topic in the order in which they were read, one column for each part.
///
/// All of them stay in memory, byte for byte, for as long as a batch decoded from them lives: what
/// becomes a dead letter is the original, and keys, timestamps and headers are looked up, not copied.
#[derive(Debug)]
pub struct Records {
    topic: Arc<str>,
    partitions: Vec<i32>,
    offsets: Vec<i64>,
    timestamps: Vec<i64>,
    keys: BinaryArray,
    values: BinaryArray,
    /// Empty when no record has a header, which is the common case.
    headers: Vec<Box<[Header]>>,
}

impl Records {
    /// How many records there are.
    pub fn len(&self) -> usize {
        self.offsets.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }

    /// How many bytes of memory they take.
    pub fn memory(&self) -> usize {
        let places = self.len() * (size_of::<i32>() + 2 * size_of::<i64>());
        let headers = self.headers.iter().flatten().map(|header| size_of::<Header>() + header.value.as_ref().map_or(0, Vec::len));
        self.keys.get_array_memory_size() + self.values.get_array_memory_size() + places + headers.sum::<usize>()
    }

    /// The topic of all of them.
    pub fn topic(&self) -> &Arc<str> {
        &self.topic
    }

    /// The partition of each.
    pub fn partitions(&self) -> &[i32] {
        &self.partitions
    }

    /// The offset of each.
    pub fn offsets(&self) -> &[i64] {
        &self.offsets
    }

    /// The timestamp of each, in milliseconds since the epoch.
    pub fn timestamps(&self) -> &[i64] {
        &self.timestamps
    }

    /// The key of each.
    pub fn keys(&self) -> &BinaryArray {
        &self.keys
    }

    /// The value of each; null is a tombstone.
    pub fn values(&self) -> &BinaryArray {
        &self.values
    }

    /// The headers of one record.
    pub fn headers(&self, row: usize) -> &[Header] {
        self.headers.get(row).map_or(&[], |headers| headers)
    }

    /// Whether any record has a header.
    pub fn has_headers(&self) -> bool {
        !self.headers.is_empty()
    }

    /// The key of one record.
    pub fn key(&self, row: usize) -> Option<&[u8]> {
        self.keys.is_valid(row).then(|| self.keys.value(row))
    }

    /// The value of one record; `None` is a tombstone.
    pub fn value(&self, row: usize) -> Option<&[u8]> {
        self.values.is_valid(row).then(|| self.values.value(row))
    }

    /// Moves `offsets` past these records: for each of their partitions to the last one's offset + 1.
    pub fn advance(&self, offsets: &mut Offsets) {
        for (partition, next) in self.ends() {
            offsets.insert(TopicPartition::new(Arc::clone(&self.topic), partition), next);
        }
    }

    /// For each partition the offset after its last record. Records of one partition mostly stand together, so a run of them is looked up once.
    fn ends(&self) -> BTreeMap<i32, i64> {
        let mut ends = BTreeMap::new();
        let mut run: Option<(i32, i64)> = None;
        for (&partition, &offset) in self.partitions.iter().zip(&self.offsets) {
            match &mut run {
                Some((known, next)) if *known == partition => *next = offset + 1,
                _ => ends.extend(run.replace((partition, offset + 1))),
            }
        }
        ends.extend(run);
        ends
    }

    /// One record, all of its parts.
    pub fn record(&self, row: usize) -> Record<'_> {
        Record {
            topic: &self.topic,
            partition: self.partitions[row],
            offset: self.offsets[row],
            timestamp: self.timestamps[row],
            key: self.key(row),
            value: self.value(row),
            headers: self.headers(row),
        }
    }
}

/// Collects records as they are read.
#[derive(Debug)]
pub struct RecordsBuilder {
    topic: Arc<str>,
    partitions: Vec<i32>,
    offsets: Vec<i64>,
    timestamps: Vec<i64>,
    keys: BinaryBuilder,
    values: BinaryBuilder,
    headers: Vec<Box<[Header]>>,
}

impl RecordsBuilder {
    /// For records of `topic`, with room for `capacity` of them.
    pub fn new(topic: Arc<str>, capacity: usize) -> Self {
        Self {
            topic,
            partitions: Vec::with_capacity(capacity),
            offsets: Vec::with_capacity(capacity),
            timestamps: Vec::with_capacity(capacity),
            keys: BinaryBuilder::with_capacity(capacity, capacity * 16),
            values: BinaryBuilder::with_capacity(capacity, capacity * 128),
            headers: Vec::new(),
        }
    }

    /// How many records it has.
    pub fn len(&self) -> usize {
        self.offsets.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }

    /// How many bytes of values it has.
    pub fn value_bytes(&self) -> usize {
        self.values.values_slice().len()
    }

    /// Adds a record; the topic is the builder's, whatever the record says.
    pub fn push(&mut self, record: &Record<'_>) {
        self.push_without_headers(record);
        if !record.headers.is_empty() {
            self.set_headers(record.headers.into());
        }
    }

    /// Adds a record and gives it `headers`, which it takes without a copy.
    pub fn push_with_headers(&mut self, record: &Record<'_>, headers: Vec<Header>) {
        self.push_without_headers(record);
        if !headers.is_empty() {
            self.set_headers(headers.into_boxed_slice());
        }
    }

    fn push_without_headers(&mut self, record: &Record<'_>) {
        self.partitions.push(record.partition);
        self.offsets.push(record.offset);
        self.timestamps.push(record.timestamp);
        self.keys.append_option(record.key);
        self.values.append_option(record.value);
        if !self.headers.is_empty() {
            self.headers.push(Box::default());
        }
    }

    fn set_headers(&mut self, headers: Box<[Header]>) {
        self.headers.resize(self.offsets.len(), Box::default());
        if let Some(last) = self.headers.last_mut() {
            *last = headers;
        }
    }

    /// The records collected. Room that was not used is given back: a batch may be kept for long, and one of a trickle is small.
    pub fn finish(mut self) -> Records {
        let (mut keys, mut values) = (self.keys.finish(), self.values.finish());
        keys.shrink_to_fit();
        values.shrink_to_fit();
        Records {
            topic: self.topic,
            partitions: fitted(self.partitions),
            offsets: fitted(self.offsets),
            timestamps: fitted(self.timestamps),
            keys,
            values,
            headers: self.headers,
        }
    }
}

fn fitted<T>(mut column: Vec<T>) -> Vec<T> {
    column.shrink_to_fit();
    column
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(offset: i64, headers: &[Header]) -> Record<'_> {
        Record { topic: "t", partition: 1, offset, timestamp: 7, key: None, value: Some(b"v"), headers }
    }

    #[test]
    fn a_header_stays_with_its_record_when_others_have_none() {
        let header = [Header { key: "h".into(), value: None }];
        let mut builder = RecordsBuilder::new("t".into(), 3);
        builder.push(&record(0, &[]));
        builder.push(&record(1, &header));
        builder.push(&record(2, &[]));
        let records = builder.finish();
        assert_eq!(records.headers(0), &[]);
        assert_eq!(records.headers(1), &header);
        assert_eq!(records.record(2), record(2, &[]));
    }

    #[test]
    fn offsets_advance_past_the_last_record_of_each_partition() {
        let mut builder = RecordsBuilder::new("t".into(), 3);
        for (partition, offset) in [(0, 4), (1, 7), (0, 6)] {
            builder.push(&Record { partition, ..record(offset, &[]) });
        }
        let mut offsets = Offsets::from([(TopicPartition::new("t", 0), 4)]);
        builder.finish().advance(&mut offsets);
        assert_eq!(offsets, Offsets::from([(TopicPartition::new("t", 0), 7), (TopicPartition::new("t", 1), 8)]));
    }

    #[test]
    fn a_few_records_take_little_memory_whatever_was_reserved() {
        let mut builder = RecordsBuilder::new("t".into(), 4096);
        builder.push(&record(0, &[]));
        assert!(builder.finish().memory() < 4096);
    }

    #[test]
    fn records_without_headers_keep_no_column_for_them() {
        let mut builder = RecordsBuilder::new("t".into(), 1);
        builder.push(&record(0, &[]));
        assert!(!builder.finish().has_headers());
    }
}
