//! What was answered, so that a repeated request is answered again and not written again.

use std::collections::{BTreeMap, HashMap, VecDeque};

use jiff::Timestamp;
use millrace_model::Result;
use millrace_runtime::kafka::{Cluster, Producer};
use serde::{Deserialize, Serialize};

use super::answer::Answer;
use crate::positions;

/// How many keys are remembered for one pipeline.
const KEYS: usize = 10_000;
/// For how long, in milliseconds.
const MEMORY: i64 = 24 * 60 * 60 * 1000;

/// An answer that was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Given {
    /// When, in milliseconds since the epoch.
    at: i64,
    answer: Answer,
}

impl Given {
    pub(super) fn new(at: Timestamp, answer: &Answer) -> Self {
        Self { at: at.as_millisecond(), answer: answer.clone() }
    }
}

/// The answers given under idempotency keys, and the number of the last group of requests that was committed.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    given: HashMap<String, Given>,
    /// The keys, the oldest first.
    order: VecDeque<String>,
    /// The last committed group of this instance.
    pub(super) group: u64,
}

impl Ledger {
    /// What has been committed. Read after this instance's producer has been opened, so that nothing is open any more.
    pub(super) async fn read(cluster: &Cluster, pipeline: &str) -> Result<Self> {
        Ok(Self::of(&positions::read(cluster, pipeline).await?, cluster.instance()))
    }

    fn of(values: &BTreeMap<String, Vec<u8>>, instance: &str) -> Self {
        let keyed = values.iter().filter_map(|(name, value)| {
            // What another version wrote otherwise is as good as forgotten.
            Some((name.strip_prefix(KEY)?.to_owned(), serde_json::from_slice::<Given>(value).ok()?))
        });
        let given: HashMap<String, Given> = keyed.collect();
        let mut order: Vec<String> = given.keys().cloned().collect();
        order.sort_by_key(|key| given[key].at);
        let group = values.get(&group_name(instance)).and_then(|value| serde_json::from_slice(value).ok()).unwrap_or_default();
        Self { given, order: order.into(), group }
    }

    /// The answer that was given under `key`.
    pub(super) fn answer(&self, key: &str) -> Option<&Answer> {
        self.given.get(key).map(|given| &given.answer)
    }

    /// The keys that are to be forgotten before `more` are added.
    pub(super) fn outworn(&self, more: usize, now: Timestamp) -> Vec<String> {
        let surplus = (self.order.len() + more).saturating_sub(KEYS);
        let is_old = |key: &String| self.given.get(key).is_none_or(|given| now.as_millisecond() - given.at > MEMORY);
        let leaving = self.order.iter().enumerate().take_while(|(place, key)| *place < surplus || is_old(key));
        leaving.map(|(_, key)| key.clone()).collect()
    }

    /// What a committed group has changed.
    pub(super) fn committed(&mut self, group: u64, outworn: &[String], added: impl IntoIterator<Item = (String, Given)>) {
        self.group = group;
        for key in outworn {
            self.given.remove(key);
        }
        self.order.drain(..outworn.len());
        for (key, given) in added {
            self.order.push_back(key.clone());
            self.given.insert(key, given);
        }
    }
}

const KEY: &str = "idempotency/";

fn group_name(instance: &str) -> String {
    format!("push/{instance}")
}

/// Sends what [`Ledger::committed`] will know, in the transaction of the records.
pub(super) fn send(
    producer: &mut Producer,
    pipeline: &str,
    instance: &str,
    group: u64,
    outworn: &[String],
    added: &[(String, Given)],
) -> Result<()> {
    positions::send(producer, pipeline, &group_name(instance), Some(&group))?;
    for key in outworn {
        positions::send(producer, pipeline, &format!("{KEY}{key}"), None::<&Given>)?;
    }
    added.iter().try_for_each(|(key, given)| positions::send(producer, pipeline, &format!("{KEY}{key}"), Some(given)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::SignedDuration;

    fn given(hour: i64) -> Given {
        Given::new(Timestamp::UNIX_EPOCH + SignedDuration::from_hours(hour), &Answer::default())
    }

    #[test]
    fn a_key_is_forgotten_after_a_day() {
        let mut ledger = Ledger::default();
        ledger.committed(1, &[], [("a".to_owned(), given(0)), ("b".to_owned(), given(20))]);
        let now = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(25);
        let outworn = ledger.outworn(1, now);
        assert_eq!(outworn, ["a"]);
        ledger.committed(2, &outworn, [("c".to_owned(), given(25))]);
        assert!(ledger.answer("a").is_none() && ledger.answer("b").is_some() && ledger.answer("c").is_some());
    }

    #[test]
    fn the_oldest_keys_make_room() {
        let mut ledger = Ledger::default();
        ledger.committed(1, &[], (0..KEYS).map(|key| (key.to_string(), given(0))));
        assert_eq!(ledger.outworn(2, Timestamp::UNIX_EPOCH), ["0", "1"]);
    }

    #[test]
    fn what_was_committed_is_known_after_a_restart() {
        let values = BTreeMap::from([
            ("idempotency/b".to_owned(), serde_json::to_vec(&given(2)).expect("JSON")),
            ("idempotency/a".to_owned(), serde_json::to_vec(&given(3)).expect("JSON")),
            ("idempotency/x".to_owned(), b"?".to_vec()),
            ("push/me".to_owned(), b"7".to_vec()),
            ("/data/a.csv".to_owned(), b"{}".to_vec()),
        ]);
        let ledger = Ledger::of(&values, "me");
        assert_eq!((ledger.group, Vec::from(ledger.order)), (7, vec!["b".to_owned(), "a".to_owned()]));
        assert_eq!(Ledger::of(&values, "you").group, 0);
    }
}
