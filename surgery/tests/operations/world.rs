//! A broker, a registry, a table, and the pipelines of a shop; letters are made as the services make them.

use std::collections::BTreeMap;
use std::sync::Arc;

use millrace_connectors::Connection;
use millrace_devkit::{broker, registry};
use millrace_ingest::Ingest;
use millrace_loader::service::Load;
use millrace_model::{Code, Header, Record, Records, RecordsBuilder, Rejected, Rejection, Schema, Stage};
use millrace_runtime::codec::{self, Encoder};
use millrace_runtime::dead_letters::{DeadLetter, DeadLetters, Identity};
use millrace_runtime::formats::{JsonReader, render};
use millrace_runtime::kafka::topics::{self, Declared};
use millrace_runtime::kafka::{Cluster, Outgoing, Producer, compacted};
use millrace_runtime::project::{KafkaConfig, RegistryConfig};
use millrace_runtime::registry::Registry;
use millrace_surgery::letters::{self, Letter, Topics};
use millrace_surgery::patch::Patch;
use millrace_surgery::replay::{Orders, Outcome, Way, replay};
use millrace_surgery::{Route, Theatre};
use millrace_transform::service::Transform;
use serde_json::{Value, json};

pub(crate) const RAW: &str = "orders.raw";
pub(crate) const CLEAN: &str = "orders.clean";
pub(crate) const DEAD: &str = "millrace.dead-letters";

pub(crate) struct World {
    _broker: broker::Running,
    _registry: registry::Running,
    folder: tempfile::TempDir,
    pub(crate) theatre: Theatre,
}

/// Orders: `id`, `customer`, `amount`, and a note.
pub(crate) fn schema() -> Schema {
    of_fields(&fields())
}

/// Their next version, which has a column `city` too.
pub(crate) fn later_schema() -> Schema {
    let city = json!({ "name": "city", "type": ["null", "string"], "default": null });
    of_fields(&fields().into_iter().chain([city]).collect::<Vec<_>>())
}

/// A version without `customer`, which nothing can stand in for where it is wanted.
pub(crate) fn schema_without_customers() -> Schema {
    of_fields(&fields().into_iter().filter(|field| field["name"] != "customer").collect::<Vec<_>>())
}

fn fields() -> Vec<Value> {
    vec![
        json!({ "name": "id", "type": "long" }),
        json!({ "name": "customer", "type": "string" }),
        json!({ "name": "amount", "type": "double" }),
        json!({ "name": "note", "type": ["null", "string"], "default": null }),
    ]
}

fn of_fields(fields: &[Value]) -> Schema {
    codec::schema(json!({ "type": "record", "name": "Order", "fields": fields })).expect("a schema")
}

pub(crate) fn order(id: i64, customer: &str, amount: f64) -> Value {
    json!({ "id": id, "customer": customer, "amount": amount, "note": null })
}

impl World {
    pub(crate) async fn start() -> Self {
        let broker = broker::start(broker::Config::default()).await.expect("a broker");
        let kept = registry::start(registry::Config { addr: ([127, 0, 0, 1], 0).into(), data_dir: None }).await.expect("a registry");
        let registry = Registry::new(&RegistryConfig { url: kept.url(), ..RegistryConfig::default() }).expect("a client");
        let cluster = Cluster::new(&KafkaConfig { brokers: broker.addr.to_string(), ..KafkaConfig::default() }, "test");
        registry.register(&format!("{RAW}-value"), &schema()).await.expect("registers");
        let one = |name: &str| Declared { partitions: Some(1), ..Declared::named(name) };
        topics::ensure(&cluster, &[one(RAW), one(CLEAN), one(DEAD), one("elsewhere")]).await.expect("topics");
        let folder = tempfile::tempdir().expect("a folder");
        let routes = BTreeMap::from([
            ("shop.web".to_owned(), Route::Ingest(Box::new(ingest(&json!({ "http": { "path": "/orders" } }))))),
            ("shop.files".to_owned(), Route::Ingest(Box::new(ingest(&json!({ "files": { "path": "/nowhere/*.csv" } }))))),
            ("shop.clean".to_owned(), Route::Transform(Box::new(transform()))),
            ("shop.tidy".to_owned(), Route::Transform(Box::new(into_a_declared_schema("halt")))),
            ("shop.loose".to_owned(), Route::Transform(Box::new(into_a_declared_schema("dead_letter")))),
            ("shop.table".to_owned(), Route::Load(Box::new(load(&folder)))),
        ]);
        Self { _broker: broker, _registry: kept, folder, theatre: Theatre { cluster, registry, routes } }
    }

    /// The order as framed Avro.
    pub(crate) async fn avro(&self, order: &Value) -> Vec<u8> {
        self.avro_of(&schema(), order).await
    }

    /// The order as framed Avro of a version of the schema.
    pub(crate) async fn avro_of(&self, schema: &Schema, order: &Value) -> Vec<u8> {
        let id = self.theatre.registry.register(&format!("{RAW}-value"), schema).await.expect("registers");
        let parsed = JsonReader::new(schema).expect("a reader").read(&records(RAW, 0, None, Some(order.to_string().as_bytes())));
        let columns = parsed.expect("reads").batch.columns().clone();
        Encoder::new(schema, id).expect("an encoder").encode(&columns).expect("encodes").value(0).to_vec()
    }

    /// A letter of `pipeline` for the record at `offset` of its source.
    pub(crate) fn reject(&self, pipeline: &str, stage: Stage, offset: i64, key: Option<&[u8]>, value: Option<&[u8]>) {
        let topic = match pipeline {
            "shop.web" => "http:/orders",
            "shop.files" => "file:orders.csv",
            _ => RAW,
        };
        let rejected = Rejected::new(&records(topic, offset, key, value), stage, Rejection::new(0, Code::RuleBroken, "for the test"));
        let mut producer = Producer::idempotent(&self.theatre.cluster).expect("a producer");
        DeadLetters::new(pipeline, DEAD).send(&mut producer, &[rejected]).expect("sends");
        producer.drain().expect("delivers");
    }

    /// Something else in the dead-letter topic.
    pub(crate) fn write(&self, topic: &str, value: Option<&[u8]>, headers: &[Header]) {
        let mut producer = Producer::idempotent(&self.theatre.cluster).expect("a producer");
        let topic = producer.topic(topic).expect("a topic");
        producer.send(topic, &Outgoing { value, headers, ..Outgoing::default() }).expect("sends");
        producer.drain().expect("delivers");
    }

    pub(crate) async fn letters(&self) -> Vec<Letter> {
        letters::read(&self.theatre.cluster, &Topics::OfTheProject(vec![DEAD.to_owned(), "never.made".to_owned()])).await.expect("reads")
    }

    /// Replays all letters; returns what became of each, by the offset of its record.
    pub(crate) async fn replay(&self, orders: &Orders) -> Vec<(i64, String)> {
        self.try_replay(orders).await.expect("replays")
    }

    /// The same; a fault says that another replay has taken over.
    pub(crate) async fn try_replay(&self, orders: &Orders) -> millrace_model::Result<Vec<(i64, String)>> {
        self.replay_these(self.letters().await, orders).await
    }

    /// The same of letters that were read before.
    pub(crate) async fn replay_these(&self, letters: Vec<Letter>, orders: &Orders) -> millrace_model::Result<Vec<(i64, String)>> {
        let letters = letters.into_iter().map(|letter| letter.letter).collect();
        let mut told = Vec::new();
        let tell = |letter: &DeadLetter, outcome: Outcome| told.push((letter.offset().unwrap_or(-1), word(&outcome)));
        replay(&self.theatre, letters, orders, tell).await?;
        Ok(told)
    }

    /// The orders in a topic, with their keys.
    pub(crate) async fn orders_in(&self, topic: &str) -> Vec<(Option<String>, Value)> {
        let (sender, receiver) = std::sync::mpsc::channel();
        let read = compacted::read_to_end(&self.theatre.cluster, topic, move |record| {
            sender.send((record.key.map(<[u8]>::to_vec), record.value.map(<[u8]>::to_vec))).unwrap_or_default();
        });
        read.await.expect("reads");
        let mut orders = Vec::new();
        for (key, value) in receiver {
            orders.push((key.map(|key| String::from_utf8(key).expect("text")), self.decoded(value.as_deref()).await));
        }
        orders
    }

    async fn decoded(&self, value: Option<&[u8]>) -> Value {
        let Some(value) = value else { return Value::Null };
        let mut decoder = codec::Decoder::new(&schema()).expect("a decoder");
        let records = records(RAW, 0, None, Some(value));
        millrace_runtime::input::learn(&mut decoder, &self.theatre.registry, &records).await.expect("learns");
        let decoded = decoder.decode(&records).expect("decodes");
        if decoded.batch.is_empty() {
            return String::from_utf8_lossy(value).into();
        }
        render(decoded.batch.columns()).expect("renders").remove(0)
    }

    /// The ids in the table.
    pub(crate) async fn ids_in_the_table(&self) -> Vec<i64> {
        self.column_of_the_table("id").await.into_iter().map(|id| id.expect("an id").parse().expect("a number")).collect()
    }

    /// What the table has in a column, in the order of its ids.
    pub(crate) async fn column_of_the_table(&self, column: &str) -> Vec<Option<String>> {
        let answer = connection(&self.folder).query(&format!("SELECT {column} FROM orders ORDER BY id")).await.expect("asks");
        answer.rows.into_iter().map(|mut row| row.remove(0)).collect()
    }

    /// The same in the order in which they came.
    pub(crate) async fn ids_as_they_came(&self) -> Vec<i64> {
        let answer = connection(&self.folder).query("SELECT id FROM orders ORDER BY rowid").await.expect("asks");
        answer.rows.iter().map(|row| row[0].as_deref().expect("an id").parse().expect("a number")).collect()
    }

    pub(crate) fn other_table(&self) -> std::path::PathBuf {
        self.folder.path().join("shop.db")
    }

    /// As if the load's consumer group had passed the offsets below `offset`.
    pub(crate) async fn pass(&self, offset: i64) {
        use millrace_model::{Offsets, TopicPartition};
        use millrace_runtime::kafka::{Consumer, Event, Subscription};
        let subscription = Subscription { topic: RAW.to_owned(), group: "shop.table".to_owned() };
        let mut consumer = Consumer::subscribe(&self.theatre.cluster, &subscription).expect("subscribes");
        loop {
            if let Event::Assigned(assigned) = consumer.next().await.expect("an event") {
                assigned.start_at(Offsets::from([(TopicPartition::new(RAW, 0), 0)]));
                break;
            }
        }
        let (partition, offsets) = (TopicPartition::new(RAW, 0), Offsets::from([(TopicPartition::new(RAW, 0), offset)]));
        consumer.report(&offsets).expect("reports");
        while millrace_runtime::kafka::groups::committed(
            &self.theatre.cluster,
            "shop.table",
            vec![partition.clone()],
            millrace_model::TopicIdentity::Unknown,
        )
        .await
        .expect("asks")
            != offsets
        {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        consumer.close().await;
    }
}

pub(crate) fn orders() -> Orders {
    Orders { by: "ann".to_owned(), way: Way::Own, patch: None, rate: None, again: false, unpassed: false }
}

pub(crate) fn patched(patch: &str) -> Orders {
    Orders { patch: Some(Patch::parse(patch).expect("a patch")), ..orders() }
}

pub(crate) fn identity(letter: &Letter) -> Identity {
    letter.letter.identity()
}

fn word(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Replayed { to } => format!("replayed to {to}"),
        Outcome::AlreadyThere { .. } => "there already".to_owned(),
        Outcome::Settled(mark) => format!("settled by {}", mark.by),
        Outcome::Rejected(stage, rejection) => format!("rejected at {stage}: {}", rejection.code),
        Outcome::Behind(place) => format!("behind {}", place.offset),
        Outcome::Impossible(fault) => format!("impossible: {}", fault.code()),
    }
}

fn records(topic: &str, offset: i64, key: Option<&[u8]>, value: Option<&[u8]>) -> Arc<Records> {
    let mut records = RecordsBuilder::new(topic.into(), 1);
    let header = [Header { key: "trace".into(), value: Some(b"kept".to_vec()) }];
    records.push(&Record { topic, partition: 0, offset, timestamp: 1_000 + offset, key, value, headers: &header });
    Arc::new(records.finish())
}

fn ingest(from: &Value) -> Ingest {
    let config = json!({ "from": from, "to": { "topic": RAW, "key": "customer" } });
    let config = serde_json::from_value(config).expect("a configuration");
    Ingest {
        config,
        schema: schema(),
        key: vec!["customer".into()],
        topics: Vec::new(),
        connections: millrace_connectors::Connections::new(),
        progress: millrace_ingest::Progress::default(),
    }
}

fn transform() -> Transform {
    let config = json!({ "from": RAW, "to": { "topic": CLEAN }, "steps": [
        { "validate": { "rules": [{ "range": { "column": "amount", "min": 0.0 } }] } },
        { "filter": "customer <> 'test'" },
        { "sql": "SELECT * FROM input" },
    ]});
    let config = serde_json::from_value(config).expect("a configuration");
    Transform { config, input: schema(), output: schema(), output_declared: false, key: Vec::new(), topics: Vec::new() }
}

/// Passes orders as they are, into a topic whose schema a file declares.
fn into_a_declared_schema(on_incompatible: &str) -> Transform {
    let config =
        json!({ "from": RAW, "to": { "topic": CLEAN }, "on_incompatible": on_incompatible, "steps": [{ "sql": "SELECT * FROM input" }] });
    let config = serde_json::from_value(config).expect("a configuration");
    Transform { config, input: schema(), output: schema(), output_declared: true, key: Vec::new(), topics: Vec::new() }
}

fn connection(folder: &tempfile::TempDir) -> Connection {
    Connection::embedded(&folder.path().join("shop.db"))
}

fn load(folder: &tempfile::TempDir) -> Load {
    let config = json!({ "from": RAW, "to": { "connection": "w", "table": "orders" } });
    let config: millrace_loader::config::Pipeline = serde_json::from_value(config).expect("a configuration");
    let table = config.table("shop", "table");
    Load { config, connection: connection(folder), table, schema: schema(), topics: Vec::new() }
}
