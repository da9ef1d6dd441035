//! Which keys are parked, and what waits behind each: the state alone, without Kafka.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use arrow::array::BooleanArray;
use jiff::Timestamp;
use millrace_model::{Batch, Code, Fault, Header, Record, Records, RecordsBuilder, Result};

use crate::output::Gate;

/// The rejected record that a key waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Its offset in its partition.
    pub offset: i64,
    /// When it was rejected, or a little before: what settles a letter of it that was made later settles it.
    pub at: Option<Timestamp>,
}

/// A record that waits, whole but for its place and key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Its timestamp in milliseconds since the epoch.
    pub timestamp: i64,
    /// Its value; `None` is a tombstone.
    pub value: Option<Box<[u8]>>,
    /// Its headers.
    pub headers: Box<[Header]>,
}

impl Waiting {
    /// The record of that kind.
    pub fn of(record: &Record<'_>) -> Self {
        Self { timestamp: record.timestamp, value: record.value.map(Into::into), headers: record.headers.into() }
    }

    /// How many bytes of value and headers it has.
    pub fn bytes(&self) -> usize {
        let headers = self.headers.iter().map(|header| header.key.len() + header.value.as_ref().map_or(0, Vec::len));
        self.value.as_ref().map_or(0, |value| value.len()) + headers.sum::<usize>()
    }
}

/// A parked key of one partition.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The partition of the pipeline's input.
    pub partition: i32,
    /// The key, byte for byte.
    pub bytes: Box<[u8]>,
}

impl Key {
    /// That of a record; one without a key waits for nobody.
    pub fn of(record: &Record<'_>) -> Option<Self> {
        Some(Self { partition: record.partition, bytes: record.key?.into() })
    }
}

/// A record that deleted everything that was there: what came before it in its partition counts no more, and need not wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Clear {
    /// Its offset in its partition.
    pub offset: i64,
    /// Its timestamp in milliseconds since the epoch.
    pub timestamp: i64,
}

#[derive(Debug)]
struct Queue {
    head: Head,
    /// The last clear behind the head.
    clear: Option<Clear>,
    waiting: BTreeMap<i64, Waiting>,
}

impl Queue {
    /// What stands in the line in the order of the partition: where everything was deleted meanwhile, the deletion of the key first, in
    /// the place of the head. What settled that may have brought its row back.
    fn line(self) -> impl Iterator<Item = (i64, Waiting)> {
        let offset = self.head.offset;
        let deletion = move |clear: Clear| (offset, Waiting { timestamp: clear.timestamp, value: None, headers: Box::default() });
        self.clear.map(deletion).into_iter().chain(self.waiting)
    }
}

/// The parked keys of the partitions that an instance holds.
#[derive(Debug, Default)]
pub struct ParkedKeys {
    partitions: BTreeMap<i32, HashMap<Box<[u8]>, Queue>>,
    records: usize,
    bytes: usize,
}

/// Keys that wait no more.
#[derive(Debug)]
pub struct Released {
    /// What waited, in the order of the partitions.
    pub records: Arc<Records>,
    /// The places of all that was kept of the keys, heads included.
    pub places: Vec<(i32, i64)>,
}

impl ParkedKeys {
    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.partitions.is_empty()
    }

    /// How many records are kept, heads included.
    pub fn records(&self) -> usize {
        self.records
    }

    /// How many bytes of values, headers and keys they have.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether a key is parked.
    pub fn holds(&self, partition: i32, key: &[u8]) -> bool {
        self.queue(partition, key).is_some()
    }

    /// The record that a key waits for; `None` where it is not parked.
    pub fn head(&self, key: &Key) -> Option<Head> {
        self.queue(key.partition, &key.bytes).map(|queue| queue.head)
    }

    fn queue(&self, partition: i32, key: &[u8]) -> Option<&Queue> {
        self.partitions.get(&partition)?.get(key)
    }

    /// A record of the key was rejected: the later ones wait for it.
    pub fn park(&mut self, key: Key, head: Head) {
        self.records += 1;
        self.bytes += key.bytes.len();
        let queue = Queue { head, clear: None, waiting: BTreeMap::new() };
        self.partitions.entry(key.partition).or_default().insert(key.bytes, queue);
    }

    /// A later record of a parked key waits; whether the key is parked.
    pub fn wait(&mut self, key: &Key, offset: i64, waiting: Waiting) -> bool {
        let Some(queue) = self.partitions.get_mut(&key.partition).and_then(|keys| keys.get_mut(&key.bytes)) else { return false };
        self.records += 1;
        self.bytes += waiting.bytes();
        queue.waiting.insert(offset, waiting);
        true
    }

    /// Everything was deleted by a record of the partition. The keys that were parked by then stay parked, and what waited for them before it
    /// waits no more. Returns the places of what is not kept any more.
    pub fn clear(&mut self, partition: i32, clear: Clear) -> Vec<(i32, i64)> {
        let before = self.clears(partition);
        let mut gone = Vec::new();
        let queues = self.partitions.get_mut(&partition).into_iter().flat_map(HashMap::values_mut);
        for queue in queues.filter(|queue| queue.head.offset < clear.offset) {
            let later = queue.waiting.split_off(&clear.offset);
            let earlier = std::mem::replace(&mut queue.waiting, later);
            self.records -= earlier.len();
            self.bytes -= earlier.values().map(Waiting::bytes).sum::<usize>();
            gone.extend(earlier.into_keys());
            queue.clear = queue.clear.max(Some(clear));
        }
        let now = self.clears(partition);
        gone.extend(before.difference(&now));
        gone.into_iter().map(|offset| (partition, offset)).collect()
    }

    /// What deleted everything behind the head of a key.
    pub fn clear_of(&self, key: &Key) -> Option<Clear> {
        self.queue(key.partition, &key.bytes)?.clear
    }

    /// Whether a key was parked when everything was deleted by that record, and still is.
    pub fn heeds(&self, partition: i32, clear: i64) -> bool {
        self.clears(partition).contains(&clear)
    }

    /// The offsets of the clears that keys of the partition heed.
    fn clears(&self, partition: i32) -> BTreeSet<i64> {
        let queues = self.partitions.get(&partition).into_iter().flat_map(HashMap::values);
        queues.filter_map(|queue| Some(queue.clear?.offset)).collect()
    }

    /// The keys whose heads `is_settled` says true of, by partition and head.
    pub fn settled(&self, is_settled: impl Fn(i32, Head) -> bool) -> Vec<Key> {
        let keys = self.partitions.iter().flat_map(|(&partition, keys)| keys.iter().map(move |(key, queue)| (partition, key, queue.head)));
        let settled = keys.filter(|&(partition, _, head)| is_settled(partition, head));
        settled.map(|(partition, key, _)| Key { partition, bytes: key.clone() }).collect()
    }

    /// The keys are parked no more: gives what waited behind their heads, records of `topic`.
    pub fn release(&mut self, topic: &Arc<str>, keys: &[Key]) -> Released {
        let mut waiting = BTreeMap::new();
        let mut places = Vec::new();
        for key in keys {
            let Some(queue) = self.take(key) else { continue };
            places.push((key.partition, queue.head.offset));
            places.extend(queue.waiting.keys().map(|&offset| (key.partition, offset)));
            let clear = queue.clear.filter(|clear| !self.heeds(key.partition, clear.offset));
            places.extend(clear.map(|clear| (key.partition, clear.offset)));
            waiting.extend(queue.line().map(|(offset, record)| ((key.partition, offset), (&key.bytes, record))));
        }
        let mut records = RecordsBuilder::new(Arc::clone(topic), waiting.len());
        for ((partition, offset), (key, Waiting { timestamp, value, headers })) in waiting {
            let record =
                Record { topic, partition, offset, timestamp, key: Some(key.as_ref()), value: value.as_deref(), headers: headers.as_ref() };
            records.push(&record);
        }
        Released { records: Arc::new(records.finish()), places }
    }

    fn take(&mut self, key: &Key) -> Option<Queue> {
        let keys = self.partitions.get_mut(&key.partition)?;
        let queue = keys.remove(&key.bytes)?;
        if keys.is_empty() {
            self.partitions.remove(&key.partition);
        }
        self.records -= 1 + queue.waiting.len();
        self.bytes -= key.bytes.len() + queue.waiting.values().map(Waiting::bytes).sum::<usize>();
        Some(queue)
    }

    /// The partition is another instance's.
    pub fn forget(&mut self, partition: i32) {
        let keys: Vec<Key> = self.settled(|of, _| of == partition);
        keys.iter().for_each(|key| drop(self.take(key)));
    }
}

/// What of a batch goes on, found in the order of the records.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// The records that wait, by their index: those of keys that are parked, and those behind a rejected one.
    pub waiting: Vec<u32>,
    /// The rejected records that later ones of their keys wait for.
    pub heads: Vec<u32>,
    /// The records that delete everything: those of all keys, so that they wait for none.
    pub clears: Vec<u32>,
}

/// What is known of the records of a batch before they are lined up, by their indices.
#[derive(Debug, Default)]
pub struct Known {
    /// Those that are rejected; one that waits is not rejected yet.
    pub rejected: HashSet<u32>,
    /// Those that delete everything, in their order.
    pub clears: Vec<u32>,
}

impl Line {
    /// Whether the record waits.
    pub fn waits(&self, record: u32) -> bool {
        self.waiting.binary_search(&record).is_ok()
    }

    /// The rows of a batch whose records do not wait.
    pub fn without(&self, batch: &Batch) -> Result<Batch> {
        if self.waiting.is_empty() {
            return Ok(batch.clone());
        }
        let goes_on: BooleanArray = batch.origin().rows().iter().map(|&record| Some(!self.waits(record))).collect();
        batch.filter(&goes_on).map_err(|error| Fault::fatal(Code::Internal, "rows of a batch can't be left out").because(error))
    }
}

/// Lines records up, batch after batch of what is not kept yet.
#[derive(Debug, Default)]
pub struct Lineup {
    stopped: HashSet<Key>,
}

impl Lineup {
    /// Lines the records of a batch up behind `parked` and behind what was rejected before, in this batch or in an earlier one.
    pub fn line_up(&mut self, parked: &ParkedKeys, records: &Records, Known { rejected, clears }: Known) -> Line {
        let mut line = Line::default();
        if parked.is_empty() && self.stopped.is_empty() && rejected.is_empty() {
            return line;
        }
        line.clears = clears;
        line.clears.retain(|clear| !rejected.contains(clear));
        for row in 0..records.len() as u32 {
            let record = records.record(row as usize);
            let Some(key) = Key::of(&record).filter(|_| line.clears.binary_search(&row).is_err()) else { continue };
            if parked.holds(key.partition, &key.bytes) || self.stopped.contains(&key) {
                line.waiting.push(row);
            } else if rejected.contains(&row) {
                line.heads.push(row);
                self.stopped.insert(key);
            }
        }
        line
    }
}

/// Holds back what is behind a record that is rejected while its batch is being written.
#[derive(Debug)]
pub struct Behind<'a> {
    records: &'a Records,
    stopped: HashSet<Key>,
}

impl<'a> Behind<'a> {
    /// Of these records.
    pub fn new(records: &'a Records) -> Self {
        Self { records, stopped: HashSet::new() }
    }

    fn key(&self, record: u32) -> Option<Key> {
        Key::of(&self.records.record(record as usize))
    }
}

impl Gate for Behind<'_> {
    fn holds(&self, record: u32) -> bool {
        !self.stopped.is_empty() && self.key(record).is_some_and(|key| self.stopped.contains(&key))
    }

    fn rejected(&mut self, record: u32) {
        self.stopped.extend(self.key(record));
    }
}
