//! The three brokers: who leads what, and their coming and going.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, NewPartitions, ResourceSpecifier};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use serde_json::json;

use tokio::net::TcpStream;
use tokio::task::{JoinHandle, JoinSet};

use super::scripts::run;

const SCRIPT: &str = "kafka-cluster.sh";
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a look at something may take.
const GLANCE: Duration = Duration::from_secs(2);
/// The number of partitions of `__transaction_state`, as the script sets it.
const COORDINATED: i32 = 5;

/// The header in which a value that is no record has its name.
pub(crate) const NAME: &str = "torture-name";

/// The brokers' ids.
pub(crate) const BROKERS: [i32; 3] = [1, 2, 3];

/// The cluster of this run.
#[derive(Debug)]
pub(crate) struct Cluster {
    /// The brokers' own addresses, past the proxies.
    pub(crate) direct: String,
    /// Those that services go to.
    pub(crate) proxied: String,
    /// Brokers that come back.
    starting: Option<JoinHandle<()>>,
}

/// A topic's partitions with their leaders.
pub(crate) type Leaders = BTreeMap<(String, i32), i32>;

impl Cluster {
    pub(crate) async fn of_this_run() -> Self {
        Self { direct: run(SCRIPT, &["brokers"]).await, proxied: run(SCRIPT, &["brokers", "proxied"]).await, starting: None }
    }

    /// The port that the proxy of a broker listens on, and the one that it passes connections to.
    pub(crate) fn ports(&self, broker: i32) -> (u16, u16) {
        let place = usize::try_from(broker - 1).expect("ids begin with 1");
        let address = self.proxied.split(',').nth(place).expect("an address for each broker");
        let port: u16 = address.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
        (port, port - 10)
    }

    pub(crate) async fn kill(&self, broker: i32) {
        run(SCRIPT, &["kill", &broker.to_string()]).await;
    }

    pub(crate) async fn stop(&self, broker: i32) {
        run(SCRIPT, &["stop", &broker.to_string()]).await;
    }

    /// Begins to start those brokers that are away, while other things happen.
    pub(crate) fn begin_start(&mut self) {
        self.starting = Some(tokio::spawn(async {
            run(SCRIPT, &["start"]).await;
        }));
    }

    /// Waits until brokers that were started serve.
    pub(crate) async fn started(&mut self) {
        if let Some(starting) = self.starting.take() {
            starting.await.expect("the brokers come back");
        }
    }

    /// Whether no broker is still coming back; if one is, that.
    pub(crate) fn is_whole(&self) -> Result<(), String> {
        let coming = self.starting.as_ref().is_some_and(|starting| !starting.is_finished());
        if coming { Err("a broker is still coming back".to_owned()) } else { Ok(()) }
    }

    /// Whether the broker takes connections.
    pub(crate) async fn serves(&self, broker: i32) -> bool {
        let place = usize::try_from(broker - 1).expect("ids begin with 1");
        let address = self.direct.split(',').nth(place).expect("an address for each broker");
        TcpStream::connect(address).await.is_ok()
    }

    /// Who leads the partitions of these topics; `None` while no broker answers.
    pub(crate) async fn leaders(&self, topics: &[String]) -> Option<Leaders> {
        let (config, topics) = (self.client(), topics.to_vec());
        let asked = tokio::task::spawn_blocking(move || {
            let consumer: BaseConsumer = config.create().expect("a consumer");
            topics.iter().map(|topic| leaders_of(&consumer, topic)).collect::<Option<Vec<_>>>()
        });
        Some(asked.await.expect("asking does not panic")?.into_iter().flatten().collect())
    }

    /// The broker that coordinates the transactions of an id: the leader of its partition of `__transaction_state`
    /// (`Utils.abs(id.hashCode()) % partitions` in Kafka's `TransactionStateManager`).
    pub(crate) async fn coordinator(&self, transactional_id: &str) -> Option<i32> {
        let topic = "__transaction_state".to_owned();
        let partition = (java_hash(transactional_id) & i32::MAX) % COORDINATED;
        self.leaders(std::slice::from_ref(&topic)).await?.get(&(topic, partition)).copied()
    }

    /// Has other brokers lead these partitions: their first replica becomes the last one, and the new first ones are elected.
    pub(crate) async fn move_leaders(&self, leaders: &Leaders) {
        let partition = |((topic, partition), leader): (&(String, i32), &i32)| {
            let others = BROKERS.iter().filter(|broker| *broker != leader).chain([leader]).collect::<Vec<_>>();
            json!({ "topic": topic, "partition": partition, "replicas": others })
        };
        let plan = json!({ "version": 1, "partitions": leaders.iter().map(partition).collect::<Vec<_>>() });
        let file = std::env::temp_dir().join(format!("millrace-torture-{}.json", std::process::id()));
        std::fs::write(&file, plan.to_string()).expect("the plan is written");
        let name = file.to_str().expect("a path is text");
        let reassign = "org.apache.kafka.tools.reassign.ReassignPartitionsCommand";
        let server = ["--bootstrap-server", &self.direct];
        run(SCRIPT, &[&["tool", reassign][..], &server, &["--reassignment-json-file", name, "--execute"]].concat()).await;
        let elect = "org.apache.kafka.tools.LeaderElectionCommand";
        run(SCRIPT, &[&["tool", elect][..], &server, &["--election-type", "preferred", "--path-to-json-file", name]].concat()).await;
        std::fs::remove_file(&file).expect("the plan is removed");
    }

    /// Gives a topic partitions up to so many in all; whether the brokers did it.
    pub(crate) async fn add_partitions(&self, topic: &str, partitions: usize) -> bool {
        let admin: AdminClient<_> = self.client().create().expect("an admin client");
        let options = AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(PATIENCE));
        let added = admin.create_partitions(&[NewPartitions::new(topic, partitions)], &options).await;
        added.is_ok_and(|added| added.iter().all(Result::is_ok))
    }

    /// Whether something was written into one of these partitions.
    pub(crate) async fn written(&self, topic: &str, partitions: Range<i32>) -> bool {
        let (config, topic) = (self.client(), topic.to_owned());
        let asked = tokio::task::spawn_blocking(move || {
            let consumer: BaseConsumer = config.create().expect("a consumer");
            let end = |partition| consumer.fetch_watermarks(&topic, partition, GLANCE).map_or(0, |(_, end)| end);
            partitions.into_iter().any(|partition| end(partition) > 0)
        });
        asked.await.expect("asking does not panic")
    }

    /// How many offsets a topic has, all partitions together; none of those that are not told.
    pub(crate) async fn length(&self, topic: &str) -> i64 {
        let (config, topic) = (self.client(), topic.to_owned());
        let asked = tokio::task::spawn_blocking(move || {
            let consumer: BaseConsumer = config.create().expect("a consumer");
            let partitions = leaders_of(&consumer, &topic).unwrap_or_default().into_iter();
            partitions.map(|((_, partition), _)| consumer.fetch_watermarks(&topic, partition, GLANCE).map_or(0, |(_, end)| end)).sum()
        });
        asked.await.expect("asking does not panic")
    }

    /// Writes values under names, which are their keys and stand in the header [`NAME`]; returns the names of those that are stored. Of one whose name
    /// is not returned nobody knows.
    pub(crate) async fn produce(&self, topic: &str, values: Vec<(String, Vec<u8>)>) -> BTreeSet<String> {
        let mut config = self.client();
        config.set("enable.idempotence", "true").set("linger.ms", "20").set("message.timeout.ms", "10000");
        let producer: FutureProducer = config.create().expect("a producer");
        let mut tasks = JoinSet::new();
        for (name, value) in values {
            let (producer, topic) = (producer.clone(), topic.to_owned());
            tasks.spawn(async move {
                let headers = OwnedHeaders::new().insert(Header { key: NAME, value: Some(&name) });
                let record = FutureRecord::to(&topic).key(&name).payload(&value).headers(headers);
                producer.send(record, Duration::ZERO).await.is_ok().then_some(name)
            });
        }
        tasks.join_all().await.into_iter().flatten().collect()
    }

    /// How many replicas of a topic must be in sync for a write; the brokers' own number without one.
    pub(crate) async fn demand_in_sync(&self, topic: &str, replicas: Option<&str>) {
        let admin: AdminClient<_> = self.client().create().expect("an admin client");
        let config = AlterConfig::new(ResourceSpecifier::Topic(topic));
        let config = replicas.into_iter().fold(config, |config, replicas| config.set("min.insync.replicas", replicas));
        let options = AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(PATIENCE));
        for changed in admin.alter_configs([&config], &options).await.expect("the brokers answer") {
            changed.expect("the topic's settings are changed");
        }
    }

    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.direct).set("log_level", "0");
        config
    }
}

fn leaders_of(consumer: &BaseConsumer, topic: &str) -> Option<Vec<((String, i32), i32)>> {
    let metadata = consumer.fetch_metadata(Some(topic), PATIENCE).ok()?;
    let partitions = metadata.topics().first()?.partitions();
    Some(partitions.iter().map(|partition| ((topic.to_owned(), partition.id()), partition.leader())).collect())
}

/// `String.hashCode` of Java, for ASCII.
fn java_hash(text: &str) -> i32 {
    text.bytes().fold(0i32, |hash, byte| hash.wrapping_mul(31).wrapping_add(i32::from(byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transactional_ids_hash_as_in_java() {
        assert_eq!((java_hash("hello"), java_hash("polygenelubricants")), (99_162_322, i32::MIN));
    }
}
