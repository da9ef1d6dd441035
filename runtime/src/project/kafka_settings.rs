//! What can be wrong with the `kafka` section beyond its shape.

use millrace_model::Code;

use super::document::Document;
use super::finding::Finding;
use super::findings::Findings;
use super::kind::Kind;
use super::sections::KafkaConfig;

/// Options that have a key of their own, and that key.
const OWN_KEYS: &[(&str, &str)] = &[
    ("bootstrap.servers", "brokers"),
    ("metadata.broker.list", "brokers"),
    ("sasl.username", "username"),
    ("sasl.password", "password"),
    ("sasl.mechanism", "mechanism"),
    ("sasl.mechanisms", "mechanism"),
    ("security.protocol", "tls"),
    ("ssl.ca.location", "ca"),
];

/// Options that exactly-once rests on: Millrace sets them.
const RESERVED: &[&str] = &[
    "acks",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.gapless.guarantee",
    "enable.idempotence",
    "enable.partition.eof",
    "group.id",
    "group.instance.id",
    "isolation.level",
    "max.in.flight",
    "max.in.flight.requests.per.connection",
    "partition.assignment.strategy",
    "partitioner",
    "request.required.acks",
    "transactional.id",
];

/// What is wrong with a broker's address, if anything: librdkafka takes the host alone too.
fn broker_fault(broker: &str) -> Option<&'static str> {
    let port = broker.rsplit_once(':').map(|(_, port)| port).filter(|_| !broker.ends_with(']'));
    match port {
        _ if broker.starts_with("http://") || broker.starts_with("https://") => Some("is the address of a web server"),
        _ if broker.contains(char::is_whitespace) => Some("has a blank in it: brokers are separated by commas"),
        Some(port) if port.parse::<u16>().is_err() => Some("has no number for its port"),
        _ => None,
    }
}

pub(super) fn check(kafka: &KafkaConfig, document: &Document, findings: &mut Findings) {
    let mut error = |key: &str, message: String, help: String| {
        let place = document.locate(["kafka"].into_iter().chain(key.split('/')));
        findings.push(Finding::error(Code::ProjectSyntax, message).kind(Kind::Settings).help(help).at(place));
    };
    if kafka.brokers.trim().is_empty() {
        error("brokers", "expected brokers as host:port, found nothing".into(), "set `brokers:` or KAFKA_BROKERS".into());
    }
    for broker in kafka.brokers.split(',').map(str::trim).filter(|broker| !broker.is_empty()) {
        if let Some(fault) = broker_fault(broker) {
            error("brokers", format!("the broker `{broker}` {fault}"), "write each as host:port, such as localhost:9092".into());
        }
    }
    if kafka.username.is_some() && kafka.password.is_none() {
        error("username", "there is a username and no password".into(), "set `password:` or KAFKA_PASSWORD".into());
    }
    for name in kafka.options.keys() {
        let own = OWN_KEYS.iter().find(|(option, _)| option == name);
        if let Some((_, key)) = own {
            error(&format!("options/{name}"), format!("`{name}` has a key of its own"), format!("use `{key}:` under `kafka:`"));
        } else if RESERVED.contains(&name.as_str()) {
            let help = "Millrace sets it: exactly-once rests on it".into();
            error(&format!("options/{name}"), format!("`{name}` can't be set"), help);
        }
    }
}
