//! One dead letter, as it is read back: Millrace's own, Kafka Connect's, or whatever else stands in the topic.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use millrace_model::{Header, Record};

use super::{CONNECT_PREFIX, Identity, PREFIX};

/// Where a dead letter stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The dead-letter topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
}

/// As `topic:partition:offset`.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.topic, self.partition, self.offset)
    }
}

/// A dead letter, read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Where it stands, its newest copy.
    pub place: Place,
    /// Where its earlier copies stand.
    pub copies: Vec<Place>,
    /// Its timestamp in milliseconds since the epoch: the original's.
    pub timestamp: i64,
    /// The original's key.
    pub key: Option<Vec<u8>>,
    /// The original's value.
    pub value: Option<Vec<u8>>,
    /// All headers, those of the original first.
    pub headers: Vec<Header>,
    said: BTreeMap<&'static str, String>,
}

/// What is said of a dead letter, and the name that Kafka Connect says it by (KIP-298).
const SAID: &[(&str, Option<&str>)] = &[
    ("pipeline", Some("connector.name")),
    ("stage", Some("stage")),
    ("code", Some("exception.class.name")),
    ("message", Some("exception.message")),
    ("topic", Some("topic")),
    ("partition", Some("partition")),
    ("offset", Some("offset")),
    ("at", None),
    ("omitted_bytes", None),
];

impl DeadLetter {
    /// The dead letter that `record` of a dead-letter topic is. Every record is one, whatever its headers say.
    pub fn of(record: &Record<'_>) -> Self {
        let said = SAID.iter().filter_map(|(name, connect)| {
            let own = last(record.headers, PREFIX, name);
            let text = own.or_else(|| last(record.headers, CONNECT_PREFIX, (*connect)?));
            Some((*name, text?))
        });
        Self {
            place: Place { topic: record.topic.to_owned(), partition: record.partition, offset: record.offset },
            copies: Vec::new(),
            timestamp: record.timestamp,
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
            headers: record.headers.to_vec(),
            said: said.collect(),
        }
    }

    /// What the header `millrace.error.<name>` says, or Kafka Connect's word for it; empty when there is none.
    pub fn said(&self, name: &str) -> &str {
        self.said.get(name).map_or("", String::as_str)
    }

    /// The partition that the original was read from; `None` where the header is no number.
    pub fn partition(&self) -> Option<i32> {
        self.said("partition").parse().ok()
    }

    /// The original's offset there; `None` where the header is no number.
    pub fn offset(&self) -> Option<i64> {
        self.said("offset").parse().ok()
    }

    /// When it was rejected; where nothing says so (Kafka Connect does not), its timestamp.
    pub fn at(&self) -> Option<Timestamp> {
        self.said("at").parse().ok().or_else(|| Timestamp::from_millisecond(self.timestamp).ok())
    }

    /// The same letter, rejected at another time: that of a copy of its record.
    #[must_use]
    pub fn rejected_at(mut self, at: Timestamp) -> Self {
        self.said.insert("at", at.to_string());
        self
    }

    /// How many bytes of key and value were too many to be kept: they are at the original's place only.
    pub fn omitted_bytes(&self) -> Option<u64> {
        self.said.get("omitted_bytes").map(|bytes| bytes.parse().unwrap_or_default())
    }

    /// What makes it one and the same dead letter wherever it is written twice. One that says nothing of an original is only
    /// the one at its place.
    pub fn identity(&self) -> Identity {
        if self.said("topic").is_empty() || self.said("offset").is_empty() {
            let Place { topic, partition, offset } = &self.place;
            let said = [self.said("pipeline"), topic, &partition.to_string(), &offset.to_string(), self.said("stage")];
            return said.map(str::to_owned).into();
        }
        ["pipeline", "topic", "partition", "offset", "stage"].map(|name| self.said(name).to_owned()).into()
    }

    /// The original's headers.
    pub fn original_headers(&self) -> impl Iterator<Item = &Header> {
        self.headers.iter().filter(|header| !is_said(&header.key))
    }

    /// Whether `place` is its, or a copy's.
    pub fn is_at(&self, place: &Place) -> bool {
        self.place == *place || self.copies.contains(place)
    }
}

/// Whether a header of that name says what happened, and is not the original's.
pub(super) fn is_said(name: &str) -> bool {
    name.starts_with(PREFIX) || name.starts_with(CONNECT_PREFIX)
}

/// The text of the last header of that name; bytes that are not UTF-8 are replaced.
fn last(headers: &[Header], prefix: &str, name: &str) -> Option<String> {
    let named = headers.iter().rev().find(|header| header.key.strip_prefix(prefix) == Some(name))?;
    named.value.as_deref().map(|value| String::from_utf8_lossy(value).into_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::DeadLetters;
    use super::super::write::tests::headers;
    use super::*;
    use millrace_model::{Code, RecordsBuilder, Rejected, Rejection, Stage};

    fn rejected(headers: &[Header]) -> Rejected {
        let mut records = RecordsBuilder::new("in".into(), 1);
        records.push(&Record { topic: "in", partition: 3, offset: 42, timestamp: 5, key: Some(b"k"), value: Some(b"v"), headers });
        Rejected::new(&Arc::new(records.finish()), Stage::Decode, Rejection::new(0, Code::AvroInvalid, "truncated"))
    }

    fn letter(rejected: &Rejected) -> DeadLetter {
        let headers = headers(&DeadLetters::new("p.x", "dead"), rejected, Timestamp::UNIX_EPOCH);
        DeadLetter::of(&Record { topic: "dead", headers: &headers, offset: 0, ..rejected.record() })
    }

    fn with_headers(headers: &[(&str, Option<&[u8]>)]) -> DeadLetter {
        let headers: Vec<Header> =
            headers.iter().map(|(key, value)| Header { key: (*key).to_owned(), value: value.map(<[u8]>::to_vec) }).collect();
        DeadLetter::of(&Record { topic: "dead", partition: 1, offset: 7, timestamp: 0, key: None, value: None, headers: &headers })
    }

    #[test]
    fn a_dead_letter_says_what_happened_and_keeps_the_originals_headers_first() {
        let letter = letter(&rejected(&[Header { key: "mine".into(), value: None }]));
        assert_eq!(letter.headers[0].key, "mine");
        assert_eq!(letter.original_headers().count(), 1);
        assert_eq!(letter.identity(), ["p.x", "in", "3", "42", "decode"].map(str::to_owned).into());
        assert_eq!((letter.said("code"), letter.said("message"), letter.said("at")), ("MR0311", "truncated", "1970-01-01T00:00:00Z"));
        assert!(letter.headers.iter().any(|header| header.key == "__connect.errors.topic"));
    }

    #[test]
    fn a_record_rejected_again_carries_only_its_last_rejection() {
        let once = letter(&rejected(&[]));
        let twice = letter(&rejected(&once.headers));
        assert_eq!(twice.headers.iter().filter(|header| header.key == "millrace.error.code").count(), 1);
    }

    #[test]
    fn a_letter_of_kafka_connect_is_read_by_its_own_headers() {
        let letter = with_headers(&[
            ("__connect.errors.topic", Some(b"orders")),
            ("__connect.errors.partition", Some(b"2")),
            ("__connect.errors.offset", Some(b"17")),
            ("__connect.errors.connector.name", Some(b"jdbc-sink")),
            ("__connect.errors.stage", Some(b"VALUE_CONVERTER")),
            ("__connect.errors.exception.message", Some(b"not JSON")),
        ]);
        assert_eq!(letter.identity(), ["jdbc-sink", "orders", "2", "17", "VALUE_CONVERTER"].map(str::to_owned).into());
        assert_eq!((letter.partition(), letter.offset(), letter.said("message")), (Some(2), Some(17), "not JSON"));
        assert_eq!(letter.at(), Some(Timestamp::UNIX_EPOCH));
    }

    #[test]
    fn headers_that_make_no_sense_make_a_letter_of_its_place() {
        let letter = with_headers(&[
            ("millrace.error.pipeline", Some(b"\xff\xfe")),
            ("millrace.error.partition", Some(b"many")),
            ("millrace.error.offset", None),
            ("millrace.error.at", Some(b"yesterday")),
            ("millrace.error.omitted_bytes", Some(b"-1")),
        ]);
        assert_eq!((letter.partition(), letter.offset(), letter.omitted_bytes()), (None, None, Some(0)));
        assert_eq!(letter.identity(), ["\u{fffd}\u{fffd}", "dead", "1", "7", ""].map(str::to_owned).into());
        assert_eq!(with_headers(&[]).identity(), ["", "dead", "1", "7", ""].map(str::to_owned).into());
    }
}
