//! Under which subjects the schemas of topics are registered.

use std::collections::BTreeMap;
use std::sync::Arc;

use millrace_model::Schema;

use crate::project::{RegistryConfig, SubjectStrategy, Topic};

/// How subjects are named: by one strategy, but for topics that have their own. Cheap to clone.
///
/// The names are those of Confluent's serializers
/// (<https://docs.confluent.io/platform/current/schema-registry/fundamentals/serdes-develop/index.html#subject-name-strategy>).
#[derive(Debug, Clone, Default)]
pub struct Subjects {
    common: SubjectStrategy,
    topics: Arc<BTreeMap<String, SubjectStrategy>>,
}

/// Which part of a record a schema is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Its key.
    Key,
    /// Its value.
    Value,
}

impl Subjects {
    /// As a project declares them.
    pub fn declared(registry: &RegistryConfig, topics: &BTreeMap<String, Topic>) -> Self {
        let own = topics.iter().filter_map(|(name, topic)| Some((name.clone(), topic.subjects?)));
        Self { common: registry.subjects, topics: Arc::new(own.collect()) }
    }

    /// The subject of the schema of a part of `topic`'s records.
    pub fn of(&self, topic: &str, part: Part, schema: &Schema) -> String {
        match self.topics.get(topic).unwrap_or(&self.common) {
            SubjectStrategy::TopicName => format!("{topic}-{}", part.suffix()),
            SubjectStrategy::RecordName => schema.name(),
            SubjectStrategy::TopicRecordName => format!("{topic}-{}", schema.name()),
        }
    }
}

impl Part {
    const fn suffix(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Value => "value",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_subject_is_named_as_its_topic_says_or_else_all_do() {
        let schema = Schema::new(
            json!({"type": "record", "name": "Order", "namespace": "shop", "fields": []}),
            arrow::datatypes::Schema::empty().into(),
        );
        let topic = |strategy| Topic { subjects: Some(strategy), ..Topic::default() };
        let own = [("a", SubjectStrategy::RecordName), ("b", SubjectStrategy::TopicRecordName)];
        let topics = own.map(|(name, strategy)| (name.to_owned(), topic(strategy)));
        let subjects = Subjects::declared(&RegistryConfig::default(), &topics.into());
        let named = |topic, part| subjects.of(topic, part, &schema);
        assert_eq!([named("a", Part::Value), named("a", Part::Key)], ["shop.Order", "shop.Order"]);
        assert_eq!(named("b", Part::Key), "b-shop.Order");
        assert_eq!([named("c", Part::Value), named("c", Part::Key)], ["c-value", "c-key"]);
    }
}
