//! Orders in a topic, good and bad, and topics of orders and of dead letters looked at.

use std::collections::BTreeMap;

use millrace_tests::kafka::{self, KeyAndValue, Read};
use millrace_tests::orders::{SCHEMA, integer, order, register};
use millrace_tests::{Project, Servers};

/// What is written to a topic of one partition, in order.
pub(crate) struct Orders {
    servers: Servers,
    topic: String,
    schema: u32,
    /// How many columns the schema has more than at first.
    grown: usize,
    /// The ids and amounts of the good ones, in their order.
    pub(crate) good: Vec<(String, i32)>,
    /// The texts of those that are no orders.
    bad: Vec<String>,
    number: i32,
}

impl Orders {
    /// The topic `orders` of the project.
    pub(crate) async fn of(servers: &Servers, project: &Project) -> Self {
        let topic = project.topic("orders");
        kafka::create_topic(&servers.kafka, &topic, 1).await;
        let schema = register(&servers.registry, &topic, SCHEMA).await;
        Self { servers: servers.clone(), topic, schema, grown: 0, good: Vec::new(), bad: Vec::new(), number: 0 }
    }

    /// Orders that come from here on have one column more.
    pub(crate) async fn grow(&mut self) {
        self.grown += 1;
        let more = (0..self.grown).map(|column| format!(r#", {{ "name": "more{column}", "type": ["null", "int"], "default": null }}"#));
        let fields = r#"{ "name": "id", "type": "string" }, { "name": "amount", "type": "int" }"#;
        let schema = format!(r#"{{ "type": "record", "name": "Order", "fields": [ {fields}{} ] }}"#, more.collect::<String>());
        self.schema = register(&self.servers.registry, &self.topic, &schema).await;
    }

    /// Writes four orders, whose ids come again after `ids` of them, and one that is none.
    pub(crate) async fn write(&mut self, ids: i32) {
        let first = self.number;
        self.number += 4;
        let orders: Vec<(String, i32)> = (first..self.number).map(|number| (format!("o{:05}", number % ids), number + 1)).collect();
        let bad = format!("no order {first}");
        let values: Vec<Vec<u8>> = orders.iter().map(|(id, amount)| self.value(id, *amount)).chain([bad.clone().into_bytes()]).collect();
        let keys = orders.iter().map(|(id, _)| Some(id.as_bytes())).chain([None]);
        let records: Vec<KeyAndValue<'_>> = keys.zip(&values).map(|(key, value)| (key, Some(value.as_slice()))).collect();
        kafka::write(&self.servers.kafka, &self.topic, &records).await;
        self.good.extend(orders);
        self.bad.push(bad);
    }

    /// Writes an order that is refused for its amount and two that wait behind it, all of one key, and one of another key.
    pub(crate) async fn write_with_one_to_park(&mut self) {
        let first = self.number;
        self.number += 4;
        let amounts = [-1 - first, 2 + first, 3 + first, 4 + first];
        let orders: Vec<(String, i32)> = amounts.map(|amount| (format!("o{:05}", amount.abs()), amount)).to_vec();
        let values: Vec<Vec<u8>> = orders.iter().map(|(id, amount)| self.value(id, *amount)).collect();
        let (key, other) = (format!("k{}", first % 3), format!("other{}", first % 3));
        let keys = [&key, &key, &key, &other];
        let records: Vec<KeyAndValue<'_>> =
            keys.iter().zip(&values).map(|(key, value)| (Some(key.as_bytes()), Some(value.as_slice()))).collect();
        kafka::write(&self.servers.kafka, &self.topic, &records).await;
        self.good.extend(orders.into_iter().map(|(id, amount)| (id, amount.abs())));
    }

    fn value(&self, id: &str, amount: i32) -> Vec<u8> {
        let mut value = order(self.schema, id, amount);
        for column in 0..self.grown {
            // The second branch of the union, and a number in it.
            value.push(2);
            integer(&mut value, column as i64);
        }
        value
    }

    /// The rows of a table that has every order, as `id|amount`.
    pub(crate) fn rows(&self) -> Vec<String> {
        self.good.iter().map(|(id, amount)| format!("{id}|{amount}")).collect()
    }

    /// The rows of a table that has the last order of each id.
    pub(crate) fn latest_rows(&self) -> Vec<String> {
        let latest: BTreeMap<&str, i32> = self.good.iter().map(|(id, amount)| (id.as_str(), *amount)).collect();
        latest.into_iter().map(|(id, amount)| format!("{id}|{amount}")).collect()
    }

    /// The texts of those that are no orders.
    pub(crate) fn bad(&self) -> &[String] {
        &self.bad
    }
}

/// The committed orders of a topic as `id|amount`, in the order of each partition.
pub(crate) async fn orders_in(servers: &Servers, topic: &str) -> Vec<String> {
    kafka::read(&servers.kafka, topic).await.iter().map(|record| shown(record.value.as_deref().unwrap_or_default())).collect()
}

/// An order's id and amount, from framed Avro whose further fields are not looked at.
fn shown(value: &[u8]) -> String {
    let (length, rest) = number(&value[5..]);
    let (id, rest) = rest.split_at(length as usize);
    format!("{}|{}", String::from_utf8_lossy(id), number(rest).0)
}

/// A number in Avro's binary encoding, and what follows it.
fn number(bytes: &[u8]) -> (i64, &[u8]) {
    let end = bytes.iter().position(|byte| byte & 0x80 == 0).expect("a number ends");
    let zigzag = bytes[..=end].iter().rev().fold(0_u64, |number, byte| number << 7 | u64::from(byte & 0x7f));
    ((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64), &bytes[end + 1..])
}

/// The committed dead letters of a topic.
pub(crate) async fn letters_in(servers: &Servers, topic: &str) -> Vec<Read> {
    kafka::read(&servers.kafka, topic).await
}

/// The values of dead letters as texts.
pub(crate) fn texts(letters: &[Read]) -> Vec<String> {
    letters.iter().map(|letter| String::from_utf8_lossy(letter.value.as_deref().unwrap_or_default()).into_owned()).collect()
}

/// The same of each identity once: who writes letters outside of a transaction may write one twice.
pub(crate) fn texts_by_identity(letters: &[Read]) -> Vec<String> {
    let identity = |letter: &Read| ["partition", "offset", "stage"].map(|name| letter.header(&format!("millrace.error.{name}")));
    let once: BTreeMap<_, &Read> = letters.iter().map(|letter| (identity(letter), letter)).collect();
    texts(&once.into_values().cloned().collect::<Vec<_>>())
}
