//! What is parked, found again from what is durable.

use std::collections::BTreeMap;

use millrace_model::{Code, Fault, Offsets, ParkedHeads, ParkedKey, Result, TopicPartition};
use sha2::{Digest as _, Sha256};

use super::entry::{Entry, Kept};
use super::keys::{Clear, Head, Key, ParkedKeys};
use crate::own_topics::PARKED;

/// The entries of one input topic, by partition and offset.
pub type Entries = BTreeMap<(i32, i64), Entry>;

/// What decides which keys are parked.
#[derive(Debug, Clone, Copy)]
pub enum Truth<'a> {
    /// The entries: they were committed with the offsets.
    Topic,
    /// The target, whose heads were committed with the positions. Entries were durable before, and there may be more of them than count.
    Target(&'a ParkedHeads),
}

/// What was found.
#[derive(Debug, Default)]
pub struct Rebuilt {
    /// The places of entries that nothing waits for any more.
    pub stale: Vec<(i32, i64)>,
    /// Records that wait and whose values are only where they were read.
    pub omitted: Vec<(Key, i64)>,
}

/// The key of a partition as targets know it.
pub fn digest(topic: &str, key: &Key) -> ParkedKey {
    ParkedKey { partition: TopicPartition::new(topic, key.partition), digest: Sha256::digest(&key.bytes).into() }
}

/// Adds to `keys` what the entries of `topic` keep below the positions. What is at a position or beyond it will be read again.
///
/// # Errors
/// [`Code::ParkedLost`] when entries are missing without which the order of a key can't be kept.
pub fn rebuild(keys: &mut ParkedKeys, topic: &str, entries: Entries, positions: &Offsets, truth: Truth<'_>) -> Result<Rebuilt> {
    let mut rebuilding = Rebuilding { keys, topic, truth, found: 0, clears: Vec::new(), rebuilt: Rebuilt::default() };
    for ((partition, offset), entry) in entries {
        let position = positions.get(&TopicPartition::new(topic, partition)).copied().unwrap_or_default();
        rebuilding.take((partition, offset), entry, position)?;
    }
    rebuilding.finish()
}

struct Rebuilding<'a> {
    keys: &'a mut ParkedKeys,
    topic: &'a str,
    truth: Truth<'a>,
    /// How many keys were parked.
    found: usize,
    /// What deleted everything, by partition.
    clears: Vec<(i32, Clear)>,
    rebuilt: Rebuilt,
}

impl Rebuilding<'_> {
    fn take(&mut self, place: (i32, i64), Entry { key, kept }: Entry, position: i64) -> Result<()> {
        let key = Key { partition: place.0, bytes: key };
        match (self.truth, kept) {
            (Truth::Topic, _) if place.1 >= position => self.rebuilt.stale.push(place),
            // Another writer may have come further than this one knows: they are left alone.
            (Truth::Target(_), _) if place.1 >= position => {}
            (_, Kept::Clear(timestamp)) => self.clears.push((place.0, Clear { offset: place.1, timestamp })),
            (Truth::Topic, kept) => return self.committed(place, key, kept),
            (Truth::Target(heads), kept) => match heads.get(&digest(self.topic, &key)) {
                Some(&head) if head <= place.1 => self.behind(head, place, key, kept),
                Some(_) | None => self.rebuilt.stale.push(place),
            },
        }
        Ok(())
    }

    fn committed(&mut self, place: (i32, i64), key: Key, kept: Kept) -> Result<()> {
        match kept {
            Kept::Head(at) => self.park(key, Head { offset: place.1, at }),
            kept if self.keys.holds(key.partition, &key.bytes) => self.wait(key, place.1, kept),
            Kept::Waiting(_) | Kept::Omitted | Kept::Clear(_) => return Err(lost(self.topic, place)),
        }
        Ok(())
    }

    /// An entry of a key that the target says is parked.
    fn behind(&mut self, head: i64, place: (i32, i64), key: Key, kept: Kept) {
        if !self.keys.holds(key.partition, &key.bytes) {
            let at = if let (Kept::Head(at), true) = (&kept, head == place.1) { *at } else { None };
            self.park(key.clone(), Head { offset: head, at });
        }
        if place.1 > head {
            self.wait(key, place.1, kept);
        }
    }

    fn park(&mut self, key: Key, head: Head) {
        self.found += 1;
        self.keys.park(key, head);
    }

    fn wait(&mut self, key: Key, offset: i64, kept: Kept) {
        match kept {
            Kept::Waiting(waiting) => {
                self.keys.wait(&key, offset, waiting);
            }
            // A head of a writer that has lost the partition since: as a record that waits it is where it was read.
            Kept::Omitted | Kept::Head(_) | Kept::Clear(_) => self.rebuilt.omitted.push((key, offset)),
        }
    }

    /// When all that is parked is known: what came before is let go.
    fn clear(&mut self) {
        for (partition, clear) in std::mem::take(&mut self.clears) {
            self.rebuilt.stale.extend(self.keys.clear(partition, clear));
            if !self.keys.heeds(partition, clear.offset) {
                self.rebuilt.stale.push((partition, clear.offset));
            }
        }
        let is_past = |(key, offset): &mut (Key, i64)| self.keys.clear_of(key).is_some_and(|clear| *offset < clear.offset);
        let past = self.rebuilt.omitted.extract_if(.., is_past);
        self.rebuilt.stale.extend(past.map(|(key, offset)| (key.partition, offset)));
    }

    fn finish(mut self) -> Result<Rebuilt> {
        self.clear();
        match self.truth {
            Truth::Target(heads) if heads.len() != self.found => {
                let missing = heads.iter().find(|(key, _)| !self.knows(key));
                let place = missing.map_or((0, 0), |(key, &offset)| (key.partition.partition, offset));
                Err(lost(self.topic, place))
            }
            Truth::Target(_) | Truth::Topic => Ok(self.rebuilt),
        }
    }

    fn knows(&self, wanted: &ParkedKey) -> bool {
        self.keys.settled(|partition, _| partition == wanted.partition.partition).iter().any(|key| digest(self.topic, key) == *wanted)
    }
}

pub(super) fn lost(topic: &str, (partition, offset): (i32, i64)) -> Fault {
    let message =
        format!("what is kept of {topic}-{partition} offset {offset} is not in the topic {}: {}", PARKED, Code::ParkedLost.help());
    Fault::operator(Code::ParkedLost, message)
}
