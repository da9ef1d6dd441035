//! The sections of the project file that all services share.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod composition;
mod dead_letters;
mod evolution;
mod hosts;
mod key;
mod latency;
mod parked;
mod path;
mod path_or_url;
mod pulled;
mod quantity;
mod registry;
mod resilience;
mod scalar;
mod secret;
mod version;

pub use composition::{Include, Overlay};
pub use dead_letters::{DEAD_LETTERS, DeadLetterConfig};
pub use evolution::{OnIncompatible, SchemaChanges};
pub use hosts::{HostAddress, Hosts};
pub use key::Key;
pub use latency::Latency;
pub use parked::ParkedConfig;
pub use path::ProjectPath;
pub use path_or_url::PathOrUrl;
pub(super) use path_or_url::is_url;
pub use pulled::{PulledSchema, SchemaOrigin};
pub use quantity::{ByteSize, Millis};
pub use registry::{RegistryConfig, SubjectStrategy};
pub use resilience::{Balance, BreakerSettings, RateLimit, Resilience, RetrySettings, Timeouts};
pub use scalar::Scalar;
pub use secret::Secret;
pub use version::Version;

/// The pipelines of one project, and what they connect.
///
/// The file is YAML, one file or a folder of them. Any text may hold `${NAME}` or `${NAME:default}`, which is
/// replaced by the value of that environment variable after the file is parsed; `$${` is a plain `${`.
///
/// ```yaml
/// version: 1
/// name: shop
/// connections:
///   warehouse: { type: postgres, host: "${DW_HOST:localhost}", database: dw, user: loader, password: "${DW_PASSWORD:}" }
/// ingest:
///   flights_api:
///     from: { http: { path: /flights } }
///     to: { topic: flights, schema: schemas/flight.avsc, key: carrier }
/// load:
///   flights_table:
///     from: flights
///     to: { connection: warehouse, table: flights }
/// ```
// `C` is a connection; `I`, `T` and `L` are the pipelines of ingest, transform and load.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, bound = "C: Deserialize<'de>, I: Deserialize<'de>, T: Deserialize<'de>, L: Deserialize<'de>")]
#[schemars(rename = "Project")]
pub struct Project<C, I, T, L> {
    /// The version of this format: 1.
    pub version: Version,
    /// The project's name: the first part of consumer groups and transactional ids. Two projects on one Kafka need two names.
    /// Without it the name of the folder that the project is in.
    #[serde(default)]
    pub name: String,
    /// More files of the project: a path or a pattern (`*` for any part of a name, `**` for any folders), or a list of them, relative to
    /// the file that has the key and inside the project's folder. Sections may be spread over files; what a section holds is declared
    /// once.
    // Gone when the files have been put together, as profiles are.
    #[serde(default)]
    pub include: Include,
    /// Values that lie over the project's own when a command is given `--profile NAME`. Keys with values are laid over each other, lists
    /// and single values replace what was there, and null removes it. What the file `millrace.NAME.yaml` has lies over this.
    #[serde(default)]
    pub profiles: BTreeMap<String, Overlay>,
    /// How Kafka is reached.
    #[serde(default)]
    pub kafka: KafkaConfig,
    /// How the schema registry is reached.
    #[serde(default)]
    pub registry: RegistryConfig,
    /// Where services listen.
    #[serde(default)]
    pub service: ServiceConfig,
    /// Outside systems, by the name that pipelines know them by.
    #[serde(default)]
    pub connections: BTreeMap<String, C>,
    /// Topics, by name. Needed for a topic that no pipeline writes; for others it says how the topic is created.
    #[serde(default)]
    pub topics: BTreeMap<String, Topic>,
    /// Schema files that `millrace schema pull` writes, by name: `schemas/NAME.avsc` comes from a subject, a table or a query.
    #[serde(default)]
    pub schemas: BTreeMap<String, PulledSchema>,
    /// Pipelines of the ingest service, by name: from outside into topics.
    #[serde(default)]
    pub ingest: BTreeMap<String, I>,
    /// Pipelines of the transform service, by name: from topics through steps to topics.
    #[serde(default)]
    pub transform: BTreeMap<String, T>,
    /// Pipelines of the loader service, by name: from topics into tables.
    #[serde(default)]
    pub load: BTreeMap<String, L>,
}

/// How Kafka is reached.
///
/// ```yaml
/// kafka:
///   brokers: "${KAFKA_BROKERS:localhost:9092}"
///   username: millrace
///   password: "${KAFKA_PASSWORD}"
///   mechanism: SCRAM-SHA-512
///   tls: true
///   options: { linger.ms: 5 }
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Kafka")]
pub struct KafkaConfig {
    /// Brokers to start from, as `host:port` with commas between them. Without it the variable `KAFKA_BROKERS`.
    pub brokers: String,
    /// The SASL user. Without it the variable `KAFKA_USERNAME`; without either there is no authentication.
    pub username: Option<String>,
    /// The SASL password. Without it the variable `KAFKA_PASSWORD`.
    pub password: Option<Secret>,
    /// The SASL mechanism, used when there is a user.
    pub mechanism: Mechanism,
    /// Whether connections are encrypted by TLS. Without it the variable `KAFKA_SSL_ENABLED`.
    pub tls: bool,
    /// A PEM file of the certificate authorities to trust, relative to the project's folder; the system's own without it.
    pub ca: Option<ProjectPath>,
    /// Settings of librdkafka, passed through as they are. Those that exactly-once rests on are refused. librdkafka reconnects, repeats and fails
    /// over by itself: `reconnect.backoff.max.ms`, `socket.connection.setup.timeout.ms` and others say how.
    pub options: BTreeMap<String, Scalar>,
}

impl Default for KafkaConfig {
    fn default() -> Self {
        Self {
            brokers: "localhost:9092".into(),
            username: None,
            password: None,
            mechanism: Mechanism::default(),
            tls: false,
            ca: None,
            options: BTreeMap::new(),
        }
    }
}

/// A SASL mechanism (RFC 4616, RFC 5802, RFC 7677).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Mechanism {
    /// User and password in plain; only with `tls: true` outside a laptop.
    #[default]
    #[serde(rename = "PLAIN")]
    Plain,
    /// Challenge and response with SHA-256.
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    /// Challenge and response with SHA-512.
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
}

impl Mechanism {
    /// The mechanism's name as SASL and librdkafka know it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

/// Where services listen, and what a process of one may use.
///
/// ```yaml
/// service: { http: "0.0.0.0:8080", admin: "0.0.0.0:9600", memory: 512MiB, latency: low }
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Service")]
pub struct ServiceConfig {
    /// The address of the push gateway, as `ip:port`; port 0 picks a free one. Without it the variable `MILLRACE_HTTP`.
    pub http: SocketAddr,
    /// The address at which the other replicas of ingest reach this one's push gateway, as `host:port` or a URL. Without it the variable
    /// `MILLRACE_ADVERTISE`; without either the address that it listens on, or, where it listens on all, the one that leads to Kafka.
    pub advertise: Option<String>,
    /// How many partitions the topic `millrace.idempotency` is created with, and so how many replicas of ingest can share the requests
    /// with an `Idempotency-Key`. An existing topic is left as it is.
    #[schemars(range(min = 1))]
    pub idempotency_partitions: i32,
    /// The address of health and metrics, as `ip:port`; port 0 picks a free one. Without it the variable `MILLRACE_ADMIN`, and without either
    /// `127.0.0.1:9600`, where a run that ends by itself takes a free port when that one is taken.
    pub admin: Option<SocketAddr>,
    /// How much memory a process uses for what is in flight: records that wait to be taken, are being worked on, or wait to be durable, and
    /// bodies of requests. Its pipelines share it evenly, each getting 8 MiB at least. The process itself and its code take some 60 MiB besides. Without it
    /// 256 MiB, or, where the process's limit (a container's) has no room for twice that and 64 MiB, as much as it has room for.
    pub memory: Option<ByteSize>,
    /// How soon a record is handed on. A `commit_interval` of a pipeline goes before it.
    pub latency: Latency,
    /// How many connections the push gateway has at once, and never more than a third of the files that the process may open, which is
    /// told at the start; who comes later waits until one ends.
    #[schemars(range(min = 1))]
    pub max_connections: NonZeroU32,
    /// How long the head of a request to the push gateway may take to arrive, and how long a connection may stand idle between two.
    pub head_timeout: Millis,
    /// How long a service that is told to end may take to commit what it has in hand. What a server that does not answer keeps it from is given up
    /// then, and read again at the next start. Whoever tells it to end is to wait longer than that: Kubernetes waits 30 s unless it is told otherwise.
    pub shutdown_timeout: Millis,
}

impl ServiceConfig {
    /// The address of health and metrics where none is chosen.
    pub const USUAL_ADMIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9600);

    /// The address of health and metrics.
    pub fn admin(&self) -> SocketAddr {
        self.admin.unwrap_or(Self::USUAL_ADMIN)
    }
}

impl Default for ServiceConfig {
    fn default() -> Self {
        Self {
            http: SocketAddr::from(([127, 0, 0, 1], 8080)),
            advertise: None,
            idempotency_partitions: 12,
            admin: None,
            memory: None,
            latency: Latency::default(),
            max_connections: const { NonZeroU32::new(4096).expect("is not zero") },
            head_timeout: Millis::new(30_000),
            shutdown_timeout: Millis::new(25_000),
        }
    }
}

/// A topic: what its records are and how it is created when it does not exist yet.
///
/// ```yaml
/// topics:
///   customers: { schema: schemas/customer.avsc, key: id }
///   flights: { partitions: 6, replication: 3, config: { cleanup.policy: compact, retention.ms: 604800000 } }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Topic {
    /// The Avro schema file (`.avsc`) of its values, relative to the project's folder. Needed when no pipeline writes the topic.
    pub schema: Option<ProjectPath>,
    /// The column, or columns, of the record's key; used by pipelines that write the topic and name no key.
    pub key: Option<Key>,
    /// How many partitions it is created with; without it the broker's default. Services leave an existing topic as it is.
    #[schemars(range(min = 1))]
    pub partitions: Option<i32>,
    /// How many replicas it is created with; without it the broker's default.
    #[schemars(range(min = 1))]
    pub replication: Option<i32>,
    /// How its subjects in the schema registry are named; without it as `registry:` says.
    pub subjects: Option<SubjectStrategy>,
    /// Kafka's topic configuration, such as `cleanup.policy: compact`, used when it is created; `millrace apply` sets it on an existing one.
    pub config: BTreeMap<String, Scalar>,
}

/// Where a pipeline's records go in Kafka.
///
/// ```yaml
/// to: { topic: flights, schema: schemas/flight.avsc, key: [carrier, flight] }
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// The topic; it is created when it does not exist.
    pub topic: String,
    /// The Avro schema file (`.avsc`) of the values, relative to the project's folder. Without it `topics:` names the file, or,
    /// in a transform, the steps say what comes out.
    #[serde(default)]
    pub schema: Option<ProjectPath>,
    /// The column, or columns, that make the record's key. Without it a transform keeps the key of the input, and
    /// ingest writes no key unless `topics:` names one.
    #[serde(default)]
    pub key: Option<Key>,
}

/// What a crash may do to the output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// Nothing is lost and nothing doubled: output and progress are one transaction.
    #[default]
    ExactlyOnce,
    /// Nothing is lost, records may be written again after a crash: for brokers without transactions.
    AtLeastOnce,
}

/// What becomes of a record that can't be processed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// It is kept in the dead-letter topic, and the rest goes on.
    #[default]
    DeadLetter,
    /// It is kept in the dead-letter topic, and later records of its key wait behind it, in order, until its dead letter is replayed or
    /// discarded. Records without a key wait for nobody. For pipelines that read topics, with `delivery: exactly_once`.
    ParkKey,
    /// The pipeline stops at it and waits for an operator.
    Halt,
}
