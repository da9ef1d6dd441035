//! A letter as JSON.

use millrace_model::{Header, Record};
use millrace_runtime::dead_letters::{DeadLetter, Place};
use serde::{Deserialize, Serialize};

/// A letter as it stands in a file. What its headers say stands beside them to be read by people; the headers count.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Exported {
    dead_letter_topic: String,
    dead_letter_partition: i32,
    dead_letter_offset: i64,
    timestamp: i64,
    #[serde(skip_deserializing)]
    said: Said,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<Bytes>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<Bytes>,
    headers: Vec<(String, Option<Bytes>)>,
}

/// For people.
#[derive(Debug, Default, Serialize)]
struct Said {
    pipeline: String,
    stage: String,
    code: String,
    message: String,
    topic: String,
    partition: String,
    offset: String,
    at: String,
}

/// Bytes, readable where they can be.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Bytes {
    Text(String),
    #[serde(with = "as_base64")]
    Base64(Vec<u8>),
}

mod as_base64 {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD as BASE64;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        BASE64.decode(String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl Bytes {
    fn of(bytes: &[u8]) -> Self {
        std::str::from_utf8(bytes).map_or_else(|_| Self::Base64(bytes.to_vec()), |text| Self::Text(text.to_owned()))
    }

    fn into_vec(self) -> Vec<u8> {
        match self {
            Self::Text(text) => text.into_bytes(),
            Self::Base64(bytes) => bytes,
        }
    }
}

impl Exported {
    /// The letter, whole.
    pub(crate) fn of(letter: &DeadLetter) -> Self {
        let bytes = |bytes: &Option<Vec<u8>>| bytes.as_deref().map(Bytes::of);
        Self { key: bytes(&letter.key), value: bytes(&letter.value), ..Self::without_bytes(letter) }
    }

    /// The letter without its key and value, which have files of their own.
    pub(crate) fn without_bytes(letter: &DeadLetter) -> Self {
        let Place { topic, partition, offset } = letter.place.clone();
        let headers = letter.headers.iter().map(|header| (header.key.clone(), header.value.as_deref().map(Bytes::of)));
        Self {
            dead_letter_topic: topic,
            dead_letter_partition: partition,
            dead_letter_offset: offset,
            timestamp: letter.timestamp,
            said: Said::of(letter),
            key: None,
            value: None,
            headers: headers.collect(),
        }
    }

    /// The letter that was exported.
    pub(crate) fn into_letter(self) -> DeadLetter {
        let headers: Vec<Header> = self.headers.into_iter().map(|(key, value)| Header { key, value: value.map(Bytes::into_vec) }).collect();
        let (key, value) = (self.key.map(Bytes::into_vec), self.value.map(Bytes::into_vec));
        DeadLetter::of(&Record {
            topic: &self.dead_letter_topic,
            partition: self.dead_letter_partition,
            offset: self.dead_letter_offset,
            timestamp: self.timestamp,
            key: key.as_deref(),
            value: value.as_deref(),
            headers: &headers,
        })
    }
}

impl Said {
    fn of(letter: &DeadLetter) -> Self {
        let said = |name: &str| letter.said(name).to_owned();
        Self {
            pipeline: said("pipeline"),
            stage: said("stage"),
            code: said("code"),
            message: said("message"),
            topic: said("topic"),
            partition: said("partition"),
            offset: said("offset"),
            at: letter.at().map(|at| at.to_string()).unwrap_or_default(),
        }
    }
}
