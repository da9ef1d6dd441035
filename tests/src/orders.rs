//! Records that a test writes by itself, past ingest: orders of a text `id` and a number `amount`.

use reqwest::Client;
use serde_json::{Value, json};

/// The Avro schema of an order.
pub const SCHEMA: &str = r#"{ "type": "record", "name": "Order", "fields": [
    { "name": "id", "type": "string" }, { "name": "amount", "type": "int" } ] }"#;

/// The schema that orders have later: with a note, which readers of the first one pass over.
pub const LATER: &str = r#"{ "type": "record", "name": "Order", "fields": [
    { "name": "id", "type": "string" }, { "name": "amount", "type": "int" },
    { "name": "note", "type": "string", "default": "" } ] }"#;

/// Registers a schema as the one of a topic's values; returns its id.
pub async fn register(registry: &str, topic: &str, schema: &str) -> u32 {
    register_subject(registry, &format!("{topic}-value"), schema).await
}

/// Registers a schema under a subject; returns its id.
pub async fn register_subject(registry: &str, subject: &str, schema: &str) -> u32 {
    let request = Client::new().post(format!("{registry}/subjects/{subject}/versions")).json(&json!({ "schema": schema }));
    let answer: Value = request.send().await.expect("the registry answers").json().await.expect("the answer is JSON");
    let id = answer["id"].as_u64().unwrap_or_else(|| panic!("the registry did not take the schema: {answer}"));
    u32::try_from(id).expect("an id has 32 bits")
}

/// An order as the value of a record: Confluent-framed Avro of [`SCHEMA`], registered as `schema`.
pub fn order(schema: u32, id: &str, amount: i32) -> Vec<u8> {
    let mut value = [&[0], &schema.to_be_bytes()[..]].concat();
    text(&mut value, id);
    integer(&mut value, i64::from(amount));
    value
}

/// An order of [`LATER`], registered as `schema`.
pub fn later_order(schema: u32, id: &str, amount: i32) -> Vec<u8> {
    let mut value = order(schema, id, amount);
    text(&mut value, "later");
    value
}

/// Appends a text in Avro's binary encoding.
pub fn text(value: &mut Vec<u8>, text: &str) {
    integer(value, text.len() as i64);
    value.extend_from_slice(text.as_bytes());
}

/// Appends a number in Avro's binary encoding: zigzag, seven bits to a byte, the lowest first.
pub fn integer(value: &mut Vec<u8>, number: i64) {
    let mut rest = ((number << 1) ^ (number >> 63)) as u64;
    while rest >= 0x80 {
        value.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    value.push(rest as u8);
}
