//! The three brokers: who leads what, and their coming and going.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use serde_json::json;

use super::scripts::{attempt, run};

const SCRIPT: &str = "kafka-cluster.sh";
const PATIENCE: Duration = Duration::from_secs(30);
/// The number of partitions of `__transaction_state`, as the script sets it.
const COORDINATED: i32 = 5;

/// The brokers' ids.
pub(crate) const BROKERS: [i32; 3] = [1, 2, 3];

/// The cluster of this run.
#[derive(Debug, Clone)]
pub(crate) struct Cluster {
    /// The brokers' own addresses, past the proxies.
    pub(crate) direct: String,
    /// Those that services go to.
    pub(crate) proxied: String,
}

/// A topic's partitions with their leaders.
pub(crate) type Leaders = BTreeMap<(String, i32), i32>;

impl Cluster {
    pub(crate) async fn of_this_run() -> Self {
        Self { direct: run(SCRIPT, &["brokers"]).await, proxied: run(SCRIPT, &["brokers", "proxied"]).await }
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

    /// Starts those brokers that are away; they serve when this returns.
    pub(crate) async fn start(&self) {
        run(SCRIPT, &["start"]).await;
    }

    /// Whether the broker's process runs.
    pub(crate) async fn runs(&self, broker: i32) -> bool {
        attempt(SCRIPT, &["pid", &broker.to_string()]).await.0
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
