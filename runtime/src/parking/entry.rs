//! A parked record as it stands in the topic: the original with headers of ours behind its own.
//!
//! The topic is compacted, and the key is the record's identity: written twice it is kept once, and a tombstone takes it out.

use jiff::Timestamp;
use millrace_model::{Header, Record};

use super::keys::Waiting;

/// What the names of our headers begin with.
const PREFIX: &str = "millrace.parked.";

/// What is kept of a parked record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// The rejected one, which is a dead letter: only when that was.
    Head(Option<Timestamp>),
    /// One that waits.
    Waiting(Waiting),
    /// One that waits and was too large to be copied: it is where it was read.
    Omitted,
    /// One that deleted everything behind rejected ones of other keys: only its timestamp, in milliseconds since the epoch.
    Clear(i64),
}

/// A parked record, read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The record's key.
    pub key: Box<[u8]>,
    /// What is kept of it.
    pub kept: Kept,
}

/// Where a record of a pipeline was read: what makes it one wherever it is written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Parked {
    /// `<project>.<pipeline>`.
    pub pipeline: String,
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
}

impl Parked {
    /// The key that it is written under.
    pub fn to_key(&self) -> Vec<u8> {
        serde_json::json!([self.pipeline, self.topic, self.partition, self.offset]).to_string().into_bytes()
    }

    /// The record that a key speaks of; `None` where it speaks of none.
    pub fn of_key(key: &[u8]) -> Option<Self> {
        let (pipeline, topic, partition, offset) = serde_json::from_slice(key).ok()?;
        Some(Self { pipeline, topic, partition, offset })
    }
}

/// The headers of a head, which has no value: it is in the dead letter.
pub fn head_headers(parked: &Parked, key: &[u8], at: Timestamp) -> Vec<Header> {
    headers(parked, key, Vec::new(), "head", ("at", at.to_string()))
}

/// The headers of a record that waits: its own, and then ours.
pub fn waiting_headers(parked: &Parked, record: &Record<'_>) -> Vec<Header> {
    let null = record.value.is_none().to_string();
    headers(parked, record.key.unwrap_or_default(), record.headers.to_vec(), "waiting", ("null", null))
}

/// The same for one whose value is left out.
pub fn omitted_headers(parked: &Parked, key: &[u8]) -> Vec<Header> {
    headers(parked, key, Vec::new(), "omitted", ("null", false.to_string()))
}

/// The headers of one that deleted everything; it has no value.
pub fn clear_headers(parked: &Parked, key: &[u8]) -> Vec<Header> {
    headers(parked, key, Vec::new(), "clear", ("null", false.to_string()))
}

fn headers(parked: &Parked, key: &[u8], mut headers: Vec<Header>, kind: &str, more: (&str, String)) -> Vec<Header> {
    let own = headers.len().to_string();
    let texts = [
        ("pipeline", parked.pipeline.clone()),
        ("topic", parked.topic.clone()),
        ("partition", parked.partition.to_string()),
        ("offset", parked.offset.to_string()),
        ("kind", kind.to_owned()),
        more,
        ("headers", own),
    ];
    let said = texts.into_iter().map(|(name, text)| (name, text.into_bytes())).chain([("key", key.to_vec())]);
    headers.extend(said.map(|(name, value)| Header { key: format!("{PREFIX}{name}"), value: Some(value) }));
    headers
}

impl Entry {
    /// What a record of the topic keeps; `None` where it is no entry.
    pub fn of(record: &Record<'_>) -> Option<Self> {
        let value = record.value?;
        let key = said(record.headers, "key")?.into();
        let kept = match text(record.headers, "kind")? {
            "head" => Kept::Head(text(record.headers, "at").and_then(|at| at.parse().ok())),
            "omitted" => Kept::Omitted,
            "clear" => Kept::Clear(record.timestamp),
            _ => {
                let own: usize = text(record.headers, "headers")?.parse().ok()?;
                let value = (text(record.headers, "null")? != "true").then(|| value.into());
                Kept::Waiting(Waiting { timestamp: record.timestamp, value, headers: record.headers.get(..own)?.into() })
            }
        };
        Some(Self { key, kept })
    }
}

/// The last header of that name: one of the original's has no say.
fn said<'a>(headers: &'a [Header], name: &str) -> Option<&'a [u8]> {
    headers.iter().rev().find(|header| header.key.strip_prefix(PREFIX) == Some(name))?.value.as_deref()
}

fn text<'a>(headers: &'a [Header], name: &str) -> Option<&'a str> {
    std::str::from_utf8(said(headers, name)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: (&str, &str) = ("shop.clean", "orders");

    fn parked() -> Parked {
        Parked { pipeline: PLACE.0.to_owned(), topic: PLACE.1.to_owned(), partition: 3, offset: 42 }
    }

    fn record<'a>(value: Option<&'a [u8]>, headers: &'a [Header]) -> Record<'a> {
        Record { topic: PLACE.1, partition: 3, offset: 42, timestamp: 7, key: Some(b"k\xff"), value, headers }
    }

    fn read_back(value: Option<&[u8]>, headers: &[Header]) -> Entry {
        let topic = Record { topic: "millrace.parked", value: Some(value.unwrap_or_default()), headers, ..record(None, &[]) };
        Entry::of(&topic).expect("an entry")
    }

    #[test]
    fn a_record_that_waits_comes_back_byte_for_byte_with_its_own_headers() {
        let own = [Header { key: "h".into(), value: None }, Header { key: "millrace.parked.key".into(), value: Some(b"not this".into()) }];
        for value in [Some(b"v".as_slice()), Some(b""), None] {
            let original = record(value, &own);
            let entry = read_back(value, &waiting_headers(&parked(), &original));
            assert_eq!(&*entry.key, b"k\xff");
            assert_eq!(entry.kept, Kept::Waiting(Waiting::of(&original)), "{value:?}");
        }
    }

    #[test]
    fn a_head_says_when_it_was_rejected_and_one_that_is_too_large_only_where_it_stands() {
        let entry = read_back(None, &head_headers(&parked(), b"k", Timestamp::UNIX_EPOCH));
        assert_eq!(entry, Entry { key: (*b"k").into(), kept: Kept::Head(Some(Timestamp::UNIX_EPOCH)) });
        assert_eq!(read_back(None, &omitted_headers(&parked(), b"k")).kept, Kept::Omitted);
    }

    #[test]
    fn of_one_that_deleted_everything_the_time_is_kept() {
        assert_eq!(read_back(None, &clear_headers(&parked(), b"")), Entry { key: Box::default(), kept: Kept::Clear(7) });
    }

    #[test]
    fn the_key_of_an_entry_is_the_place_of_its_record() {
        assert_eq!(parked().to_key(), br#"["shop.clean","orders",3,42]"#);
        assert_eq!(Parked::of_key(&parked().to_key()), Some(parked()));
        assert_eq!(Parked::of_key(b"noise"), None);
    }

    #[test]
    fn what_is_no_entry_is_none() {
        assert_eq!(Entry::of(&record(Some(b"v"), &[])), None);
        assert_eq!(Entry::of(&record(None, &head_headers(&parked(), b"k", Timestamp::UNIX_EPOCH))), None, "a tombstone");
    }
}
