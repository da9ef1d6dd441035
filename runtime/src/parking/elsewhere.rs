//! What the other instances of a pipeline hold, as the topic of parked records tells it: what may be parked is for the pipeline.

use std::collections::{BTreeMap, BTreeSet};

use millrace_model::Records;

use super::entry::{Entry, Kept, Parked};
use super::rebuild::Entries;

/// So many records, of so many bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amount {
    /// Records, heads included.
    pub records: usize,
    /// Bytes of values, headers and keys.
    pub bytes: usize,
}

impl std::ops::AddAssign for Amount {
    fn add_assign(&mut self, other: Self) {
        self.records += other.records;
        self.bytes += other.bytes;
    }
}

/// All entries of a pipeline in the topic, by what they count.
#[derive(Debug)]
pub(super) struct Elsewhere {
    pipeline: Box<str>,
    topic: Box<str>,
    /// The bytes of each, by partition and offset.
    entries: BTreeMap<i32, BTreeMap<i64, usize>>,
    /// The partitions that this instance holds: of those it knows better.
    held: BTreeSet<i32>,
}

impl Elsewhere {
    /// For the pipeline of that id, which reads `topic`.
    pub(super) fn new(pipeline: &str, topic: &str) -> Self {
        Self { pipeline: pipeline.into(), topic: topic.into(), entries: BTreeMap::new(), held: BTreeSet::new() }
    }

    /// What the topic has of the pipeline.
    pub(super) fn is(&mut self, entries: &Entries) {
        self.entries.clear();
        for (&(partition, offset), entry) in entries {
            self.keep(partition, offset, bytes(entry));
        }
    }

    /// What has come to the topic since. What was known already does not count twice.
    pub(super) fn learn(&mut self, records: &Records) {
        for row in 0..records.len() {
            let record = records.record(row);
            let Some(parked) = record.key.and_then(Parked::of_key) else { continue };
            if parked.pipeline == *self.pipeline && parked.topic == *self.topic {
                self.keep(parked.partition, parked.offset, Entry::of(&record).as_ref().and_then(bytes));
            }
        }
    }

    fn keep(&mut self, partition: i32, offset: i64, bytes: Option<usize>) {
        match bytes {
            Some(bytes) => drop(self.entries.entry(partition).or_default().insert(offset, bytes)),
            None => drop(self.entries.get_mut(&partition).and_then(|entries| entries.remove(&offset))),
        }
    }

    /// The partition is this instance's.
    pub(super) fn hold(&mut self, partition: i32) {
        self.held.insert(partition);
    }

    /// It is another's.
    pub(super) fn give_up(&mut self, partition: i32) {
        self.held.remove(&partition);
    }

    /// What others hold.
    pub(super) fn amount(&self) -> Amount {
        let mut amount = Amount::default();
        for (_, entries) in self.entries.iter().filter(|(partition, _)| !self.held.contains(partition)) {
            amount += Amount { records: entries.len(), bytes: entries.values().sum() };
        }
        amount
    }
}

/// The bytes of an entry that counts; one that only says that everything was deleted does not.
fn bytes(Entry { key, kept }: &Entry) -> Option<usize> {
    match kept {
        Kept::Head(_) => Some(key.len()),
        Kept::Waiting(waiting) => Some(waiting.bytes()),
        Kept::Omitted => Some(0),
        Kept::Clear(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parking::entry::{clear_headers, head_headers, waiting_headers};
    use jiff::Timestamp;
    use millrace_model::{Header, Record, RecordsBuilder};

    fn parked(pipeline: &str, partition: i32, offset: i64) -> Parked {
        Parked { pipeline: pipeline.into(), topic: "in".into(), partition, offset }
    }

    fn head(parked: &Parked) -> Vec<Header> {
        head_headers(parked, b"k", Timestamp::UNIX_EPOCH)
    }

    fn waiting(parked: &Parked) -> Vec<Header> {
        let record = Record { topic: "in", partition: 0, offset: 0, timestamp: 0, key: Some(b"k"), value: Some(b"value"), headers: &[] };
        waiting_headers(parked, &record)
    }

    /// Records of the topic; without headers they take an entry out.
    fn come(elsewhere: &mut Elsewhere, entries: &[(Parked, Option<Vec<Header>>)]) {
        let mut records = RecordsBuilder::new("millrace.parked".into(), entries.len());
        for ((parked, headers), offset) in entries.iter().zip(0..) {
            let (key, value) = (parked.to_key(), headers.as_ref().map(|_| b"value".as_slice()));
            let headers = headers.as_deref().unwrap_or_default();
            records.push(&Record { topic: "millrace.parked", partition: 0, offset, timestamp: 0, key: Some(&key), value, headers });
        }
        elsewhere.learn(&records.finish());
    }

    #[test]
    fn what_others_hold_is_what_the_topic_has_of_their_partitions() {
        let mut elsewhere = Elsewhere::new("shop.clean", "in");
        let [first, second, third] = [parked("shop.clean", 0, 1), parked("shop.clean", 0, 2), parked("shop.clean", 1, 3)];
        let foreign = parked("shop.other", 0, 1);
        come(&mut elsewhere, &[(first.clone(), Some(head(&first))), (second.clone(), Some(waiting(&second)))]);
        come(&mut elsewhere, &[(third.clone(), Some(head(&third))), (foreign.clone(), Some(head(&foreign)))]);
        assert_eq!(elsewhere.amount(), Amount { records: 3, bytes: 7 });
        come(&mut elsewhere, &[(second.clone(), Some(waiting(&second)))]);
        assert_eq!(elsewhere.amount().records, 3, "none counts twice");
        elsewhere.hold(0);
        assert_eq!(elsewhere.amount(), Amount { records: 1, bytes: 1 });
        elsewhere.give_up(0);
        come(&mut elsewhere, &[(first.clone(), None), (second, None)]);
        assert_eq!(elsewhere.amount(), Amount { records: 1, bytes: 1 });
    }

    #[test]
    fn what_the_topic_has_takes_the_place_of_what_was_known() {
        let mut elsewhere = Elsewhere::new("shop.clean", "in");
        let gone = parked("shop.clean", 0, 1);
        come(&mut elsewhere, &[(gone.clone(), Some(head(&gone)))]);
        let there = Entry { key: (*b"key").into(), kept: Kept::Head(None) };
        let clear = Entry { key: Box::default(), kept: Kept::Clear(0) };
        elsewhere.is(&Entries::from([((0, 7), there), ((0, 8), clear)]));
        assert_eq!(elsewhere.amount(), Amount { records: 1, bytes: 3 });
        let clear = parked("shop.clean", 0, 9);
        come(&mut elsewhere, &[(clear.clone(), Some(clear_headers(&clear, b"")))]);
        assert_eq!(elsewhere.amount().records, 1, "one that deleted everything is no record that waits");
    }
}
