//! What is parked, and what of it is still to be told to the topic and the target.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use millrace_model::{Code, Fault, Offsets, ParkedChanges, Records, Result};

use super::keys::{Clear, Head, Key, Line, ParkedKeys, Waiting};
use super::rebuild::{Entries, Truth, digest, rebuild};

/// The parked keys of one input topic, as one instance keeps them.
#[derive(Debug)]
pub struct Books {
    topic: Arc<str>,
    keys: ParkedKeys,
    /// The places of entries to take out, unless they are parked again before.
    leaving: BTreeSet<(i32, i64)>,
    /// The keys that are parked, or not, otherwise than when changes were told last.
    changed: BTreeSet<Key>,
}

impl Books {
    /// Empty ones for records of `topic`.
    pub fn new(topic: &str) -> Self {
        Self { topic: topic.into(), keys: ParkedKeys::default(), leaving: BTreeSet::new(), changed: BTreeSet::new() }
    }

    /// The topic that the records come from.
    pub fn topic(&self) -> &Arc<str> {
        &self.topic
    }

    /// What is parked.
    pub fn keys(&self) -> &ParkedKeys {
        &self.keys
    }

    /// Takes partitions over with what their entries keep below the positions; returns the records whose values are only where they were
    /// read, for [`Books::restore`].
    pub fn take_over(&mut self, entries: Entries, positions: &Offsets, truth: Truth<'_>) -> Result<Vec<(Key, i64)>> {
        let rebuilt = rebuild(&mut self.keys, &self.topic, entries, positions, truth)?;
        self.leaving.extend(rebuilt.stale);
        Ok(rebuilt.omitted)
    }

    /// A record that waits has been read again.
    pub fn restore(&mut self, key: &Key, offset: i64, record: Waiting) {
        self.keys.wait(key, offset, record);
    }

    /// The partition is another instance's.
    pub fn give_up(&mut self, partition: i32) {
        self.keys.forget(partition);
        self.leaving.retain(|(of, _)| *of != partition);
        self.changed.retain(|key| key.partition != partition);
    }

    /// Releases the keys whose heads are settled; returns what waited, which goes on before any later record does. `None` where none is.
    pub fn release(&mut self, is_settled: impl Fn(i32, Head) -> bool) -> Option<Arc<Records>> {
        let settled = self.keys.settled(is_settled);
        if settled.is_empty() {
            return None;
        }
        let released = self.keys.release(&self.topic, &settled);
        self.leaving.extend(released.places);
        self.changed.extend(settled);
        Some(released.records)
    }

    /// Parks what a line holds back; `at` is not after its heads become dead letters.
    pub fn hold_back(&mut self, records: &Records, line: &Line, at: Timestamp) -> Result<()> {
        for &row in &line.heads {
            let record = records.record(row as usize);
            let Some(key) = Key::of(&record) else { continue };
            self.leaving.remove(&(record.partition, record.offset));
            self.changed.insert(key.clone());
            self.keys.park(key, Head { offset: record.offset, at: Some(at) });
        }
        for &row in &line.waiting {
            let record = records.record(row as usize);
            let Some(key) = Key::of(&record) else { continue };
            self.leaving.remove(&(record.partition, record.offset));
            if !self.keys.wait(&key, record.offset, Waiting::of(&record)) {
                return Err(Fault::fatal(Code::Internal, "a record waits for a key that is not parked"));
            }
        }
        for &row in &line.clears {
            let record = records.record(row as usize);
            let clear = Clear { offset: record.offset, timestamp: record.timestamp };
            self.leaving.extend(self.keys.clear(record.partition, clear));
        }
        Ok(())
    }

    /// The places of entries that nothing waits for any more; each is told once.
    pub fn leaving(&mut self) -> BTreeSet<(i32, i64)> {
        std::mem::take(&mut self.leaving)
    }

    /// What has changed since the last call, for a target that keeps it beside its positions.
    pub fn changes(&mut self) -> ParkedChanges {
        let changed = std::mem::take(&mut self.changed);
        changed.iter().map(|key| (digest(&self.topic, key), self.keys.head(key).map(|head| head.offset))).collect()
    }
}
