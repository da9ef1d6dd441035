//! Which partition a key belongs to, and what this replica has of them.

use std::collections::BTreeMap;

use tokio::sync::mpsc;

use super::super::request::Request;
use crate::spread::share_of;

/// The key of a record in [`super::IDEMPOTENCY`]: pipelines and projects share the topic.
pub(super) fn record_key(pipeline: &str, key: &str) -> String {
    format!("{pipeline}/{key}")
}

/// A partition of this replica.
#[derive(Debug, Clone)]
enum Place {
    /// It has come, and its window is being read.
    Opening,
    Open(mpsc::Sender<Request>),
}

/// What this replica has of a pipeline's keys.
#[derive(Debug, Default)]
pub(crate) struct Places {
    /// How many partitions there are; 0 while that is not known.
    count: i32,
    mine: BTreeMap<i32, Place>,
}

/// Where a key's requests go.
#[derive(Debug)]
pub(super) enum Where {
    Here(mpsc::Sender<Request>),
    /// Here, in a moment; or nothing is known yet.
    Soon,
    /// To the owner of that partition.
    Elsewhere(i32),
}

impl Places {
    pub(super) fn new(count: i32) -> Self {
        Self { count, mine: BTreeMap::new() }
    }

    pub(super) fn opening(&mut self, partitions: &[i32]) {
        self.mine.extend(partitions.iter().map(|&partition| (partition, Place::Opening)));
    }

    pub(super) fn open(&mut self, partition: i32, requests: mpsc::Sender<Request>) {
        self.mine.insert(partition, Place::Open(requests));
    }

    pub(super) fn close(&mut self, goes: impl Fn(i32) -> bool) {
        self.mine.retain(|&partition, _| !goes(partition));
    }

    pub(super) fn of(&self, record_key: &str) -> Where {
        if self.count == 0 {
            return Where::Soon;
        }
        let partition = share_of(record_key.as_bytes(), self.count);
        match self.mine.get(&partition) {
            Some(Place::Open(requests)) => Where::Here(requests.clone()),
            Some(Place::Opening) => Where::Soon,
            None => Where::Elsewhere(partition),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_the_same_partition_in_every_version() {
        let partition = |key: &str| share_of(record_key("shop.web", key).as_bytes(), 12);
        assert_eq!([partition("order-1"), partition("order-2"), partition("")], [8, 5, 10]);
    }

    #[test]
    fn a_partition_is_here_once_it_is_open_and_elsewhere_once_it_has_gone() {
        let mut places = Places::default();
        assert!(matches!(places.of("k"), Where::Soon), "nothing is known");
        places = Places::new(1);
        assert!(matches!(places.of("k"), Where::Elsewhere(0)));
        places.opening(&[0]);
        assert!(matches!(places.of("k"), Where::Soon));
        places.open(0, mpsc::channel(1).0);
        assert!(matches!(places.of("k"), Where::Here(_)));
        places.close(|partition| partition == 0);
        assert!(matches!(places.of("k"), Where::Elsewhere(0)));
    }
}
