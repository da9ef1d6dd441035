//! What has gone in so far, and when.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Instant;

use super::record::Record;

/// Where records come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Origin {
    Files,
    Requests,
}

/// How many records of each customer have gone in: their numbers are 0 to that.
#[derive(Debug, Clone, Default)]
pub(crate) struct Produced {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    counts: BTreeMap<String, i64>,
    /// The id of a good record of each file or request, with the time at which that began to go in.
    marks: Vec<(Origin, Instant, String)>,
}

impl Produced {
    /// Notes that these records went in together, from `began` on.
    pub(crate) fn note(&self, origin: Origin, began: Instant, records: &[Record]) {
        let mut inner = self.inner.lock().expect("nobody panics with it");
        for record in records {
            let count = inner.counts.entry(record.customer.clone()).or_default();
            *count = (*count).max(record.seq + 1);
        }
        if let Some(good) = records.iter().rfind(|record| record.fate == super::record::Fate::Good) {
            inner.marks.push((origin, began, good.id.clone()));
        }
    }

    /// A good record that began to go in after `instant`.
    pub(crate) fn after(&self, origin: Origin, instant: Instant) -> Option<String> {
        let inner = self.inner.lock().expect("nobody panics with it");
        inner.marks.iter().find(|(from, began, _)| *from == origin && *began >= instant).map(|(.., id)| id.clone())
    }

    /// The number of records of each customer.
    pub(crate) fn counts(&self) -> BTreeMap<String, i64> {
        self.inner.lock().expect("nobody panics with it").counts.clone()
    }

    /// All records.
    pub(crate) fn records(&self, seed: u64) -> Vec<Record> {
        let counts = self.counts();
        counts.iter().flat_map(|(customer, count)| (0..*count).map(move |seq| Record::of(seed, customer, seq))).collect()
    }
}
