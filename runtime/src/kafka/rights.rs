//! What the user may do with consumer groups and transactional ids, asked without changing anything.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use millrace_model::{Code, Fault, Result};
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, Producer as _, ProducerContext};
use tokio::task::JoinSet;

use super::client::{Cluster, REQUEST_TIMEOUT, Troubles};
use super::fault::fault;
use super::native_admin::{self, NativeGroupFacts};
use super::topics::{Operation, Operations, asking};

/// How many transactional ids are asked about at once: each takes a client of its own.
const AT_ONCE: usize = 8;

/// Longer than any broker lets a transaction be, in milliseconds (`transaction.max.timeout.ms`; a quarter of an hour if it is not set).
const NO_TRANSACTION_IS_SO_LONG: &str = "2147483647";

/// What the user may do with each of the named consumer groups, which need not exist (KIP-430).
///
/// # Errors
/// Passing, when Kafka does not answer.
pub async fn of_groups(cluster: &Cluster, names: &[String]) -> Result<BTreeMap<String, Operations>> {
    let asked: Vec<String> = names.iter().collect::<BTreeSet<_>>().into_iter().cloned().collect();
    if asked.is_empty() {
        return Ok(BTreeMap::new());
    }
    let deadline = Instant::now() + REQUEST_TIMEOUT;
    loop {
        let facts = described(cluster, asked.clone()).await?;
        if !facts.iter().any(is_unsettled) || Instant::now() > deadline {
            return facts.into_iter().map(of_group).collect();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn described(cluster: &Cluster, names: Vec<String>) -> Result<Vec<NativeGroupFacts>> {
    asking(cluster, move |client, timeout| native_admin::describe_groups(client.client().native_ptr(), &names, timeout)).await
}

/// Whether the group's coordinator is just changing, or is not there yet because no group has ever been.
fn is_unsettled(group: &NativeGroupFacts) -> bool {
    use RDKafkaErrorCode::{CoordinatorLoadInProgress, CoordinatorNotAvailable, NotCoordinator};
    matches!(group.error, Some(NotCoordinator | CoordinatorLoadInProgress | CoordinatorNotAvailable))
}

fn of_group(NativeGroupFacts { name, error, operations }: NativeGroupFacts) -> Result<(String, Operations)> {
    let told = operations.map(|operations| operations.into_iter().collect::<BTreeSet<Operation>>());
    match error {
        None => Ok((name, told)),
        Some(RDKafkaErrorCode::GroupAuthorizationFailed) => Ok((name, Some(BTreeSet::new()))),
        // Its members are other clients, or read topics that the user may not see: that says nothing of the group.
        Some(RDKafkaErrorCode::InvalidArgument | RDKafkaErrorCode::TopicAuthorizationFailed) => Ok((name, None)),
        Some(code) => Err(fault(&format!("describing the consumer group {name}"), KafkaError::AdminOp(code))),
    }
}

/// Those of the transactional ids that the user may not write with.
///
/// No request asks for that right alone. What is sent is the one that begins transactions (`InitProducerId`), for a transaction that is longer
/// than any broker allows: Apache Kafka looks at the right first, then at the time, and refuses before it looks at the id, so that nothing
/// is made or fenced. Another broker might do otherwise: name an id that no producer has.
///
/// # Errors
/// Passing, when Kafka does not answer; for an operator, when it has no transactions.
pub async fn denied_transactions(cluster: &Cluster, ids: &[String]) -> Result<BTreeSet<String>> {
    let (mut waiting, mut denied, mut asked) = (ids.iter(), BTreeSet::new(), JoinSet::new());
    loop {
        while asked.len() < AT_ONCE
            && let Some(id) = waiting.next()
        {
            let (cluster, id) = (cluster.clone(), id.clone());
            asked.spawn_blocking(move || may_transact(&cluster, &id).map(|may| (id, may)));
        }
        let Some(answer) = asked.join_next().await else { return Ok(denied) };
        let (id, may) = answer.map_err(|error| Fault::fatal(Code::Internal, "asking Kafka panicked").because(error))??;
        if !may {
            denied.insert(id);
        }
    }
}

fn may_transact(cluster: &Cluster, id: &str) -> Result<bool> {
    let mut config = cluster.config();
    config.set("transactional.id", id).set("transaction.timeout.ms", NO_TRANSACTION_IS_SO_LONG);
    let producer: BaseProducer<Context> =
        config.create_with_context(Context::default()).map_err(|error| fault("opening a producer", error))?;
    let Err(error) = producer.init_transactions(REQUEST_TIMEOUT) else { return Ok(true) };
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::InvalidTransactionTimeout) => Ok(true),
        Some(RDKafkaErrorCode::TransactionalIdAuthorizationFailed) => Ok(false),
        _ => Err(producer.context().0.explain(&format!("asking for the right to the transactional id {id}"), error)),
    }
}

/// That of a producer whose refusal is what it is asked for: it goes to no log.
#[derive(Default)]
struct Context(Troubles);

impl ClientContext for Context {
    fn log(&self, _level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(target: "millrace::kafka", facility, "{message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.0.note(&error, reason);
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = ();

    fn delivery(&self, _result: &DeliveryResult<'_>, (): ()) {}
}
