//! The project-file section of this service.

use std::fmt;

use millrace_connectors::SourceConfig;
use millrace_runtime::project::{DeadLetterConfig, Delivery, OnError, Output};
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

mod flow;
mod http;

pub use http::{ApiKeys, Cors, Http, Idempotency, Rate};

/// A pipeline of the ingest service: from outside into a topic.
///
/// ```yaml
/// ingest:
///   flights_api:
///     from: { http: { path: /flights } }
///     to: { topic: flights, schema: schemas/flight.avsc, key: carrier }
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "IngestPipeline")]
pub struct Pipeline {
    /// Where records come from.
    pub from: Input,
    /// The topic that they go to. Its schema says what a record must look like.
    pub to: Output,
    /// The topic that records which can't be processed go to, and how many may.
    #[serde(default)]
    pub dead_letters: DeadLetterConfig,
    /// What becomes of such a record.
    #[serde(default)]
    pub on_error: OnError,
    /// What a crash may do to the output.
    #[serde(default)]
    pub delivery: Delivery,
}

impl Pipeline {
    /// Whether its records are pulled from a source, and not pushed.
    pub fn is_pulled(&self) -> bool {
        matches!(self.from, Input::Source(_))
    }

    /// The topic of the manifest of what was read, if there is one.
    pub fn manifest(&self) -> Option<&str> {
        match &self.from {
            Input::Http(_) => None,
            Input::Source(source) => source.manifest(),
        }
    }
}

/// Where the records of an ingest pipeline come from.
#[derive(Debug, Clone, PartialEq, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum Input {
    /// Records that are posted to the push gateway.
    Http(Http),
    /// Records that are pulled from a source.
    #[schemars(untagged)]
    Source(SourceConfig),
}

/// By hand, so that a new source is a line in `connectors` alone and errors keep their line of the file.
impl<'de> Deserialize<'de> for Input {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(InputVisitor)
    }
}

/// The keys that name an input: `http`, and those of the sources.
const KINDS: &[&str] = &{
    let mut kinds = ["http"; SourceConfig::KINDS.len() + 1];
    let mut source = 0;
    while source < SourceConfig::KINDS.len() {
        kinds[source + 1] = SourceConfig::KINDS[source];
        source += 1;
    }
    kinds
};

/// One of [`KINDS`]; read as a key, so that another one is shown where it stands.
struct Kind(&'static str);

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let known = KINDS.iter().find(|kind| **kind == name);
        known.map(|kind| Self(kind)).ok_or_else(|| D::Error::unknown_variant(&name, KINDS))
    }
}

struct InputVisitor;

impl<'de> Visitor<'de> for InputVisitor {
    type Value = Input;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "one of `{}` with its settings", KINDS.join("`, `"))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Input, A::Error> {
        let input = match map.next_key()? {
            Some(Kind("http")) => Input::Http(map.next_value()?),
            Some(Kind(kind)) => Input::Source(SourceConfig::read(kind, &mut map)?),
            None => return Err(A::Error::invalid_length(0, &self)),
        };
        match map.next_key::<String>()? {
            Some(second) => Err(A::Error::custom(format_args!("`{second}` is one input too many: a pipeline has one"))),
            None => Ok(input),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json};

    fn pipeline(from: &serde_json::Value) -> Result<Pipeline, String> {
        let settings = json!({ "from": from, "to": { "topic": "flights.raw", "schema": "schemas/flight.avsc", "key": "carrier" } });
        from_value(settings).map_err(|error| error.to_string())
    }

    #[test]
    fn a_push_pipeline_has_a_path_and_a_limit() {
        let Input::Http(http) = pipeline(&json!({ "http": { "path": "/flights" } })).expect("reads").from else { panic!("not http") };
        assert_eq!((http.path.as_str(), http.max_body.bytes()), ("/flights", 1_048_576));
    }

    #[test]
    fn a_source_is_named_by_its_kind() {
        let pipeline = pipeline(&json!({ "files": { "path": "in/*.csv", "null": ["NA"] } })).expect("reads");
        assert!(matches!(pipeline.from, Input::Source(SourceConfig::Files(files)) if files.null == ["NA"] && files.delimiter == ','));
    }

    #[test]
    fn a_pipeline_has_one_input_of_a_known_kind() {
        assert_eq!(pipeline(&json!({})).expect_err("none"), "invalid length 0, expected one of `http`, `files`, `query` with its settings");
        assert!(pipeline(&json!({ "ftp": {} })).expect_err("unknown").starts_with("unknown variant `ftp`"));
        let two = json!({ "files": { "path": "a.csv" }, "http": { "path": "/a" } });
        assert_eq!(pipeline(&two).expect_err("two"), "`http` is one input too many: a pipeline has one");
    }
}
