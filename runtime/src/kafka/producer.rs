//! Producing: records into a transaction, and the transaction's end together with the offsets that it covers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};

use millrace_model::{Code, Fault, Header, Offsets, Result, TopicId};
use rdkafka::TopicPartitionList;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, DeliveryResult, Producer as _, ProducerContext, PurgeConfig};
use rdkafka::topic_partition_list::Offset;
use rdkafka::{ClientConfig, ClientContext, config::RDKafkaLogLevel};

use super::client::{Cluster, GroupMetadata, Troubles, log};
use super::groups::note_of;
use super::native::{NativeTopic, connect, flush, produce};
use crate::crash_point::{KAFKA_COMMIT_AFTER, KAFKA_COMMIT_BEFORE, KAFKA_OFFSETS_AFTER, KAFKA_OFFSETS_BEFORE};

/// How long Kafka keeps a transaction that its producer has left; also the longest that a record may wait for its delivery.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(15);
/// How long one request of a transaction's protocol may take before the pipeline starts over.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// How long offsets may take on their way into a transaction; beyond it Kafka has given the transaction up.
const OFFSETS_TIMEOUT: Duration = TRANSACTION_TIMEOUT.saturating_add(Duration::from_secs(5));
/// How long a first connection is waited for.
const CONNECT: Duration = Duration::from_secs(1);
/// How long a wait rests between two looks. (The poll of rust-rdkafka with a time to wait spins through the last part of each millisecond.)
const REST: Duration = Duration::from_micros(500);
/// How soon a transaction may follow another. Kafka answers a commit first, and writes its markers afterwards, for which a broker nearby takes two to four milliseconds;
/// as long as it does, it refuses the next transaction, and librdkafka (2.12) asks again no sooner than 20 ms later.
const SETTLING: Duration = Duration::from_millis(4);
/// How long a flush goes on before failures, which don't end it, are looked at.
const FLUSH: Duration = Duration::from_millis(50);

/// A record on its way out.
#[derive(Debug, Default, Clone, Copy)]
pub struct Outgoing<'a> {
    /// The partition; `None` leaves it to the key: where Java's default partitioner puts it (murmur2), any one when there is no key.
    pub partition: Option<i32>,
    /// The key, byte for byte.
    pub key: Option<&'a [u8]>,
    /// The value; `None` makes a tombstone.
    pub value: Option<&'a [u8]>,
    /// Milliseconds since the epoch; 0 means now.
    pub timestamp: i64,
    /// Headers in their order.
    pub headers: &'a [Header],
    /// More headers, after those.
    pub said: &'a [(&'a str, &'a [u8])],
    /// A trace context that takes the place of the one in `headers`.
    pub traceparent: Option<&'a str>,
}

/// A topic that a producer writes to: an index into the producer that made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Topic(usize);

/// A producer with `acks=all` and idempotence, transactional where it is made so.
///
/// Every call blocks: it belongs on a pipeline's own thread. After a fault it is to be dropped; a new one of the
/// same transactional id ends what this one left open.
pub struct Producer {
    // Dropped in this order: librdkafka wants topics gone before their client.
    topics: Vec<(Box<str>, NativeTopic)>,
    client: Arc<BaseProducer<Context>>,
    config: ClientConfig,
    in_transaction: bool,
    /// When the last transaction ended.
    ended: Option<Instant>,
}

impl Producer {
    /// A transactional producer. Its start ends a predecessor of the same id: fences it, and aborts what it left
    /// open (KIP-98), before this call returns.
    pub fn transactional(cluster: &Cluster, transactional_id: &str) -> Result<Self> {
        let timeout = TRANSACTION_TIMEOUT.as_millis().to_string();
        let producer = Self::new(cluster, &[("transactional.id", transactional_id), ("transaction.timeout.ms", &timeout)])?;
        producer.start()?;
        Ok(producer)
    }

    fn start(&self) -> Result<()> {
        // librdkafka looks for its coordinator once, and again half a second later if no broker was connected by then.
        connect(self.client.client().native_ptr(), CONNECT);
        let started = self.client.init_transactions(CALL_TIMEOUT);
        self.checked("starting transactions", started)
    }

    /// A producer without transactions.
    pub fn idempotent(cluster: &Cluster) -> Result<Self> {
        Self::new(cluster, &[])
    }

    fn new(cluster: &Cluster, extra: &[(&str, &str)]) -> Result<Self> {
        let mut config = cluster.config();
        let timeout = TRANSACTION_TIMEOUT.as_millis().to_string();
        let budget = cluster.budget();
        let kbytes = budget.sent_bytes().max(cluster.largest_record() as u64 * 2).div_ceil(1024).to_string();
        let messages = budget.sent_records().to_string();
        cluster.defaults(
            &mut config,
            &[
                ("message.timeout.ms", &timeout),
                ("compression.type", "lz4"),
                ("linger.ms", cluster.latency().linger_ms()),
                ("queue.buffering.max.messages", &messages),
                ("queue.buffering.max.kbytes", &kbytes),
                ("batch.num.messages", "10000"),
                // How soon keys go to partitions that were added.
                ("topic.metadata.refresh.interval.ms", "30000"),
            ],
        );
        // What the contracts rest on is set last: options can't undo it.
        config.set("enable.idempotence", "true").set("acks", "all").set("partitioner", "murmur2_random");
        // Reports of success are not needed, as a commit waits until nothing is in flight; per record they cost as much as the record.
        config.set("delivery.report.only.error", "true");
        for (name, value) in extra {
            config.set(*name, *value);
        }
        Ok(Self { topics: Vec::new(), client: open(&config)?, config, in_transaction: false, ended: None })
    }

    /// The topic of that name, to send to.
    pub fn topic(&mut self, name: &str) -> Result<Topic> {
        if let Some(index) = self.topics.iter().position(|(known, _)| **known == *name) {
            return Ok(Topic(index));
        }
        let native = NativeTopic::new(self.client.client().native_ptr(), name)?;
        self.topics.push((name.into(), native));
        Ok(Topic(self.topics.len() - 1))
    }

    /// Begins a transaction, unless one is open.
    pub fn begin(&mut self) -> Result<()> {
        if !self.in_transaction {
            self.settle();
            let begun = self.client.begin_transaction();
            self.checked("beginning a transaction", begun)?;
            self.in_transaction = true;
        }
        Ok(())
    }

    /// When Kafka is likely to be done with the last transaction, if there was one; to begin another waits until then. Who gathers records for it may go on
    /// gathering so long.
    pub fn settled_at(&self) -> Option<Instant> {
        self.ended.map(|ended| ended + SETTLING)
    }

    fn settle(&self) {
        if let Some(settled) = self.settled_at() {
            thread::sleep(settled.saturating_duration_since(Instant::now()));
        }
    }

    /// Sends a record; it is accepted, not yet durable. Waits while the queue is full.
    pub fn send(&self, topic: Topic, record: &Outgoing<'_>) -> Result<()> {
        let (name, native) = &self.topics[topic.0];
        // The time is asked for only when there is something to wait for: this runs for each record.
        let mut deadline = None;
        loop {
            match produce(self.client.client().native_ptr(), native, record) {
                Ok(()) => return Ok(()),
                Err(RDKafkaErrorCode::QueueFull)
                    if Instant::now() < *deadline.get_or_insert_with(|| Instant::now() + TRANSACTION_TIMEOUT) =>
                {
                    self.client.poll(Duration::ZERO);
                    thread::sleep(REST);
                }
                Err(code) => return self.checked(&format!("sending to topic {name}"), Err(KafkaError::MessageProduction(code))),
            }
        }
    }

    /// Serves what librdkafka has to tell; to be called now and then while sending.
    pub fn poll(&self) {
        self.client.poll(Duration::ZERO);
    }

    /// Waits until every record sent is durable; a fault if any is not.
    pub fn drain(&self) -> Result<()> {
        self.until_none_is_in_flight(|| flush(self.client.client().native_ptr(), FLUSH))?;
        self.client.context().failed_delivery().map_or(Ok(()), Err)
    }

    fn until_none_is_in_flight(&self, wait: impl Fn()) -> Result<()> {
        let deadline = Instant::now() + CALL_TIMEOUT;
        self.client.poll(Duration::ZERO);
        while self.client.in_flight_count() > 0 {
            wait();
            self.client.poll(Duration::ZERO);
            if Instant::now() > deadline {
                return self.checked("waiting for deliveries", Err(KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut)));
            }
        }
        Ok(())
    }

    /// Commits the transaction: what was sent becomes visible, at once and together.
    pub fn commit(&mut self) -> Result<()> {
        self.drain()?;
        KAFKA_COMMIT_BEFORE.reached()?;
        self.retried("committing a transaction", |client| client.commit_transaction(CALL_TIMEOUT))?;
        self.has_ended();
        KAFKA_COMMIT_AFTER.reached()
    }

    /// Commits the transaction, and moves the consumer group to `offsets` in it. Fails if the group has given the partitions to another member since (KIP-447).
    pub fn commit_with_offsets(&mut self, offsets: &Offsets, group: GroupMetadata) -> Result<()> {
        self.drain()?;
        let list = partition_list(offsets, group.topic)?;
        KAFKA_OFFSETS_BEFORE.reached()?;
        self.add_offsets(list, group)?;
        KAFKA_OFFSETS_AFTER.reached()?;
        self.commit()
    }

    /// Adds offsets to the transaction, on a thread that may be left behind: librdkafka (2.12) waits without end for a coordinator that has left the
    /// cluster (<https://github.com/confluentinc/librdkafka/issues/5456>, <https://github.com/confluentinc/librdkafka/issues/5511>). The
    /// thread keeps the client, whose end would wait as well; the next producer of the id fences it.
    fn add_offsets(&self, offsets: TopicPartitionList, group: GroupMetadata) -> Result<()> {
        let (client, (done, answer)) = (Arc::clone(&self.client), sync_channel(1));
        let add = move || {
            let added = retried(&client, |client| client.send_offsets_to_transaction(&offsets, &group.member, CALL_TIMEOUT));
            // Nobody waits any more for what comes too late.
            done.send(added).ok();
        };
        let doing = "adding offsets to a transaction";
        let started = thread::Builder::new().name("offsets".to_owned()).spawn(add);
        started.map_err(|error| Fault::passing(Code::Io, "starting a thread failed").because(error))?;
        match answer.recv_timeout(OFFSETS_TIMEOUT) {
            Ok(added) => self.checked(doing, added),
            Err(_) => Err(Fault::passing(Code::KafkaUnavailable, format!("{doing} has no answer after {OFFSETS_TIMEOUT:?}"))),
        }
    }

    /// Ends the transaction, if one is open, so that nothing of it is ever visible.
    pub fn abort(&mut self) -> Result<()> {
        if self.in_transaction {
            self.forget_records()?;
            self.retried("aborting a transaction", |client| client.abort_transaction(CALL_TIMEOUT))?;
            self.has_ended();
            if self.client.context().out_of_sequence.load(Ordering::Relaxed) {
                self.renew()?;
            }
        }
        Ok(())
    }

    fn has_ended(&mut self) {
        self.in_transaction = false;
        self.ended = Some(Instant::now());
    }

    /// Takes a new client in the place of this one. librdkafka (2.12) goes on counting behind records that were refused as too large, and the broker takes
    /// nothing of the next transaction, because it misses them.
    fn renew(&mut self) -> Result<()> {
        let topics = std::mem::take(&mut self.topics);
        let names: Vec<Box<str>> = topics.into_iter().map(|(name, _)| name).collect();
        self.client = open(&self.config)?;
        names.iter().try_for_each(|name| self.topic(name).map(drop))?;
        self.start()
    }

    /// Gives up the records that have not been delivered. librdkafka aborts only after their reports were taken, which its call
    /// does not do by itself.
    fn forget_records(&self) -> Result<()> {
        self.client.purge(PurgeConfig::default().queue().inflight());
        // Each of them is reported as failed: there is something to poll for all the time.
        self.until_none_is_in_flight(|| thread::sleep(REST))?;
        self.client.context().failed_delivery();
        Ok(())
    }

    fn retried(&self, doing: &str, call: impl Fn(&BaseProducer<Context>) -> Result<(), KafkaError>) -> Result<()> {
        self.checked(doing, retried(&self.client, call))
    }

    fn checked<T>(&self, doing: &str, result: Result<T, KafkaError>) -> Result<T> {
        result.map_err(|error| {
            self.client.poll(Duration::ZERO);
            self.client.context().troubles.explain(doing, error)
        })
    }
}

fn open(config: &ClientConfig) -> Result<Arc<BaseProducer<Context>>> {
    let opened = config.create_with_context(Context::default());
    opened.map(Arc::new).map_err(|error| super::fault::fault("opening a producer", error))
}

/// Repeats a call for as long as librdkafka says that the same call may still succeed.
fn retried(client: &BaseProducer<Context>, call: impl Fn(&BaseProducer<Context>) -> Result<(), KafkaError>) -> Result<(), KafkaError> {
    let deadline = Instant::now() + CALL_TIMEOUT;
    loop {
        match call(client) {
            Err(KafkaError::Transaction(error)) if error.is_retriable() && Instant::now() < deadline => {
                client.poll(Duration::ZERO);
            }
            result => return result,
        }
    }
}

/// `offsets` in librdkafka's form, with a note of the topic that they are of.
pub(super) fn partition_list(offsets: &Offsets, topic: Option<TopicId>) -> Result<TopicPartitionList> {
    let mut list = TopicPartitionList::with_capacity(offsets.len());
    for (partition, &offset) in offsets {
        list.add_partition_offset(&partition.topic, partition.partition, Offset::Offset(offset))
            .map_err(|error| super::fault::fault("naming an offset", error))?;
    }
    if let Some(note) = topic.map(note_of) {
        list.elements().iter_mut().for_each(|element| element.set_metadata(&note));
    }
    Ok(list)
}

/// What the producer's client tells: refused credentials, and records that were not delivered.
#[derive(Default)]
struct Context {
    troubles: Troubles,
    failed: std::sync::Mutex<Option<Fault>>,
    /// Records have numbers that the broker has not seen.
    out_of_sequence: AtomicBool,
}

impl Context {
    fn failed_delivery(&self) -> Option<Fault> {
        self.failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take()
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.troubles.note(&error, reason);
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, message)) = result {
            let topic = rdkafka::Message::topic(message);
            let fault = match error.rdkafka_error_code() {
                Some(RDKafkaErrorCode::MessageSizeTooLarge) => {
                    self.out_of_sequence.store(true, Ordering::Relaxed);
                    let message = format!("a record for topic {topic} was not taken; {}", Code::KafkaTooLarge.help());
                    Fault::operator(Code::KafkaTooLarge, message)
                }
                _ => super::fault::fault(&format!("delivering to topic {topic}"), error.clone()),
            };
            self.failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get_or_insert(fault);
        }
    }
}

#[cfg(test)]
mod tests {
    use millrace_model::{Retry, TopicPartition};
    use rdkafka::consumer::{BaseConsumer, Consumer as _};
    use rdkafka::mocking::{MockCluster, MockCoordinator};

    use super::*;
    use crate::project::KafkaConfig;

    const PATIENCE: Duration = Duration::from_mins(1);

    fn member_of(group: &str, brokers: &str) -> GroupMetadata {
        let mut config = ClientConfig::new();
        let consumer: BaseConsumer = config.set("bootstrap.servers", brokers).set("group.id", group).create().expect("a consumer");
        consumer.subscribe(&["in"]).expect("subscribes");
        let deadline = Instant::now() + PATIENCE;
        while consumer.assignment().expect("asks").count() == 0 {
            assert!(Instant::now() < deadline, "nothing is assigned");
            consumer.poll(Duration::from_millis(50));
        }
        GroupMetadata { member: consumer.group_metadata().expect("is a member"), topic: None }
    }

    /// librdkafka's own mock: a coordinator that leaves in the middle of a transaction and never comes again can't be had of a real cluster at will.
    #[test]
    fn a_commit_whose_group_has_lost_its_coordinator_ends_with_a_fault() {
        let mock = MockCluster::new(2).expect("a cluster");
        for topic in ["in", "out"] {
            mock.create_topic(topic, 1, 2).expect("a topic");
            mock.partition_leader(topic, 0, Some(2)).expect("has a leader");
        }
        mock.coordinator(MockCoordinator::Group("g".to_owned()), 1).expect("the group has a coordinator");
        mock.coordinator(MockCoordinator::Transaction("tx".to_owned()), 2).expect("so has the transaction");
        let group = member_of("g", &mock.bootstrap_servers());
        let config = KafkaConfig { brokers: mock.bootstrap_servers(), ..KafkaConfig::default() };
        let mut producer = Producer::transactional(&Cluster::new(&config, "p"), "tx").expect("opens");
        let out = producer.topic("out").expect("a topic");
        producer.begin().expect("begins");
        producer.send(out, &Outgoing { value: Some(b"never seen"), ..Outgoing::default() }).expect("sends");
        producer.drain().expect("delivers");

        mock.broker_down(1).expect("goes");
        let began = Instant::now();
        let offsets = Offsets::from([(TopicPartition::new("in", 0), 1)]);
        let fault = producer.commit_with_offsets(&offsets, group).expect_err("nobody takes the offsets");
        assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
        assert_eq!((fault.code(), fault.retry()), (Code::KafkaUnavailable, Retry::BackOff), "{fault}");
        drop(producer);
        assert!(began.elapsed() < PATIENCE, "nobody waits for its client");
    }
}
