//! How to reach a Kafka cluster, and what each client tells about its troubles.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, ToSocketAddrs as _, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};

use millrace_model::{Code, Fault, Result, TopicId};
use rdkafka::admin::AdminClient;
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::fault::fault;
use super::topics::cluster_operations;
use crate::budget::Budget;
use crate::project::{KafkaConfig, Latency, Resilience};
use crate::resilience::{Link, System};

/// How long a broker is given to answer an administrative request.
pub(super) const REQUEST_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(15);

/// librdkafka's default of `message.max.bytes`.
const MESSAGE_MAX_BYTES: usize = 1_000_000;
/// The bytes that librdkafka adds to a record's own when it measures it (`RD_KAFKAP_MESSAGE_V2_MAX_OVERHEAD`).
const MESSAGE_OVERHEAD: usize = 36;

/// A consumer's membership, as a transaction needs it to move the group's offsets (KIP-447).
pub struct GroupMetadata {
    pub(super) member: ConsumerGroupMetadata,
    /// Which topic the offsets are of.
    pub(super) topic: Option<TopicId>,
}

/// A Kafka cluster and the credentials for it. Cheap to clone; opens no connection by itself.
#[derive(Clone)]
pub struct Cluster {
    base: ClientConfig,
    instance: Arc<str>,
    link: Link,
    budget: Budget,
    latency: Latency,
}

/// What is known of Kafka by probes alone: librdkafka sees to everything else.
static KAFKA: System =
    System { name: "Kafka", kind: "kafka", unavailable: Code::KafkaUnavailable, connect: REQUEST_TIMEOUT, request: REQUEST_TIMEOUT };

impl Cluster {
    /// The cluster of the project file; `instance` is this process's stable name among its replicas
    /// (transactional ids are made of it).
    pub fn new(config: &KafkaConfig, instance: &str) -> Self {
        let mut base = ClientConfig::new();
        base.set("bootstrap.servers", &config.brokers).set("client.id", format!("millrace-{instance}"));
        base.set("log.connection.close", "false").set("socket.keepalive.enable", "true");
        set_security(&mut base, config);
        for (name, value) in &config.options {
            base.set(name, value.to_string());
        }
        base.set_log_level(RDKafkaLogLevel::Warning);
        let link = Resilience::without_breaker().link(&KAFKA).clone();
        Self { base, instance: instance.into(), link, budget: Budget::default(), latency: Latency::default() }
    }

    /// The same for clients of a pipeline that may take so much memory and is to be so quick.
    #[must_use]
    pub fn tuned(self, budget: Budget, latency: Latency) -> Self {
        Self { budget, latency, ..self }
    }

    /// The memory that a pipeline may take for what is in flight.
    pub fn budget(&self) -> Budget {
        self.budget
    }

    /// How soon a pipeline is to hand records on.
    pub fn latency(&self) -> Latency {
        self.latency
    }

    /// The way to the cluster, which only probes go.
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// Asks whether the cluster is there, with a connection of its own.
    pub async fn probe(&self) -> Result<()> {
        self.link.step(async { cluster_operations(self).await.map(drop) }).await
    }

    /// This process's name among its replicas.
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// As whom brokers see this user, unless they are told to name users otherwise (`principal.builder.class`); none for one who is named by a
    /// certificate.
    pub fn principal(&self) -> Option<String> {
        let has_certificate =
            ["ssl.certificate.location", "ssl.certificate.pem", "ssl.keystore.location"].iter().any(|key| self.base.get(key).is_some());
        match self.base.get("sasl.username") {
            Some(username) => Some(format!("User:{username}")),
            None if has_certificate => None,
            None => Some("User:ANONYMOUS".to_owned()),
        }
    }

    /// This machine's address on the way to the cluster: where others of the same network reach it. Asks the system for names and
    /// routes; sends nothing.
    pub fn local_address(&self) -> Option<IpAddr> {
        let brokers = self.base.get("bootstrap.servers")?;
        let broker = brokers.split(',').next()?.trim().rsplit("//").next()?;
        broker.to_socket_addrs().ok()?.find_map(|broker| {
            let any: IpAddr = if broker.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
            let socket = UdpSocket::bind((any, 0)).ok()?;
            socket.connect(broker).ok()?;
            socket.local_addr().ok().map(|address| address.ip())
        })
    }

    /// Whether a record of that key and value is one that the clients of this cluster take, by `message.max.bytes`. Its headers are not
    /// counted.
    pub fn takes(&self, key: Option<&[u8]>, value: Option<&[u8]>) -> bool {
        let length = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
        MESSAGE_OVERHEAD + length(key) + length(value) <= self.largest_record()
    }

    /// `message.max.bytes`.
    pub(super) fn largest_record(&self) -> usize {
        self.base.get("message.max.bytes").and_then(|most| most.parse().ok()).unwrap_or(MESSAGE_MAX_BYTES)
    }

    /// The settings that every client shares; options of the project file stand in it already.
    pub(super) fn config(&self) -> ClientConfig {
        self.base.clone()
    }

    /// Sets what the project file's options do not set.
    pub(super) fn defaults(&self, config: &mut ClientConfig, settings: &[(&str, &str)]) {
        for (name, value) in settings {
            if self.base.get(name).is_none() {
                config.set(*name, *value);
            }
        }
    }

    pub(super) fn admin(&self) -> Result<AdminClient<DefaultClientContext>> {
        self.base.create().map_err(|error| fault("opening an administrative client", error))
    }
}

fn set_security(client: &mut ClientConfig, config: &KafkaConfig) {
    let sasl = config.username.is_some();
    let protocol = match (sasl, config.tls) {
        (true, true) => "sasl_ssl",
        (true, false) => "sasl_plaintext",
        (false, true) => "ssl",
        (false, false) => "plaintext",
    };
    client.set("security.protocol", protocol);
    if let Some(ca) = &config.ca {
        client.set("ssl.ca.location", ca.to_string_lossy());
    }
    if let Some(username) = &config.username {
        client.set("sasl.mechanism", config.mechanism.as_str()).set("sasl.username", username);
        client.set("sasl.password", config.password.as_ref().map_or("", |password| password.reveal()));
    }
}

/// Listens to one client's troubles: librdkafka goes on trying for ever when credentials are refused, and
/// answers calls with a timeout only; the reason comes here.
#[derive(Default)]
pub(super) struct Troubles(Mutex<Option<Fault>>);

impl Troubles {
    /// The trouble to report in place of `error`, which may be no more than its echo.
    pub(super) fn explain(&self, doing: &str, error: KafkaError) -> Fault {
        self.take().unwrap_or_else(|| fault(doing, error))
    }

    /// A trouble that only an operator can mend, if one has been met.
    pub(super) fn take(&self) -> Option<Fault> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Whether one has been met that was not taken yet.
    pub(super) fn any(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Keeps a trouble for whoever takes it.
    pub(super) fn set(&self, fault: Fault) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
    }

    /// Keeps what librdkafka tells, if it is a refusal: everything else it mends itself.
    pub(super) fn note(&self, error: &KafkaError, reason: &str) {
        let Some(code) = error.rdkafka_error_code() else { return };
        if is_refusal(code) {
            let message = format!("Kafka refused the connection ({reason}); {}", Code::KafkaAuthentication.help());
            self.set(Fault::operator(Code::KafkaAuthentication, message));
        }
    }
}

fn is_refusal(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed | RDKafkaErrorCode::UnsupportedSASLMechanism
    )
}

/// A client's log line, at the level librdkafka gave it.
pub(super) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error => {
            tracing::warn!(target: "millrace::kafka", facility, "{message}");
        }
        RDKafkaLogLevel::Warning => tracing::info!(target: "millrace::kafka", facility, "{message}"),
        _ => tracing::debug!(target: "millrace::kafka", facility, "{message}"),
    }
}

/// The context of clients without callbacks of their own.
#[derive(Default)]
pub(super) struct PlainContext {
    pub(super) troubles: Troubles,
}

impl ClientContext for PlainContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.troubles.note(&error, reason);
    }
}

impl rdkafka::consumer::ConsumerContext for PlainContext {}

#[cfg(test)]
mod tests {
    use super::*;

    fn principal(config: &KafkaConfig) -> Option<String> {
        Cluster::new(config, "test").principal()
    }

    #[test]
    fn a_user_is_known_by_its_name_and_one_of_a_certificate_is_not() {
        assert_eq!(principal(&KafkaConfig { username: Some("bob".into()), ..KafkaConfig::default() }).as_deref(), Some("User:bob"));
        assert_eq!(principal(&KafkaConfig::default()).as_deref(), Some("User:ANONYMOUS"));
        let options = [("ssl.certificate.location".to_owned(), serde_json::from_str("\"bob.pem\"").expect("is a scalar"))].into();
        assert_eq!(principal(&KafkaConfig { tls: true, options, ..KafkaConfig::default() }), None);
    }
}
