//! What a user may do, told by Apache Kafka with lists of rights: `MILLRACE_TEST_KAFKA_GUEST_USERNAME` has those that are given to it here.

use std::path::{Path, PathBuf};
use std::process::Command;

use millrace_connectors::Connection;
use millrace_provision::facts::Facts;
use millrace_provision::{Wanted, differences, facts};
use millrace_runtime::kafka::Cluster;
use millrace_runtime::project::{KafkaConfig, ProjectPath, RegistryConfig, Secret};
use millrace_runtime::registry::Registry;

use crate::project::shop;
use crate::servers::{unique, variable};

fn guest() -> KafkaConfig {
    KafkaConfig {
        brokers: variable("KAFKA_SASL"),
        username: Some(variable("KAFKA_GUEST_USERNAME")),
        password: Some(Secret::new(variable("KAFKA_GUEST_PASSWORD"))),
        tls: true,
        ca: Some(ProjectPath::new(variable("KAFKA_SASL_CA"))),
        ..KafkaConfig::default()
    }
}

/// Runs one of Kafka's own tools as a user who may do everything.
fn kafka_tool(class: &str, arguments: &[&str]) -> String {
    let libraries = PathBuf::from(variable("JAVA_KAFKA_LIBS")).join("*");
    let mut java = Command::new("java");
    java.args(["-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp"]).arg(libraries).arg(class);
    let output = java.args(["--bootstrap-server", &variable("KAFKA")]).args(arguments).output().expect("java can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("is text")
}

fn give(rights: &[&str]) {
    let to = format!("User:{}", variable("KAFKA_GUEST_USERNAME"));
    kafka_tool("org.apache.kafka.tools.AclCommand", &[&["--add", "--allow-principal", &to], rights].concat());
}

/// The groups and transactional ids of one pipeline, whose names are its own.
struct Asked {
    wanted: Wanted,
    cluster: Cluster,
}

impl Asked {
    fn of(name: &str) -> Self {
        let whole = shop(name, Connection::embedded(Path::new("warehouse.db")));
        let wanted = Wanted { groups: whole.groups, transactions: whole.transactions, ..Wanted::default() };
        Self { wanted, cluster: Cluster::new(&guest(), "rights") }
    }

    async fn lacks(&self) -> Vec<String> {
        let registry = Registry::new(&RegistryConfig::default()).expect("is an address");
        let facts: Facts = facts::read(&self.wanted, &self.cluster, &registry).await;
        assert!(facts.kafka.is_ok(), "{:?}", facts.kafka);
        differences(&self.wanted, &facts).iter().map(|one| one.what.message()).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_to_a_group_or_to_transactional_ids_is_missed_until_it_is_given() {
    let name = unique("rights");
    let asked = Asked::of(&name);
    let group = format!("the user `User:bob` lacks Read on the consumer group `{name}.orders`");
    let transactions = format!("the user `User:bob` lacks Write on the transactional ids that begin with `{name}.orders.`");
    assert_eq!(asked.lacks().await, [group.clone(), transactions.clone()]);

    let pattern = ["--resource-pattern-type", "prefixed"];
    let (of_groups, of_ids) = (["--group", &name], ["--transactional-id", &name]);
    give(&[&["--operation", "Describe"], &of_groups[..], &of_ids, &pattern].concat());
    assert_eq!(asked.lacks().await, [group, transactions.clone()], "to see them is not to use them");

    give(&[&["--operation", "Read"], &of_groups[..], &pattern].concat());
    assert_eq!(asked.lacks().await, [transactions]);

    give(&[&["--operation", "Write"], &of_ids[..], &pattern].concat());
    assert_eq!(asked.lacks().await, [""; 0]);

    let ids = kafka_tool("org.apache.kafka.tools.TransactionsCommand", &["list"]);
    assert!(ids.contains("TransactionalId") && !ids.contains(&name), "to ask makes nothing: {ids}");
}
