//! Which names Kafka takes.

use millrace_model::Schema;
use serde_json::Value;

use crate::own_topics::is_own;

/// What is wrong with a topic's name, if anything (`org.apache.kafka.common.internals.Topic`).
pub(super) fn topic_fault(name: &str) -> Option<&'static str> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    match name {
        "" => Some("is empty"),
        "." | ".." => Some("is not allowed"),
        _ if is_own(name) => Some("is of Millrace's own"),
        _ if name.starts_with("__") => Some("is of Kafka's own"),
        _ if name.len() > 249 => Some("is longer than 249 characters"),
        _ if !name.chars().all(allowed) => Some("has a character other than letters, digits, `.`, `_` and `-`"),
        _ => None,
    }
}

/// What is wrong with the name of a pipeline or project, if anything. They make consumer groups, transactional ids and file names.
pub(super) fn name_fault(name: &str) -> Option<&'static str> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    match name {
        "" => Some("is empty"),
        _ if name.len() > 100 => Some("is longer than 100 characters"),
        _ if !name.chars().all(allowed) => Some("has a character other than letters, digits, `_` and `-`"),
        _ => None,
    }
}

/// The schema that steps made for `topic`, named after it. Its namespace stays, which the types in it may be named by: a name with dots
/// has one before its last dot, whatever `namespace` says (Avro 1.12, Names).
pub fn named_after(schema: &Schema, topic: &str) -> Schema {
    let mut avro = schema.avro().clone();
    if let Some((namespace, _)) = avro["name"].as_str().and_then(|name| name.rsplit_once('.')) {
        avro["namespace"] = Value::String(namespace.to_owned());
    }
    avro["name"] = Value::String(record_name(topic));
    Schema::new(avro, schema.arrow().clone())
}

/// A record name for the schema of `topic`, within what Avro takes.
pub(super) fn record_name(topic: &str) -> String {
    let name: String = topic.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("_{name}") } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec;
    use serde_json::json;

    #[test]
    fn names_that_kafka_refuses_are_found() {
        assert_eq!(topic_fault("flights.raw-2_x"), None);
        assert!(topic_fault("flights/raw").is_some());
        assert!(topic_fault(&"x".repeat(250)).is_some());
        assert!(topic_fault("..").is_some());
        assert!(topic_fault("__consumer_offsets").is_some());
        assert_eq!(topic_fault("millrace.dead-letters"), None);
        for own in ["millrace.positions", "millrace.idempotency", "millrace.gateways", "millrace.dead-letters.resolved"] {
            assert_eq!(topic_fault(own), Some("is of Millrace's own"));
        }
        assert!(name_fault("a.b").is_some());
        assert_eq!(name_fault("flights_api"), None);
    }

    #[test]
    fn a_record_that_is_named_after_its_topic_keeps_its_namespace() {
        let status = json!({ "type": "enum", "name": "Status", "symbols": ["SENT"] });
        for name in [
            json!({ "name": "shop.Order" }),
            json!({ "name": "Order", "namespace": "shop" }),
            json!({ "name": "shop.Order", "namespace": "other" }),
        ] {
            let mut avro =
                json!({ "type": "record", "fields": [{ "name": "now", "type": status }, { "name": "before", "type": "shop.Status" }] });
            avro.as_object_mut().expect("an object").extend(name.as_object().expect("an object").clone());
            let named = named_after(&codec::schema(avro).expect("a schema"), "orders.late");
            assert_eq!(named.name(), "shop.orders_late");
            codec::schema(named.avro().clone()).expect("the types in it are found");
        }
        let plain = json!({ "type": "record", "name": "Order", "fields": [{ "name": "id", "type": "long" }] });
        assert_eq!(named_after(&codec::schema(plain).expect("a schema"), "orders.late").name(), "orders_late");
    }

    #[test]
    fn a_record_is_named_after_its_topic() {
        assert_eq!(record_name("flights.delays"), "flights_delays");
        assert_eq!(record_name("2013-q1"), "_2013_q1");
    }
}
