//! The same with servers: the development broker, the development registry and SQLite; and Apache Kafka, a real registry and
//! PostgreSQL where `MILLRACE_TEST_KAFKA`, `MILLRACE_TEST_REGISTRY` and `MILLRACE_TEST_POSTGRES` name them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use millrace_connectors::{Connection, postgres};
use millrace_devkit::{broker, registry};
use millrace_model::Code;
use millrace_provision::apply::Servers;
use millrace_provision::facts::{self, SubjectFacts};
use millrace_provision::plan::Sign;
use millrace_provision::{Doomed, Options, Plan, Wanted, differences, plan};
use millrace_runtime::kafka::Cluster;
use millrace_runtime::kafka::topics::{self, Described, TopicFacts};
use millrace_runtime::project::{KafkaConfig, ProjectPath, RegistryConfig, Resilience, Secret};
use millrace_runtime::registry::{Level, Registry};
use serde_json::json;
use tempfile::TempDir;

use crate::project::{note, orders, shop, subject, topic};

/// What `MILLRACE_TEST_…` says.
pub(crate) fn variable(name: &str) -> String {
    let name = format!("MILLRACE_TEST_{name}");
    std::env::var(&name).unwrap_or_else(|_| panic!("{name} is not set; run this by `make test`"))
}

/// A name that no other test uses.
pub(crate) fn unique(what: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970").as_nanos();
    format!("{what}-{now}")
}

/// The servers of one test; they end with it.
pub(crate) struct Place {
    cluster: Cluster,
    pub(crate) registry: Registry,
    pub(crate) connections: BTreeMap<String, Connection>,
    pub(crate) name: String,
    _built_in: (Option<broker::Running>, Option<registry::Running>, TempDir),
}

impl Place {
    /// Those built in.
    pub(crate) async fn built_in() -> Self {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let broker = broker::start(broker::Config::default()).await.expect("starts");
        let registry = registry::start(registry::Config { addr: loopback, data_dir: None }).await.expect("starts");
        let folder = tempfile::tempdir().expect("a folder");
        let warehouse = Connection::embedded(&folder.path().join("warehouse.db"));
        let (brokers, url) = (broker.addr.to_string(), registry.url());
        Self::at(&brokers, &url, warehouse, (Some(broker), Some(registry), folder))
    }

    /// The real ones. A test that needs them fails without them.
    pub(crate) fn real() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self::at(&variable("KAFKA"), &variable("REGISTRY"), database(&variable("POSTGRES")), (None, None, folder))
    }

    fn at(
        brokers: &str,
        url: &str,
        warehouse: Connection,
        built_in: (Option<broker::Running>, Option<registry::Running>, TempDir),
    ) -> Self {
        let kafka = KafkaConfig { brokers: brokers.to_owned(), ..KafkaConfig::default() };
        let config = RegistryConfig { url: url.to_owned(), ..RegistryConfig::default() };
        Self {
            cluster: Cluster::new(&kafka, "provision"),
            registry: Registry::new(&config).expect("is an address"),
            connections: BTreeMap::from([("warehouse".to_owned(), warehouse)]),
            name: unique("provision"),
            _built_in: built_in,
        }
    }

    fn wanted(&self) -> Wanted {
        shop(&self.name, self.connections["warehouse"].clone())
    }

    async fn plan(&self, wanted: &Wanted, options: &Options) -> Plan {
        let facts = facts::read(wanted, &self.cluster, &self.registry).await;
        let silent: Vec<String> = facts.silent().map(ToString::to_string).collect();
        assert!(silent.is_empty(), "{silent:?}");
        plan(&differences(wanted, &facts), options)
    }

    fn servers(&self) -> Servers<'_> {
        Servers { cluster: self.cluster.clone(), registry: self.registry.clone(), connections: &self.connections }
    }

    async fn make(&self, plan: &Plan) {
        for change in &plan.changes {
            self.servers().make(change).await.unwrap_or_else(|fault| panic!("{change}: {fault}"));
        }
    }

    async fn topic(&self) -> TopicFacts {
        match topics::describe(&self.cluster, std::slice::from_ref(&self.name)).await.expect("is described").remove(&self.name) {
            Some(Described::Exists(facts)) => facts,
            other => panic!("the topic is {other:?}"),
        }
    }
}

fn database(url: &str) -> Connection {
    let (credentials, rest) = url.split_once("://").expect("a URL").1.split_once('@').expect("a user");
    let (user, password) = credentials.split_once(':').expect("a password");
    let (address, database) = rest.split_once('/').expect("a database");
    let (host, port) = address.split_once(':').expect("a port");
    Connection::Postgres(postgres::Config {
        host: host.into(),
        port: port.parse().expect("a port is a number"),
        database: database.into(),
        user: user.into(),
        password: Some(Secret::new(password)),
        tls: postgres::Tls::Prefer,
        ca: None::<ProjectPath>,
        schema: unique("provision").replace('-', "_"),
        resilience: Resilience::default(),
    })
}

/// What is missing is made; the second time nothing is to be done. What changed is altered, and told again only until it is done.
async fn a_project_is_provided_for_once(place: &Place) {
    let wanted = place.wanted();
    let first = place.plan(&wanted, &Options::default()).await;
    assert!(first.obstacles.is_empty() && first.count(Sign::Add) == first.changes.len(), "{first}");
    assert!(first.changes.len() >= 4, "topic, subject, positions and table: {first}");
    place.make(&first).await;
    let again = place.plan(&wanted, &Options::default()).await;
    assert!(again.is_empty(), "{again}");
    place.make(&first).await;
    assert!(place.plan(&wanted, &Options::default()).await.is_empty(), "a plan that is made twice does no harm");
}

async fn what_the_project_says_anew_is_altered(place: &Place) {
    let mut wanted = place.wanted();
    place.make(&place.plan(&wanted, &Options::default()).await).await;
    wanted.topics = vec![topic(&place.name, 5, &[("retention.ms", "3600000")])];
    wanted.subjects = vec![subject(&format!("{}-value", place.name), orders(&[note()]))];
    wanted.tables[0].schema = orders(&[note()]);
    let options = Options { add_partitions: BTreeSet::from([place.name.clone()]), ..Options::default() };
    let altered = place.plan(&wanted, &options).await;
    assert!(altered.obstacles.is_empty() && altered.count(Sign::Alter) == 4, "partitions, setting, version, column: {altered}");
    place.make(&altered).await;
    assert!(place.plan(&wanted, &options).await.is_empty());
    let facts = place.topic().await;
    let config = facts.config.expect("settings are seen");
    assert_eq!((facts.partitions, config["retention.ms"].as_str()), (5, "3600000"));
    let policy: BTreeSet<&str> = config["cleanup.policy"].split(',').collect();
    assert_eq!(policy, BTreeSet::from(["compact", "delete"]), "a setting that is not named stays");
}

async fn a_schema_that_does_not_follow_is_refused_with_the_field(place: &Place) {
    let mut wanted = place.wanted();
    place.make(&place.plan(&wanted, &Options::default()).await).await;
    let demanding = orders(&[json!({ "name": "note", "type": "string" })]);
    wanted.subjects = vec![subject(&format!("{}-value", place.name), demanding)];
    let facts = facts::read(&wanted, &place.cluster, &place.registry).await;
    let subject = facts.subjects.expect("the registry answers").into_values().next().expect("one subject");
    let SubjectFacts::Refuses { latest: 1, reasons, level } = subject else { panic!("{subject:?}") };
    assert_eq!(level, Some(Level::Backward));
    assert!(reasons.len() == 1 && reasons[0].contains("`note`"), "{reasons:?}");
}

async fn what_was_named_is_destroyed_and_then_gone(place: &Place) {
    let wanted = place.wanted();
    place.make(&place.plan(&wanted, &Options::default()).await).await;
    let connection = |name: &str| place.connections.get(name).cloned();
    let doomed = [Doomed::Topic(place.name.clone()), Doomed::Table { connection: "warehouse".into(), table: "orders".into() }];
    for one in &doomed {
        assert!(one.exists(&place.cluster, connection).await.expect("is looked for"), "{one:?}");
    }
    place.make(&plan(&[], &Options { doomed: doomed.to_vec(), ..Options::default() })).await;
    for one in &doomed {
        assert!(!one.exists(&place.cluster, connection).await.expect("is looked for"), "{one:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_is_provided_for_on_a_laptop() {
    a_project_is_provided_for_once(&Place::built_in().await).await;
    what_the_project_says_anew_is_altered(&Place::built_in().await).await;
    a_schema_that_does_not_follow_is_refused_with_the_field(&Place::built_in().await).await;
    what_was_named_is_destroyed_and_then_gone(&Place::built_in().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_is_provided_for_on_real_servers() {
    a_project_is_provided_for_once(&Place::real()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changed_is_altered_on_real_servers() {
    what_the_project_says_anew_is_altered(&Place::real()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_registry_refuses_what_does_not_follow() {
    a_schema_that_does_not_follow_is_refused_with_the_field(&Place::real()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn real_servers_destroy_what_was_named() {
    what_was_named_is_destroyed_and_then_gone(&Place::real()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn apache_kafka_tells_what_the_user_may_do() {
    let place = Place::real();
    place.make(&place.plan(&place.wanted(), &Options::default()).await).await;
    let allowed = place.topic().await.operations.expect("Apache Kafka tells");
    assert!(place.wanted().topics[0].operations.is_subset(&allowed), "{allowed:?}");
    assert!(topics::cluster_operations(&place.cluster).await.expect("is told").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_are_away_are_told_one_by_one() {
    let mut place = Place::built_in().await;
    let nowhere = std::net::TcpListener::bind("127.0.0.1:0").expect("binds").local_addr().expect("an address").to_string();
    place.registry =
        Registry::new(&RegistryConfig { url: format!("http://{nowhere}"), ..RegistryConfig::default() }).expect("is an address");
    let facts = facts::read(&place.wanted(), &place.cluster, &place.registry).await;
    assert_eq!(facts.silent().map(millrace_model::Fault::code).collect::<Vec<_>>(), [Code::RegistryUnavailable]);
    assert!(facts.kafka.is_ok() && facts.tables[0].is_ok());
}
