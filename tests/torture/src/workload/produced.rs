//! What has gone in so far, and when.

use std::collections::{BTreeMap, BTreeSet};
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
    /// Files and requests that were not yet found in the table.
    open: Vec<Mark>,
}

/// The last good record of a file or request.
#[derive(Debug, Clone)]
pub(crate) struct Mark {
    pub(crate) origin: Origin,
    /// When the file or request began to go in.
    pub(crate) began: Instant,
    pub(crate) id: String,
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
            inner.open.push(Mark { origin, began, id: good.id.clone() });
        }
    }

    /// The files and requests that were not yet found in the table.
    pub(crate) fn open(&self) -> Vec<Mark> {
        self.inner.lock().expect("nobody panics with it").open.clone()
    }

    /// Notes that records of these ids are in the table.
    pub(crate) fn close(&self, found: &BTreeSet<String>) {
        self.inner.lock().expect("nobody panics with it").open.retain(|mark| !found.contains(&mark.id));
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
