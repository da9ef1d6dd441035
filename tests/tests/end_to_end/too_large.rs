//! Records that are larger than their topic takes: the client lets them pass, the broker does not.

use std::fs;
use std::time::Duration;

use millrace_tests::kafka::Read;
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

/// A transform whose topics take less than its client, and what went into it.
struct Narrow {
    servers: Servers,
    project: Project,
    transform: Service,
    schema: u32,
}

impl Narrow {
    async fn start() -> Self {
        let servers = Servers::of_this_run();
        let project = Project::new(&servers, PIPELINES);
        project.change(r#""${KAFKA_BROKERS}" }"#, &format!(r#""${{KAFKA_BROKERS}}", {UNCOMPRESSED}"#));
        project.write("order.avsc", SCHEMA);
        let schema = register(&servers.registry, &project.topic("orders"), SCHEMA).await;
        let transform = Service::start(&project, "transform");
        transform.ready().await;
        Self { servers, project, transform, schema }
    }

    fn order(&self, id: &str) -> Vec<u8> {
        order(self.schema, id, 1)
    }

    async fn write(&self, orders: &[Vec<u8>]) {
        let records: Vec<_> = orders.iter().map(|order| (None, Some(&order[..]))).collect();
        kafka::write(&self.servers.kafka, &self.project.topic("orders"), &records).await;
    }

    async fn read(&self, what: &str) -> Vec<Read> {
        kafka::read(&self.servers.kafka, &self.project.topic(what)).await
    }

    /// Waits until so many records have come through.
    async fn through(&self, count: usize) {
        let came = async || Some(self.read("same").await).filter(|read| read.len() >= count);
        let read = until(&format!("{count} records are transformed"), PATIENCE, came).await;
        assert_eq!(read.len(), count, "each of them once");
    }

    /// Whether a thread makes batches ready ahead.
    fn is_ahead(&self) -> bool {
        let threads = fs::read_dir(format!("/proc/{}/task", self.transform.id())).expect("the service runs");
        // A thread may end meanwhile.
        let names = threads.filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("comm")).ok());
        names.into_iter().any(|name| name.trim_end() == "ahead same")
    }
}

fn long() -> String {
    "x".repeat(60_000)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_too_large_for_its_topic_is_a_dead_letter_and_none_beside_it_is_lost_or_doubled() {
    let narrow = Narrow::start().await;
    let orders = ["ann", &long(), "ben"].map(|id| narrow.order(id));
    narrow.write(&orders).await;
    narrow.through(2).await;
    let letters = narrow.read("dead").await;
    assert_eq!(letters.len(), 1);
    let said = |name: &str| letters[0].header(&format!("millrace.error.{name}"));
    assert_eq!((said("code").as_deref(), said("stage").as_deref()), (Some("MR0207"), Some("encode")));
    assert_eq!((said("topic"), said("offset").as_deref()), (Some(narrow.project.topic("orders")), Some("1")));
    let whole = &orders[1];
    assert_eq!(said("omitted_bytes"), Some((whole.len() - (16 << 10)).to_string()));
    assert_eq!(letters[0].value.as_deref(), Some(&whole[..16 << 10]), "its topic takes no more");
    assert_eq!(narrow.transform.is("running").await["state"], "running");

    // What comes after it passes as ever.
    narrow.write(&orders[..1]).await;
    narrow.through(3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_minute_after_a_record_that_was_too_large_batches_are_made_ready_ahead_again() {
    let narrow = Narrow::start().await;
    assert!(narrow.is_ahead());
    narrow.write(&[narrow.order("ann"), narrow.order(&long())]).await;
    let letter = async || (narrow.read("dead").await.len() == 1).then_some(());
    until("the long one is a dead letter", PATIENCE, letter).await;
    narrow.through(1).await;
    assert!(!narrow.is_ahead(), "each batch is tried first");

    let mut written = 1;
    let again = async || {
        narrow.write(&[narrow.order(&format!("o{written}"))]).await;
        written += 1;
        narrow.through(written).await;
        narrow.is_ahead().then_some(())
    };
    until("the thread is there again", 2 * PATIENCE, again).await;
    narrow.write(&[narrow.order("ben")]).await;
    narrow.through(written + 1).await;
    assert_eq!(narrow.read("dead").await.len(), 1);
}
