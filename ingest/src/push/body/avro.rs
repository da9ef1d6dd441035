//! Which records a body of Avro has.
//!
//! Records on their way to the codec are framed with the id of their schema, as in Kafka. A container brings its schema along: its
//! values are framed with an id that no registry gives, which one request's decoder alone has learnt.

use axum::http::{HeaderMap, StatusCode, Uri};
use millrace_model::{Code, Fault, Result as Faultless, Schema};
use millrace_runtime::codec::Decoder;
use millrace_runtime::codec::container::{Broken, Container};

use super::super::answer::Refused;
use super::text;

/// The id of a container's schema: registries number by Java's int.
const LOCAL: u32 = u32::MAX;

const SUBJECT: &str = "schema-subject";
const VERSION: &str = "schema-version";

/// The schema of a value without framing, by its name in the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subject {
    pub(crate) name: String,
    /// The latest without it.
    pub(crate) version: Option<u32>,
}

impl Subject {
    /// The one that the request names: `?subject=` and `&version=`, or the headers `Schema-Subject` and `Schema-Version`.
    pub(crate) fn of(headers: &HeaderMap, uri: &Uri) -> Result<Option<Self>, Refused> {
        let asked = |name: &str, header: &str| query(uri, name).or_else(|| text(headers, header).map(str::to_owned));
        let Some(name) = asked("subject", SUBJECT) else { return Ok(None) };
        // It becomes a part of a path.
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | ':');
        if name.is_empty() || name.contains("..") || !name.chars().all(plain) {
            return Err(unusable("a subject has letters, digits, `.`, `_`, `-` and `:`"));
        }
        let version = asked("version", VERSION).map(|version| version.parse::<u32>()).transpose();
        Ok(Some(Self { name, version: version.map_err(|_| unusable("a version is a number from 1"))? }))
    }
}

fn unusable(message: &str) -> Refused {
    Refused::new(StatusCode::BAD_REQUEST, Code::BodyUnreadable, message)
}

fn query(uri: &Uri, name: &str) -> Option<String> {
    let pairs = uri.query()?.split('&').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.into_iter().find(|(key, _)| *key == name)?;
    Some(percent_encoding::percent_decode_str(value).decode_utf8_lossy().into_owned())
}

/// A value framed with `id`.
pub(crate) fn framed(id: u32, value: &[u8]) -> Vec<u8> {
    [&[0], &id.to_be_bytes()[..], value].concat()
}

/// What the framing of a container's value is put before.
pub(crate) fn unframed(value: &[u8]) -> &[u8] {
    value.get(5..).unwrap_or_default()
}

/// A container's values, framed, and what decodes them.
pub(crate) struct Values {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    pub(crate) decoder: Decoder,
    pub(crate) schema: String,
}

impl Values {
    /// Takes a container apart that inflates to no more than `limit` bytes. What is no value of its schema is one value, and
    /// will be found bad, with what follows it in its block.
    pub(crate) fn of(container: &[u8], schema: &Schema, limit: usize) -> Faultless<Self> {
        let mut container = Container::open(container).map_err(broken)?;
        let mut decoder = Decoder::new(schema)?;
        decoder.learn(LOCAL, Some(container.schema()));
        let mut values = Self { bytes: Vec::new(), ends: Vec::new(), decoder, schema: container.schema().to_owned() };
        for block in container.blocks(limit).map_err(broken)? {
            values.split(block.count, &block.bytes)?;
        }
        Ok(values)
    }

    fn split(&mut self, count: usize, mut rest: &[u8]) -> Faultless<()> {
        for _ in 0..count {
            match self.decoder.measure(LOCAL, rest) {
                Ok(length) => {
                    let (value, after) = rest.split_at(length);
                    self.push(value);
                    rest = after;
                }
                Err(fault) if fault.code() == Code::AvroInvalid => {
                    self.push(rest);
                    return Ok(());
                }
                Err(fault) => return Err(fault),
            }
        }
        if !rest.is_empty() {
            self.push(rest);
        }
        Ok(())
    }

    fn push(&mut self, value: &[u8]) {
        self.bytes.push(0);
        self.bytes.extend_from_slice(&LOCAL.to_be_bytes());
        self.bytes.extend_from_slice(value);
        self.ends.push(self.bytes.len());
    }

    /// The values in their order.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        (0..self.ends.len()).map(|place| {
            let start = place.checked_sub(1).map_or(0, |before| self.ends[before]);
            &self.bytes[start..self.ends[place]]
        })
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the form that map_err takes")]
fn broken(why: Broken) -> Fault {
    Fault::operator(Code::BodyUnreadable, format!("the Avro container can't be read: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use millrace_runtime::codec::{self, container};
    use serde_json::json;

    fn schema() -> Schema {
        codec::schema(json!({"type": "record", "name": "r", "fields": [{"name": "x", "type": "long"}]})).expect("is carried")
    }

    fn subject(uri: &str, headers: &[(&'static str, &str)]) -> Result<Option<Subject>, Refused> {
        let headers = headers.iter().map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value")));
        Subject::of(&headers.collect(), &uri.parse().expect("a URI"))
    }

    #[test]
    fn a_subject_stands_in_the_query_or_in_a_header() {
        let orders = |version| Some(Subject { name: "orders-value".to_owned(), version });
        assert_eq!(subject("/o?subject=orders-value&version=3", &[]).expect("reads"), orders(Some(3)));
        assert_eq!(subject("/o", &[(SUBJECT, "orders-value")]).expect("reads"), orders(None));
        assert_eq!(subject("/o", &[]).expect("reads"), None);
    }

    #[test]
    fn a_subject_that_would_lead_elsewhere_in_the_registry_is_refused() {
        for uri in ["/o?subject=../config", "/o?subject=a%2Fb", "/o?subject=", "/o?subject=a&version=latest"] {
            assert_eq!(subject(uri, &[]).expect_err("is refused").status, StatusCode::BAD_REQUEST, "{uri}");
        }
    }

    #[test]
    fn what_is_no_value_is_one_bad_value_and_those_before_it_are_good() {
        let schema = schema();
        let mut values = Values::of(&container::of_one(schema.text(), &[2]), &schema, 100).expect("opens");
        values.split(3, &[4, 0x80]).expect("splits");
        values.split(1, &[6, 8]).expect("splits");
        values.split(usize::MAX, &[]).expect("splits");
        let found: Vec<&[u8]> = values.iter().map(unframed).collect();
        assert_eq!(found, [&[2][..], &[4], &[0x80], &[6], &[8], &[]]);
    }

    #[test]
    fn records_that_take_no_bytes_can_not_be_as_many_as_a_container_says() {
        let fields = json!([{"name": "x", "type": "long", "default": 0}]);
        let reader = codec::schema(json!({"type": "record", "name": "r", "fields": fields})).expect("is carried");
        for fields in [json!([]), json!([{"name": "y", "type": "null"}])] {
            let written = json!({"type": "record", "name": "r", "fields": fields}).to_string();
            let mut container = container::of_one(&written, &[]);
            let count = container.len() - 18;
            // 2^62 of them, where it said one.
            container.splice(count..=count, [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01]);
            let fault = Values::of(&container, &reader, 100).err().expect("is refused");
            assert_eq!(fault.code(), Code::SchemaIncompatible, "{fault}");
        }
    }

    #[test]
    fn a_container_of_another_schema_is_refused_whole() {
        let fault = |written: serde_json::Value| {
            Values::of(&container::of_one(&written.to_string(), &[2]), &schema(), 100).err().expect("is refused").code()
        };
        assert_eq!(fault(json!({"type": "record", "name": "r", "fields": [{"name": "x", "type": "string"}]})), Code::SchemaIncompatible);
        assert_eq!(fault(json!("no schema")), Code::SchemaIncompatible);
    }
}
