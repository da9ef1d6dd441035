//! Kafka Connect's own dead letters, of Debezium's JDBC sink: looked at, mended and replayed by `millrace dead-letters`.

use std::time::Duration;

use millrace_tests::command::said;
use millrace_tests::connect::{Connector, avro, jdbc_sink};
use millrace_tests::kafka::{self, KeyAndValue};
use millrace_tests::orders::{integer, register, text};
use millrace_tests::postgres::Warehouse;
use millrace_tests::{Project, Servers, until};
use serde_json::{Map, Value, json};

const PATIENCE: Duration = Duration::from_mins(2);

const PIPELINES: &str = r#"
topics:
  "{name}.orders": { partitions: 1, schema: order.avsc }
load:
  ours:
    from: "{name}.orders"
    to: { connection: warehouse, table: ours }
"#;

/// The connector makes a number of `amount`; Millrace takes it as it is.
const SCHEMA: &str = r#"{ "type": "record", "name": "Order", "fields": [
    { "name": "id", "type": "string" }, { "name": "amount", "type": "string" }, { "name": "pieces", "type": "int" } ] }"#;

fn order(schema: u32, id: &str, amount: &str) -> Vec<u8> {
    let mut value = [&[0], &schema.to_be_bytes()[..]].concat();
    text(&mut value, id);
    text(&mut value, amount);
    integer(&mut value, 1);
    value
}

fn sink(servers: &Servers, project: &Project) -> Value {
    let own = json!({
        "topics": project.topic("orders"),
        "insert.mode": "upsert",
        "primary.key.mode": "record_value",
        "primary.key.fields": "id",
        "key.converter": "org.apache.kafka.connect.storage.StringConverter",
        "transforms": "number",
        "transforms.number.type": "org.apache.kafka.connect.transforms.Cast$Value",
        "transforms.number.spec": "amount:int32",
        "errors.tolerance": "all",
        "errors.deadletterqueue.topic.name": project.topic("dlq"),
        "errors.deadletterqueue.topic.replication.factor": "1",
        "errors.deadletterqueue.context.headers.enable": "true",
    });
    let own: Map<String, Value> = own.as_object().expect("an object").clone();
    jdbc_sink(servers, project, "theirs").into_iter().chain(own).chain(avro(servers, "value")).collect::<Map<_, _>>().into()
}

/// A project whose connector has two dead letters: one whose amount is no number, and one that is no Avro.
struct Broken {
    servers: Servers,
    project: Project,
    warehouse: Warehouse,
    connector: Connector,
}

impl Broken {
    async fn start() -> Self {
        let servers = Servers::of_this_run();
        let project = Project::new(&servers, PIPELINES);
        project.write("order.avsc", SCHEMA);
        let warehouse = Warehouse::of(&servers, &project).await;
        let topic = project.topic("orders");
        kafka::create_topic(&servers.kafka, &topic, 1).await;
        let schema = register(&servers.registry, &topic, SCHEMA).await;
        let (good, word) = (order(schema, "a", "1"), order(schema, "b", "many"));
        let last = order(schema, "d", "4");
        let records: [KeyAndValue<'_>; 4] =
            [(Some(b"a"), Some(&good)), (Some(b"b"), Some(&word)), (Some(b"c"), Some(b"no Avro")), (Some(b"d"), Some(&last))];
        kafka::write(&servers.kafka, &topic, &records).await;
        let connector = Connector::create(&servers, project.name(), sink(&servers, &project)).await;
        let broken = Self { servers, project, warehouse, connector };
        broken.theirs(&["a|1", "d|4"]).await;
        broken
    }

    async fn theirs(&self, rows: &[&str]) {
        until(&format!("the connector's table has {rows:?}"), PATIENCE, async || {
            (self.warehouse.rows_if_any("theirs", &["id", "amount"]).await? == rows).then_some(())
        })
        .await;
    }

    fn said(&self, command: &str, arguments: &[&str]) -> String {
        let dlq = self.project.topic("dlq");
        said(&self.project, &[&["dead-letters", command, "--topic", &dlq], arguments].concat())
    }

    fn waiting(&self) -> Vec<Value> {
        self.said("list", &["--json"]).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    async fn end(self) {
        assert_eq!(self.connector.state().await, "RUNNING");
        self.connector.remove().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_of_kafka_connect_are_mended_and_replayed_into_its_topic_or_into_a_load() {
    let broken = Broken::start().await;
    let letters = broken.waiting();
    let facts: Vec<Value> = letters.iter().map(|letter| json!([letter["pipeline"], letter["stage"], letter["offset"]])).collect();
    let name = broken.project.name();
    assert_eq!(facts, [json!([name, "TRANSFORMATION", "1"]), json!([name, "VALUE_CONVERTER", "2"])], "{letters:#?}");
    let [word, no_avro] = [0, 1].map(|letter: usize| letters[letter]["id"].as_str().expect("an id").to_owned());
    let shown = broken.said("show", &[&word]);
    for part in ["org.apache.kafka.connect.errors.DataException", "TRANSFORMATION", "many", &broken.project.topic("orders")] {
        assert!(shown.contains(part), "{part} is not shown:\n{shown}");
    }
    assert!(broken.said("show", &[&no_avro]).contains("no Avro"));

    let orders = broken.project.topic("orders");
    let mended = ["--where", "value.amount = 'many'", "--patch", "amount = '2'", "--to", &orders];
    broken.said("replay", &mended);
    broken.theirs(&["a|1", "b|2", "d|4"]).await;
    let value = broken.project.write("mended.json", r#"{ "id": "c", "amount": "3", "pieces": 3 }"#);
    broken.said("replay", &[&no_avro, "--value", value.to_str().expect("a path"), "--through", "ours"]);
    assert_eq!(broken.warehouse.rows("ours", &["id", "amount", "pieces"]).await, ["c|3|3"]);

    assert_eq!(broken.waiting(), [] as [Value; 0]);
    assert!(broken.said("replay", &["--every", "--to", &orders]).contains("No dead letters to replay."));
    let records = kafka::read(&broken.servers.kafka, &orders).await;
    assert_eq!(records.last().and_then(|record| record.key.as_deref()), Some(&b"b"[..]), "the mended record keeps its key");
    assert_eq!(records.len(), 5, "records of the topic: one was mended into it");
    broken.end().await;
}
