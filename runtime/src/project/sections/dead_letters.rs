//! Where a pipeline's rejected records go.

use std::borrow::Cow;
use std::fmt;
use std::num::NonZeroU32;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// The dead-letter topic of pipelines that name none.
pub const DEAD_LETTERS: &str = "millrace.dead-letters";

/// Where the rejected records of a pipeline go, and how many may: the topic's name alone, or both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetterConfig {
    /// The topic.
    pub topic: String,
    /// The pipeline halts before it rejects more than so many records within a minute; `None` sets no limit.
    pub max_per_minute: Option<NonZeroU32>,
}

impl Default for DeadLetterConfig {
    fn default() -> Self {
        Self { topic: DEAD_LETTERS.to_owned(), max_per_minute: None }
    }
}

/// The dead-letter topic of a pipeline, with a quota.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "DeadLetters")]
struct WithQuota {
    /// The topic.
    topic: String,
    /// A pipeline that has to reject more records than so many within a minute halts, at the first that is too many: something is
    /// wrong with all of its input. Each instance counts for itself. A request to the push gateway that is over the quota is
    /// refused whole with 429, and the pipeline goes on.
    max_per_minute: Option<NonZeroU32>,
}

impl Default for WithQuota {
    fn default() -> Self {
        let DeadLetterConfig { topic, max_per_minute } = DeadLetterConfig::default();
        Self { topic, max_per_minute }
    }
}

struct DeadLetterVisitor;

impl<'de> Visitor<'de> for DeadLetterVisitor {
    type Value = DeadLetterConfig;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a topic's name, or `topic` and `max_per_minute`")
    }

    fn visit_str<E: Error>(self, topic: &str) -> Result<DeadLetterConfig, E> {
        Ok(DeadLetterConfig { topic: topic.to_owned(), max_per_minute: None })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<DeadLetterConfig, A::Error> {
        let WithQuota { topic, max_per_minute } = WithQuota::deserialize(MapAccessDeserializer::new(map))?;
        Ok(DeadLetterConfig { topic, max_per_minute })
    }
}

impl<'de> Deserialize<'de> for DeadLetterConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DeadLetterVisitor)
    }
}

/// For the default in the reference: without a quota it is the topic alone.
impl Serialize for DeadLetterConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.max_per_minute {
            None => serializer.serialize_str(&self.topic),
            Some(most) => serde_json::json!({ "topic": self.topic, "max_per_minute": most }).serialize(serializer),
        }
    }
}

impl JsonSchema for DeadLetterConfig {
    fn schema_name() -> Cow<'static, str> {
        "DeadLetterConfig".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "type": "string" }, generator.subschema_for::<WithQuota>()] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json};

    #[test]
    fn dead_letters_are_a_topic_alone_or_one_with_a_quota() {
        let config = |value| from_value::<DeadLetterConfig>(value).map_err(|error| error.to_string());
        assert_eq!(config(json!("orders.dead")).expect("a name").topic, "orders.dead");
        let quota = config(json!({ "max_per_minute": 60 })).expect("a quota");
        assert_eq!((quota.topic.as_str(), quota.max_per_minute), (DEAD_LETTERS, NonZeroU32::new(60)));
        assert!(config(json!({ "max_per_minute": 0 })).is_err());
        assert!(config(json!({ "max_per_hour": 1 })).expect_err("unknown").contains("max_per_hour"));
    }
}
