//! CloudEvents 1.0: the HTTP binding's three modes in, the headers of the Kafka binding out.
//!
//! The data stays as the text that was sent until the topic's schema reads it, so that numbers keep every digit; the SDK of
//! CloudEvents would read it into a tree first.

use std::borrow::Cow;

use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use millrace_model::Header;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{Media, text};

/// Before an attribute's name in HTTP and in Kafka.
const HTTP: &str = "ce-";
const KAFKA: &str = "ce_";

const JSON: &str = "application/json";
/// What the value in Kafka is, whatever was sent.
pub(crate) const AVRO: &str = "application/avro";

/// The header that says what a value is, in Kafka's binding as in HTTP.
pub(crate) const CONTENT_TYPE: &str = "content-type";

/// An event that may be read by schema.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Event<'a> {
    /// The headers of the record in Kafka.
    pub(crate) headers: Vec<Header>,
    pub(crate) data: Data<'a>,
    /// What the data was sent as.
    pub(crate) content_type: String,
}

/// An event's data.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Data<'a> {
    Json(Cow<'a, [u8]>),
    Avro(Cow<'a, [u8]>),
}

/// Why something is no CloudEvent: the attribute, and what is wrong with it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Flaw {
    pub(crate) attribute: String,
    pub(crate) reason: String,
}

fn flaw(attribute: &str, reason: impl Into<String>) -> Flaw {
    Flaw { attribute: attribute.to_owned(), reason: reason.into() }
}

/// Whether the request is an event in binary mode.
pub(crate) fn is_binary(headers: &HeaderMap) -> bool {
    REQUIRED.iter().any(|required| headers.contains_key(format!("{HTTP}{required}")))
}

/// Whether a record in Kafka is an event.
pub(crate) fn is_of_event(headers: &[Header]) -> bool {
    headers.iter().any(|header| header.key.strip_prefix(KAFKA) == Some("specversion"))
}

/// The event of a request in binary mode, whose body is the data.
pub(crate) fn binary<'a>(headers: &HeaderMap, body: &'a [u8]) -> Result<Event<'a>, Flaw> {
    let mut attributes = Attributes::default();
    for (name, value) in headers {
        if let Some(name) = name.as_str().strip_prefix(HTTP).filter(|name| *name != "datacontenttype") {
            let value = value.to_str().ok().and_then(unescaped).ok_or_else(|| flaw(name, "the value is not percent-encoded UTF-8"))?;
            attributes.add(name, value)?;
        }
    }
    let content_type = text(headers, header::CONTENT_TYPE.as_str()).unwrap_or(JSON).to_owned();
    let data = Cow::Borrowed(body);
    let data = if Media::named(&content_type) == Some(Media::Avro) { Data::Avro(data) } else { Data::Json(data) };
    Ok(Event { headers: attributes.headers()?, data, content_type })
}

/// Quotes taken off, then percent-encoding undone (HTTP binding 1.0.2, 3.1.3.2).
fn unescaped(value: &str) -> Option<String> {
    let inner = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let plain = inner.map_or(Cow::Borrowed(value), |inner| unquoted(inner).into());
    percent_encoding::percent_decode_str(&plain).decode_utf8().ok().map(Cow::into_owned)
}

fn unquoted(inner: &str) -> String {
    let mut chars = inner.chars();
    let mut plain = String::with_capacity(inner.len());
    while let Some(c) = chars.next() {
        plain.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    plain
}

/// The event that a JSON object is.
pub(crate) fn structured(text: &[u8]) -> Result<Event<'_>, Flaw> {
    let members: Members<'_> = serde_json::from_slice(text).map_err(|error| flaw("", format!("not a JSON object: {error}")))?;
    let mut attributes = Attributes::default();
    let (mut data, mut base64, mut content_type) = (None, None, None);
    for (name, raw) in members.0 {
        let known = match &*name {
            "data" => &mut data,
            "data_base64" => &mut base64,
            name => {
                if let Some(value) = scalar(name, raw)? {
                    if name == "datacontenttype" { content_type = Some(value) } else { attributes.add(name, value)? }
                }
                continue;
            }
        };
        if raw.get() != "null" && known.replace(raw).is_some() {
            return Err(flaw(&name, "the event has it twice"));
        }
    }
    let content_type = content_type.unwrap_or_else(|| JSON.to_owned());
    Ok(Event { headers: attributes.headers()?, data: payload(data, base64, &content_type)?, content_type })
}

fn payload<'a>(data: Option<&'a RawValue>, base64: Option<&'a RawValue>, content_type: &str) -> Result<Data<'a>, Flaw> {
    let bytes = base64.map(bytes_of).transpose()?;
    match (Media::named(content_type), data, bytes) {
        (_, Some(_), Some(_)) => Err(flaw("data_base64", "the event has data and data_base64")),
        (_, None, None) => Err(flaw("data", "the event has no data")),
        (Some(Media::Json), Some(data), None) => Ok(Data::Json(data.get().as_bytes().into())),
        (Some(Media::Json), None, Some(bytes)) => Ok(Data::Json(bytes.into())),
        (Some(Media::Avro), None, Some(bytes)) => Ok(Data::Avro(bytes.into())),
        (Some(Media::Avro), Some(_), None) => Err(flaw("data", "Avro is sent in data_base64")),
        _ => Err(flaw("datacontenttype", format!("data of the type {content_type:?} is not read; send {JSON} or {AVRO}"))),
    }
}

fn bytes_of(raw: &RawValue) -> Result<Vec<u8>, Flaw> {
    let wrong = |reason: String| flaw("data_base64", reason);
    let text: String = serde_json::from_str(raw.get()).map_err(|_| wrong("expected a text".to_owned()))?;
    BASE64_STANDARD.decode(text).map_err(|error| wrong(format!("not base64: {error}")))
}

/// An attribute's value in its canonical text form; null is as good as none (JSON format 1.0.2, 2.2 and 3.1).
fn scalar(name: &str, raw: &RawValue) -> Result<Option<String>, Flaw> {
    let text = raw.get();
    match text.as_bytes().first() {
        Some(b'n') => Ok(None),
        Some(b't' | b'f') => Ok(Some(text.to_owned())),
        Some(b'"') => serde_json::from_str(text).map(Some).map_err(|error| flaw(name, error.to_string())),
        _ => match text.parse::<i32>() {
            Ok(_) => Ok(Some(text.to_owned())),
            Err(_) => Err(flaw(name, "expected a text, an integer of 32 bits or a boolean")),
        },
    }
}

const REQUIRED: [&str; 4] = ["id", "source", "specversion", "type"];

/// The attributes of one event.
#[derive(Debug, Default)]
struct Attributes(Vec<(String, String)>);

impl Attributes {
    fn add(&mut self, name: &str, value: String) -> Result<(), Flaw> {
        let good = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        if !good || name == "data" {
            return Err(flaw(name, "an attribute's name has lower-case letters and digits only"));
        }
        if self.get(name).is_some() {
            return Err(flaw(name, "the event has it twice"));
        }
        self.0.push((name.to_owned(), value));
        Ok(())
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn checked(&self) -> Result<(), Flaw> {
        for required in REQUIRED {
            if self.get(required).is_none_or(str::is_empty) {
                return Err(flaw(required, "the attribute is missing; every event has id, source, specversion and type"));
            }
        }
        match self.get("specversion") {
            Some("1.0") => {}
            other => return Err(flaw("specversion", format!("expected 1.0, found {:?}", other.unwrap_or_default()))),
        }
        match self.get("time").map(str::parse::<Timestamp>) {
            Some(Err(_)) => Err(flaw("time", "expected a timestamp such as 2013-01-31T17:05:00Z (RFC 3339)")),
            _ => Ok(()),
        }
    }

    /// As headers of Kafka's binding (1.0.2, 3.2.3). The value is Avro in Kafka, whatever it was sent as.
    fn headers(self) -> Result<Vec<Header>, Flaw> {
        self.checked()?;
        let attributes = self.0.into_iter().map(|(name, value)| header_of(&format!("{KAFKA}{name}"), value));
        Ok(attributes.chain([header_of(CONTENT_TYPE, AVRO)]).collect())
    }
}

/// A header of that text.
pub(crate) fn header_of(key: &str, value: impl Into<Vec<u8>>) -> Header {
    Header { key: key.to_owned(), value: Some(value.into()) }
}

/// An object's members as they stand in the text, those that occur twice included.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Objects;
        impl<'de> Visitor<'de> for Objects {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an event: an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((name, raw)) = map.next_entry::<String, &RawValue>()? {
                    members.push((name.into(), raw));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Objects)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers_of(event: &Event<'_>) -> Vec<(String, String)> {
        let text = |header: &Header| String::from_utf8(header.value.clone().unwrap_or_default()).expect("is text");
        event.headers.iter().map(|header| (header.key.clone(), text(header))).collect()
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn request(headers: &[(&str, &str)]) -> HeaderMap {
        headers.iter().map(|(name, value)| (name.parse::<header::HeaderName>().expect("a name"), value.parse().expect("a value"))).collect()
    }

    const GOOD: [(&str, &str); 4] = [("ce-id", "1"), ("ce-source", "/shop"), ("ce-specversion", "1.0"), ("ce-type", "order")];

    #[test]
    fn the_headers_of_a_binary_event_become_those_of_kafkas_binding() {
        let more =
            [("ce-subject", "Euro%20%E2%82%AC"), ("ce-note", "\"a \\\"b\\\"\""), ("content-type", "application/json; charset=utf-8")];
        let headers = request(&[&GOOD[..], &more].concat());
        assert!(is_binary(&headers));
        let event = binary(&headers, b"{}").expect("is an event");
        let mut kept = headers_of(&event);
        kept.sort();
        let expected = [
            ("ce_id", "1"),
            ("ce_note", "a \"b\""),
            ("ce_source", "/shop"),
            ("ce_specversion", "1.0"),
            ("ce_subject", "Euro €"),
            ("ce_type", "order"),
            ("content-type", "application/avro"),
        ];
        assert_eq!(kept, pairs(&expected));
        assert_eq!((event.content_type.as_str(), event.data), ("application/json; charset=utf-8", Data::Json(b"{}"[..].into())));
    }

    #[test]
    fn a_request_without_an_events_headers_is_none() {
        assert!(!is_binary(&request(&[("ce-trace", "1"), ("content-type", "application/json")])));
    }

    #[test]
    fn a_structured_event_keeps_its_data_as_it_was_written() {
        let text = br#"{"specversion":"1.0","id":"1","source":"s","type":"t","flag":true,"count":7,"none":null,"data":{"n": 1.10}}"#;
        let event = structured(text).expect("is an event");
        assert_eq!(event.data, Data::Json(br#"{"n": 1.10}"#[..].into()));
        let more = [("ce_flag", "true"), ("ce_count", "7"), ("content-type", "application/avro")];
        let expected = [&[("ce_specversion", "1.0"), ("ce_id", "1"), ("ce_source", "s"), ("ce_type", "t")], &more[..]].concat();
        assert_eq!(headers_of(&event), pairs(&expected));
    }

    #[test]
    fn avro_comes_in_base64() {
        let text = br#"{"specversion":"1.0","id":"1","source":"s","type":"t","datacontenttype":"avro/binary","data_base64":"AAEC"}"#;
        let event = structured(text).expect("is an event");
        assert_eq!((event.data, event.content_type.as_str()), (Data::Avro(vec![0, 1, 2].into()), "avro/binary"));
    }

    #[test]
    fn what_is_no_event_says_which_attribute_is_to_blame() {
        let cases = [
            (r#"{"id":"1","source":"s","type":"t","data":{}}"#, "specversion"),
            (r#"{"specversion":"0.3","id":"1","source":"s","type":"t","data":{}}"#, "specversion"),
            (r#"{"specversion":"1.0","id":"","source":"s","type":"t","data":{}}"#, "id"),
            (r#"{"specversion":"1.0","id":"1","source":"s","type":"t"}"#, "data"),
            (r#"{"specversion":"1.0","id":"1","source":"s","type":"t","data":{},"data_base64":""}"#, "data_base64"),
            (r#"{"specversion":"1.0","id":"1","source":"s","type":"t","data_base64":"?"}"#, "data_base64"),
            (r#"{"specversion":"1.0","id":"1","source":"s","type":"t","data":{},"time":"today"}"#, "time"),
            (r#"{"specversion":"1.0","id":"1","source":"s","type":"t","data":{},"odd_name":"x"}"#, "odd_name"),
            (r#"{"specversion":"1.0","id":"1","source":"s","type":"t","data":{},"list":[1]}"#, "list"),
            (r#"{"specversion":"1.0","id":"1","id":"2","source":"s","type":"t","data":{}}"#, "id"),
            (r#"{"specversion":"1.0","id":"1","source":"s","type":"t","datacontenttype":"text/xml","data":"<a/>"}"#, "datacontenttype"),
            ("[]", ""),
        ];
        for (text, attribute) in cases {
            assert_eq!(structured(text.as_bytes()).expect_err("is none").attribute, attribute, "{text}");
        }
        let without_type: Vec<_> = GOOD.into_iter().filter(|(name, _)| *name != "ce-type").collect();
        assert_eq!(binary(&request(&without_type), b"{}").expect_err("is none").attribute, "type");
    }
}
