//! One dead letter, as it is read back.

use std::collections::BTreeMap;

use millrace_model::{Header, Record};

use super::PREFIX;

/// A dead letter, read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Where it stands in the dead-letter topic.
    pub partition: i32,
    /// Its offset there.
    pub offset: i64,
    /// Its timestamp in milliseconds since the epoch: the original's.
    pub timestamp: i64,
    /// The original's key.
    pub key: Option<Vec<u8>>,
    /// The original's value.
    pub value: Option<Vec<u8>>,
    /// All headers, those of the original first.
    pub headers: Vec<Header>,
    said: BTreeMap<String, String>,
}

impl DeadLetter {
    pub(super) fn of(record: &Record<'_>) -> Self {
        let said = record.headers.iter().filter_map(|header| {
            let name = header.key.strip_prefix(PREFIX)?;
            Some((name.to_owned(), String::from_utf8_lossy(header.value.as_deref()?).into_owned()))
        });
        Self {
            partition: record.partition,
            offset: record.offset,
            timestamp: record.timestamp,
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
            headers: record.headers.to_vec(),
            said: said.collect(),
        }
    }

    /// What the header `millrace.error.<name>` says; empty when there is none.
    pub fn said(&self, name: &str) -> &str {
        self.said.get(name).map_or("", String::as_str)
    }

    /// What makes it one and the same dead letter wherever it is written twice: pipeline, topic, partition, offset, stage.
    pub fn identity(&self) -> [&str; 5] {
        ["pipeline", "topic", "partition", "offset", "stage"].map(|name| self.said(name))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::DeadLetters;
    use super::*;
    use millrace_model::{Code, RecordsBuilder, Rejected, Rejection, Stage};

    fn rejected(headers: &[Header]) -> Rejected {
        let mut records = RecordsBuilder::new("in".into(), 1);
        records.push(&Record { topic: "in", partition: 3, offset: 42, timestamp: 5, key: Some(b"k"), value: Some(b"v"), headers });
        Rejected::new(&Arc::new(records.finish()), Stage::Decode, Rejection::new(0, Code::AvroInvalid, "truncated"))
    }

    fn letter(rejected: &Rejected) -> DeadLetter {
        let headers = DeadLetters::new("p.x", "dead").headers(rejected, jiff::Timestamp::UNIX_EPOCH);
        DeadLetter::of(&Record { headers: &headers, offset: 0, ..rejected.record() })
    }

    #[test]
    fn a_dead_letter_says_what_happened_and_keeps_the_originals_headers_first() {
        let letter = letter(&rejected(&[Header { key: "mine".into(), value: None }]));
        assert_eq!(letter.headers[0].key, "mine");
        assert_eq!(letter.identity(), ["p.x", "in", "3", "42", "decode"]);
        assert_eq!((letter.said("code"), letter.said("message"), letter.said("at")), ("MR0311", "truncated", "1970-01-01T00:00:00Z"));
        assert!(letter.headers.iter().any(|header| header.key == "__connect.errors.topic"));
    }

    #[test]
    fn a_record_rejected_again_carries_only_its_last_rejection() {
        let once = letter(&rejected(&[]));
        let twice = letter(&rejected(&once.headers));
        assert_eq!(twice.headers.iter().filter(|header| header.key == "millrace.error.code").count(), 1);
    }
}
