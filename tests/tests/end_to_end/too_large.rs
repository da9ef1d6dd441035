//! Records that are larger than their topic takes: the client lets them pass, the broker does not.

use std::time::Duration;

use millrace_tests::orders::{SCHEMA, order, register};
use millrace_tests::{Project, Servers, Service, kafka, until};

const PATIENCE: Duration = Duration::from_mins(1);

/// Without compression: Kafka measures a batch as it is sent.
const UNCOMPRESSED: &str = "options: { compression.type: none } }";

const PIPELINES: &str = r#"
topics:
  "{name}.orders": { partitions: 1, schema: order.avsc, config: { max.message.bytes: 500000 } }
  "{name}.same": { partitions: 1, config: { max.message.bytes: 30000 } }
  "{name}.dead": { partitions: 1, config: { max.message.bytes: 30000 } }
transform:
  same:
    from: "{name}.orders"
    to: { topic: "{name}.same" }
    dead_letters: "{name}.dead"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_too_large_for_its_topic_is_a_dead_letter_and_none_beside_it_is_lost_or_doubled() {
    let servers = Servers::of_this_run();
    let project = Project::new(&servers, PIPELINES);
    project.change(r#""${KAFKA_BROKERS}" }"#, &format!(r#""${{KAFKA_BROKERS}}", {UNCOMPRESSED}"#));
    project.write("order.avsc", SCHEMA);
    let topic = project.topic("orders");
    let schema = register(&servers.registry, &topic, SCHEMA).await;
    let transform = Service::start(&project, "transform");
    transform.ready().await;
    let long = "x".repeat(60_000);
    let orders: Vec<Vec<u8>> = ["ann", &long, "ben"].iter().map(|id| order(schema, id, 1)).collect();
    let records: Vec<_> = orders.iter().map(|order| (None, Some(&order[..]))).collect();
    kafka::write(&servers.kafka, &topic, &records).await;

    let read = async |what: &str| kafka::read(&servers.kafka, &project.topic(what)).await;
    until("what is small enough is transformed", PATIENCE, async || (read("same").await.len() >= 2).then_some(())).await;
    let values: Vec<_> = read("same").await.into_iter().filter_map(|read| read.value).collect();
    assert_eq!(values.len(), 2, "each of them once");
    let letters = read("dead").await;
    assert_eq!(letters.len(), 1);
    let said = |name: &str| letters[0].header(&format!("millrace.error.{name}"));
    assert_eq!((said("code").as_deref(), said("stage").as_deref()), (Some("MR0207"), Some("encode")));
    assert_eq!((said("topic"), said("offset").as_deref()), (Some(topic.clone()), Some("1")));
    let whole = &orders[1];
    assert_eq!(said("omitted_bytes"), Some((whole.len() - (16 << 10)).to_string()));
    assert_eq!(letters[0].value.as_deref(), Some(&whole[..16 << 10]), "its topic takes no more");
    assert_eq!(transform.is("running").await["state"], "running");

    // What comes after it passes as ever.
    kafka::write(&servers.kafka, &topic, &[(None, Some(&orders[0]))]).await;
    until("the next one is transformed", PATIENCE, async || (read("same").await.len() == 3).then_some(())).await;
}
