//! What was answered within the window, by key: a partition's part of it, as its owner has it in memory.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use jiff::Timestamp;
use millrace_model::{Code, Fault, Result};
use millrace_runtime::kafka::{Cluster, Outgoing, Producer, compacted};
use serde::{Deserialize, Serialize};

use super::super::answer::Answer;
use super::IDEMPOTENCY;
use super::place::record_key;
use crate::config::Input;
use crate::service::Ingest;
use crate::spread::share_of;

/// The memory that a key takes beside its text and its answer's errors: entries of the map and of the order, with their slack.
const ENTRY: usize = 224;
/// How many keys are forgotten in one transaction: a long pause must not make the first one after it slow.
const MOST_FORGOTTEN: usize = 1_000;

/// How long and how much is remembered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// In milliseconds.
    span: i64,
    /// In bytes, for one partition.
    room: usize,
}

impl Limits {
    /// Of the pipeline: one replica may have all of the `partitions`.
    pub(super) fn of(ingest: &Ingest, partitions: i32) -> Self {
        let idempotency = match &ingest.config.from {
            Input::Http(http) => http.idempotency,
            Input::Source(_) => crate::config::Idempotency::default(),
        };
        let span = i64::try_from(idempotency.window.duration().as_millis()).unwrap_or(i64::MAX);
        Self { span, room: idempotency.memory.bytes() as usize / partitions.max(1) as usize }
    }
}

/// An answer that was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Given {
    /// When, in milliseconds since the epoch.
    at: i64,
    /// The fingerprint of the request, in hexadecimal digits.
    #[serde(with = "hexadecimal")]
    request: u128,
    answer: Answer,
}

mod hexadecimal {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(number: &u128, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{number:032x}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u128, D::Error> {
        u128::from_str_radix(&String::deserialize(deserializer)?, 16).map_err(D::Error::custom)
    }
}

impl Given {
    pub(super) fn new(at: Timestamp, request: u128, answer: &Answer) -> Self {
        Self { at: at.as_millisecond(), request, answer: answer.clone() }
    }
}

/// What is known of a key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Known<'a> {
    /// It is new, and there is room for it.
    No,
    /// This request was answered before.
    Answered(&'a Answer),
    /// Another request had it.
    Otherwise,
    /// It is new, and there is no room before so long.
    NoRoom(Duration),
}

/// One partition's answers.
#[derive(Debug)]
pub(super) struct Window {
    limits: Limits,
    given: HashMap<Arc<str>, Given>,
    /// When which key was answered, the oldest first. A key that was answered again after its time stands here twice.
    order: VecDeque<(i64, Arc<str>)>,
    bytes: usize,
}

impl Window {
    fn new(limits: Limits) -> Self {
        Self { limits, given: HashMap::new(), order: VecDeque::new(), bytes: 0 }
    }

    /// How long keys are remembered.
    pub(super) fn span(&self) -> Duration {
        Duration::from_millis(self.limits.span.unsigned_abs())
    }

    /// What is known of a key that comes with the request of that fingerprint. `more` bytes are about to be added for others.
    pub(super) fn look(&self, key: &str, request: u128, more: usize, now: Timestamp) -> Known<'_> {
        match self.given.get(key).filter(|given| !self.is_over(given.at, now)) {
            Some(given) if given.request == request => Known::Answered(&given.answer),
            Some(_) => Known::Otherwise,
            None if self.bytes + more + cost(key, None) > self.limits.room => Known::NoRoom(self.next_room(now)),
            None => Known::No,
        }
    }

    fn is_over(&self, at: i64, now: Timestamp) -> bool {
        now.as_millisecond().saturating_sub(at) > self.limits.span
    }

    /// How long until the oldest key is forgotten.
    fn next_room(&self, now: Timestamp) -> Duration {
        let oldest = self.order.front().map_or(now.as_millisecond(), |(at, _)| *at);
        let wait = oldest.saturating_add(self.limits.span) - now.as_millisecond();
        Duration::from_millis(wait.clamp(1_000, 3_600_000) as u64)
    }

    /// Forgets keys whose time is over; they are to be forgotten in the topic as well.
    pub(super) fn forget(&mut self, now: Timestamp) -> Vec<Arc<str>> {
        let mut forgotten = Vec::new();
        while forgotten.len() < MOST_FORGOTTEN
            && let Some((at, key)) = self.order.pop_front_if(|(at, _)| now.as_millisecond().saturating_sub(*at) > self.limits.span)
        {
            if self.given.get(&key).is_some_and(|given| given.at == at) {
                self.take(&key);
                forgotten.push(key);
            }
        }
        forgotten
    }

    fn take(&mut self, key: &str) {
        if let Some(given) = self.given.remove(key) {
            self.bytes -= cost(key, Some(&given.answer));
        }
    }

    /// Remembers an answer.
    pub(super) fn add(&mut self, key: Arc<str>, given: Given) {
        self.take(&key);
        self.bytes += cost(&key, Some(&given.answer));
        self.order.push_back((given.at, Arc::clone(&key)));
        self.given.insert(key, given);
    }
}

/// The memory that a key and its answer take.
pub(super) fn cost(key: &str, answer: Option<&Answer>) -> usize {
    ENTRY + key.len() + answer.map_or(0, Answer::text_bytes)
}

/// Sends a key and its answer in the transaction of its records; `None` forgets it.
pub(super) fn send(producer: &mut Producer, pipeline: &str, partition: i32, key: &str, given: Option<&Given>) -> Result<()> {
    let topic = producer.topic(IDEMPOTENCY)?;
    let value = given.map(serde_json::to_vec).transpose();
    let value = value.map_err(|error| Fault::fatal(Code::Internal, "an answer is JSON").because(error))?;
    let key = record_key(pipeline, key);
    let record = Outgoing { partition: Some(partition), key: Some(key.as_bytes()), value: value.as_deref(), ..Outgoing::default() };
    producer.send(topic, &record)
}

/// The windows of the given partitions, of `count`: what is committed there. To be read when their producers have been opened, so that
/// no predecessor can add anything any more.
pub(super) async fn read(cluster: &Cluster, pipeline: &str, partitions: &[i32], count: i32, limits: Limits) -> Result<Vec<Window>> {
    let prefix = format!("{pipeline}/");
    let (sender, receiver) = channel();
    compacted::read_partitions_to_end(cluster, IDEMPOTENCY, partitions, move |record| {
        if let Some(key) = record.key.filter(|key| key.starts_with(prefix.as_bytes())) {
            let entry = (record.partition, key[prefix.len()..].to_vec(), record.value.map(<[u8]>::to_vec));
            // The receiver outlives the reading.
            sender.send(entry).unwrap_or_default();
        }
    })
    .await?;
    let mut newest: HashMap<(i32, Vec<u8>), Option<Vec<u8>>> = HashMap::new();
    newest.extend(receiver.into_iter().map(|(partition, key, value)| ((partition, key), value)));
    let mut read: HashMap<i32, Vec<(Arc<str>, Given)>> = HashMap::new();
    for ((partition, key), value) in newest {
        if let Some(value) = value {
            read.entry(partition).or_default().push(entry(pipeline, (partition, count), &key, &value)?);
        }
    }
    Ok(partitions.iter().map(|partition| rebuilt(limits, read.remove(partition).unwrap_or_default())).collect())
}

fn rebuilt(limits: Limits, mut entries: Vec<(Arc<str>, Given)>) -> Window {
    entries.sort_by_key(|(_, given)| given.at);
    let mut window = Window::new(limits);
    entries.into_iter().for_each(|(key, given)| window.add(key, given));
    window
}

/// A remembered answer. One that can't be read back, or that stands where its key does not belong, would be an answer forgotten: the
/// request would be written again.
fn entry(pipeline: &str, (partition, count): (i32, i32), key: &[u8], value: &[u8]) -> Result<(Arc<str>, Given)> {
    let key = String::from_utf8_lossy(key);
    if share_of(record_key(pipeline, &key).as_bytes(), count) != partition {
        let message = format!(
            "topic {IDEMPOTENCY} has {count} partitions now, and keys that were written when it had another number: requests that \
             are repeated would be written again. Delete the topic when the window of its keys has passed, and it is made anew"
        );
        return Err(Fault::operator(Code::KafkaConfiguration, message));
    }
    let given = serde_json::from_slice(value);
    let given =
        given.map_err(|error| Fault::fatal(Code::Internal, format!("an answer in {IDEMPOTENCY} can't be read back")).because(error))?;
    Ok((key.as_ref().into(), given))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::SignedDuration;

    const DAY: Limits = Limits { span: 24 * 3_600_000, room: 1 << 20 };

    fn hour(hour: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_hours(hour)
    }

    fn window(limits: Limits, entries: &[(&str, i64)]) -> Window {
        rebuilt(limits, entries.iter().map(|(key, at)| (Arc::from(*key), Given::new(hour(*at), 7, &Answer::default()))).collect())
    }

    fn keys(keys: Vec<Arc<str>>) -> Vec<String> {
        keys.into_iter().map(|key| key.to_string()).collect()
    }

    #[test]
    fn a_repeated_request_is_answered_again_and_another_one_is_refused() {
        let window = window(DAY, &[("a", 0)]);
        assert_eq!(window.look("a", 7, 0, hour(24)), Known::Answered(&Answer::default()));
        assert_eq!(window.look("a", 8, 0, hour(24)), Known::Otherwise);
        assert_eq!(window.look("b", 7, 0, hour(24)), Known::No);
    }

    #[test]
    fn a_key_is_new_again_after_its_time_and_forgotten() {
        let mut window = window(DAY, &[("b", 20), ("a", 0)]);
        assert_eq!(window.look("a", 8, 0, hour(25)), Known::No);
        assert_eq!(keys(window.forget(hour(25))), ["a"]);
        assert_eq!(window.given.len(), 1);
    }

    #[test]
    fn a_key_that_was_used_again_is_not_forgotten_with_its_first_use() {
        let mut window = window(DAY, &[("a", 0)]);
        window.add("a".into(), Given::new(hour(25), 8, &Answer::default()));
        assert_eq!(keys(window.forget(hour(26))), [""; 0]);
        assert_eq!(window.look("a", 8, 0, hour(26)), Known::Answered(&Answer::default()));
    }

    #[test]
    fn a_window_that_is_full_takes_no_new_key_until_the_oldest_has_gone() {
        let limits = Limits { room: 2 * cost("a", None), ..DAY };
        let mut window = window(limits, &[("a", 0), ("b", 1)]);
        assert_eq!(window.look("c", 7, 0, hour(23)), Known::NoRoom(Duration::from_hours(1)));
        assert_eq!(window.look("a", 7, 0, hour(23)), Known::Answered(&Answer::default()));
        window.forget(hour(25));
        assert_eq!(window.look("c", 7, 0, hour(25)), Known::No);
        assert!(matches!(window.look("c", 7, cost("d", None), hour(25)), Known::NoRoom(_)), "the room is another's");
    }

    #[test]
    fn many_keys_are_forgotten_a_part_at_a_time() {
        let entries: Vec<String> = (0..1500).map(|key| key.to_string()).collect();
        let mut window = window(DAY, &entries.iter().map(|key| (key.as_str(), 0)).collect::<Vec<_>>());
        assert_eq!((window.forget(hour(30)).len(), window.forget(hour(30)).len(), window.bytes), (1000, 500, 0));
    }

    #[test]
    fn what_is_written_is_read_back() {
        let given = Given::new(hour(3), u128::MAX - 1, &Answer::default());
        let value = serde_json::to_vec(&given).expect("JSON");
        assert_eq!(entry("p", (0, 1), b"k", &value).expect("reads"), (Arc::from("k"), given));
        assert_eq!(entry("p", (0, 1), b"k", b"?").expect_err("is no answer").code(), Code::Internal);
    }

    #[test]
    fn a_key_that_another_number_of_partitions_put_here_stops_the_owner() {
        let value = serde_json::to_vec(&Given::new(hour(3), 1, &Answer::default())).expect("JSON");
        let elsewhere = 1 - share_of(b"p/k", 2);
        let fault = entry("p", (elsewhere, 2), b"k", &value).expect_err("is not where it belongs");
        assert_eq!(fault.code(), Code::KafkaConfiguration);
    }
}
