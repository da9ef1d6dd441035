//! Consuming: one membership of a consumer group, on a thread of its own.
//!
//! ```text
//!  librdkafka ──poll──► thread: RecordsBuilder ──channel of 1──► the pipeline's loop
//!                          │  rebalance: Assigned / Revoked, in order with the records;
//!                          └─ waits for the loop's answer before the partitions change hands
//! ```
//!
//! A batch is handed out as soon as the loop can take it: small when records trickle, up to
//! [`BATCH_RECORDS`] when they pour. While the loop is busy for long (a target is away) the partitions are paused
//! and the thread goes on polling, so that the group keeps its member.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use millrace_model::{Code, Fault, Header, Offsets, Record, Records, RecordsBuilder, Result, TopicPartition};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::topic_partition_list::Offset;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, TopicPartitionList, config::RDKafkaLogLevel};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::client::{Cluster, GroupMetadata, REQUEST_TIMEOUT, Troubles, log};
use super::producer::partition_list;

/// The most records that one batch has.
pub(super) const BATCH_RECORDS: usize = 4096;
/// The most bytes of values that one batch has, give or take one record.
const BATCH_BYTES: usize = 4 << 20;
/// How long the loop may leave a full batch standing before the partitions are paused.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long one poll waits for a record.
const POLL: Duration = Duration::from_millis(50);

/// What a consumer reads, and as whom.
#[derive(Debug, Clone)]
pub struct Subscription {
    /// The topic.
    pub topic: String,
    /// The consumer group.
    pub group: String,
}

/// What a consumer has to tell, in the order in which it happened.
#[derive(Debug)]
pub enum Event {
    /// Records in the order of their partitions, committed ones only.
    Records(Arc<Records>),
    /// Partitions have come; reading them starts when this is answered.
    Assigned(Assigned),
    /// Partitions go; they are another member's as soon as this is answered or dropped.
    Revoked(Revoked),
}

/// Partitions that have come to this member.
#[derive(Debug)]
pub struct Assigned {
    /// Which.
    pub partitions: Vec<TopicPartition>,
    reply: SyncSender<Start>,
}

/// Where an assignment starts.
#[derive(Debug)]
enum Start {
    Committed,
    At(Offsets),
}

impl Assigned {
    /// Starts at the group's committed offsets; at the beginning where there are none.
    pub fn resume(self) {
        self.answer(Start::Committed);
    }

    /// Starts at `offsets`; at the beginning where there are none.
    pub fn start_at(self, offsets: Offsets) {
        self.answer(Start::At(offsets));
    }

    fn answer(self, start: Start) {
        // The consumer may have been closed meanwhile; then there is nothing to start.
        self.reply.send(start).ok();
    }
}

impl Revoked {
    /// What a loop ends with when partitions were lost.
    pub fn lost_fault() -> Fault {
        Fault::passing(Code::KafkaFenced, "the group gave the partitions away; what was not committed is read again")
    }
}

/// Partitions that go to another member. Dropping it lets them go.
#[derive(Debug)]
pub struct Revoked {
    /// Which.
    pub partitions: Vec<TopicPartition>,
    /// They have gone already (the session timed out): what was read of them can't be committed any more.
    pub lost: bool,
    _reply: SyncSender<()>,
}

/// A member of a consumer group. Dropping it leaves the group without waiting; [`Consumer::close`] waits.
pub struct Consumer {
    // Dropped in this order, as in `close`.
    client: Arc<BaseConsumer<Context>>,
    events: mpsc::Receiver<Result<Event>>,
    thread: JoinHandle<()>,
}

impl Consumer {
    /// Joins the group. Reads committed records only; takes part in cooperative rebalances as a static member
    /// (`group.instance.id` is made of the cluster's instance), so that a restart moves no partitions.
    ///
    /// Must be called within a tokio runtime.
    pub fn subscribe(cluster: &Cluster, subscription: &Subscription) -> Result<Self> {
        let (sender, events) = mpsc::channel(1);
        let context = Context { sender: sender.downgrade(), pending: Mutex::default(), troubles: Troubles::default() };
        let client: BaseConsumer<Context> = member_config(cluster, &subscription.group)
            .create_with_context(context)
            .map_err(|error| super::fault::fault("opening a consumer", error))?;
        let topic = subscription.topic.as_str();
        client.subscribe(&[topic]).map_err(|error| super::fault::fault(&format!("subscribing to {topic}"), error))?;
        let client = Arc::new(client);
        let reader = Reader { client: Arc::clone(&client), sender, topic: topic.into(), runtime: Handle::current() };
        let thread = std::thread::Builder::new()
            .name(format!("consumer {topic}"))
            .spawn(move || reader.run())
            .map_err(|error| Fault::passing(Code::Io, "starting a thread failed").because(error))?;
        Ok(Self { client, events, thread })
    }

    /// What happens next. A fault ends the consumer.
    pub async fn next(&mut self) -> Result<Event> {
        let closed = || Fault::fatal(Code::Internal, "the consumer's thread has ended");
        self.events.recv().await.unwrap_or_else(|| Err(closed()))
    }

    /// What has happened already, without waiting for more.
    pub fn try_next(&mut self) -> Option<Result<Event>> {
        self.events.try_recv().ok()
    }

    /// This membership, for a transaction that moves the group's offsets.
    pub fn group_metadata(&self) -> Result<GroupMetadata> {
        let none = || Fault::passing(Code::KafkaFenced, "the consumer is not a member of its group yet");
        self.client.group_metadata().map(GroupMetadata).ok_or_else(none)
    }

    /// Tells the group how far its work has come, without waiting for the answer. For targets that keep the true position
    /// themselves, so that lag can be seen in Kafka as well.
    pub fn report(&self, offsets: &Offsets) -> Result<()> {
        let list = partition_list(offsets)?;
        self.client.commit(&list, CommitMode::Async).map_err(|error| super::fault::fault("reporting offsets", error))
    }

    /// The lag of each assigned partition, in offsets, as far as the client has seen the ends.
    pub fn lag(&self, offsets: &Offsets) -> Vec<(TopicPartition, i64)> {
        offsets
            .iter()
            .filter_map(|(partition, &offset)| self.end(partition).map(|end| (partition.clone(), (end - offset).max(0))))
            .collect()
    }

    fn end(&self, partition: &TopicPartition) -> Option<i64> {
        super::native::known_end(self.client.client().native_ptr(), &partition.topic, partition.partition)
    }

    /// Leaves: no further record comes, and the thread has ended when this returns.
    pub async fn close(self) {
        let Self { client, events, thread } = self;
        // In this order, so that the reader's reference is the last: closing blocks, and belongs on its thread.
        drop(client);
        drop(events);
        let joined = tokio::task::spawn_blocking(move || thread.join()).await;
        if !matches!(joined, Ok(Ok(()))) {
            tracing::error!("the consumer's thread panicked");
        }
    }
}

fn member_config(cluster: &Cluster, group: &str) -> rdkafka::ClientConfig {
    let mut config = cluster.config();
    let instance = format!("{group}-{}", cluster.instance());
    cluster.defaults(
        &mut config,
        &[
            ("group.instance.id", &instance),
            ("session.timeout.ms", "6000"),
            ("heartbeat.interval.ms", "1500"),
            ("fetch.queue.backoff.ms", "2"),
            ("fetch.wait.max.ms", "100"),
            ("queued.max.messages.kbytes", "131072"),
            ("check.crcs", "false"),
        ],
    );
    config
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        // Where there is no position an assignment says so itself; a position that is no longer in the topic is a gap.
        .set("auto.offset.reset", "error")
        .set("isolation.level", "read_committed")
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("enable.partition.eof", "false");
    config
}

/// The thread's side.
struct Reader {
    client: Arc<BaseConsumer<Context>>,
    sender: mpsc::Sender<Result<Event>>,
    topic: Arc<str>,
    runtime: Handle,
}

impl Reader {
    fn run(self) {
        while !self.sender.is_closed() {
            if let Err(fault) = self.turn() {
                // The loop may have gone; then nobody waits for the fault.
                self.sender.blocking_send(Err(fault)).ok();
                break;
            }
        }
        // The loop lets go of the client before it lets go of the channel: here it is closed, and nowhere else.
        self.runtime.block_on(self.sender.closed());
    }

    /// Reads until a batch is full or no record is there, and hands it out.
    fn turn(&self) -> Result<()> {
        let pending = self.context();
        let mut wait = if pending.is_empty() { POLL } else { Duration::from_millis(1) };
        while !pending.is_full() {
            match self.client.poll(wait) {
                Some(Ok(message)) => pending.push(&self.topic, &message),
                Some(Err(error)) => self.tolerate(error)?,
                None => break,
            }
            wait = Duration::ZERO;
        }
        pending.troubles.take().map_or(Ok(()), Err)?;
        self.hand_out()
    }

    fn context(&self) -> &Context {
        self.client.context()
    }

    /// librdkafka mends most of its troubles itself and tells them for information.
    fn tolerate(&self, error: KafkaError) -> Result<()> {
        let fatal = matches!(error, KafkaError::MessageConsumptionFatal(_));
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
                Err(super::fault::topic_missing(&self.topic))
            }
            Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) => Err(self.fault(error)),
            Some(RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::GroupAuthorizationFailed) => Err(self.fault(error)),
            _ if fatal => Err(self.fault(error)),
            _ => {
                tracing::warn!(topic = &*self.topic, %error, "kafka has trouble; it is tried again");
                Ok(())
            }
        }
    }

    fn fault(&self, error: KafkaError) -> Fault {
        super::fault::fault(&format!("reading topic {}", self.topic), error)
    }

    /// Gives the loop what has been read. What the loop can't take yet stays and grows; when it is full, the loop is waited for.
    fn hand_out(&self) -> Result<()> {
        while !self.context().is_empty() {
            match self.sender.try_reserve() {
                Ok(permit) => {
                    if let Some(records) = self.context().take() {
                        permit.send(Ok(Event::Records(records)));
                    }
                    break;
                }
                Err(TrySendError::Full(())) if self.context().is_full() => self.wait_for_room()?,
                Err(_) => break,
            }
        }
        Ok(())
    }

    fn wait_for_room(&self) -> Result<()> {
        if self.has_room_within(PATIENCE) {
            return Ok(());
        }
        self.on_assignment("pausing", rdkafka::consumer::Consumer::pause)?;
        while !self.has_room_within(Duration::ZERO) {
            // Nothing comes of paused partitions; the call serves rebalances and keeps the membership.
            match self.client.poll(POLL) {
                Some(Ok(message)) => self.context().push(&self.topic, &message),
                Some(Err(error)) => self.tolerate(error)?,
                None => {}
            }
        }
        self.on_assignment("resuming", rdkafka::consumer::Consumer::resume)
    }

    /// Whether the loop can take a batch, or has gone.
    fn has_room_within(&self, patience: Duration) -> bool {
        self.runtime.block_on(async { tokio::time::timeout(patience, self.sender.reserve()).await }).is_ok()
    }

    fn on_assignment(
        &self,
        doing: &str,
        act: impl Fn(&BaseConsumer<Context>, &TopicPartitionList) -> Result<(), KafkaError>,
    ) -> Result<()> {
        let done = self.client.assignment().and_then(|assignment| act(&self.client, &assignment));
        done.map_err(|error| super::fault::fault(&format!("{doing} topic {}", self.topic), error))
    }
}

/// What the consumer's callbacks work with. All of it runs on the reader's thread, inside `poll`: the lock around the
/// pending records is there for the compiler and is never contended.
struct Context {
    /// Weak, so that the loop sees the end of the reader's thread, however that comes.
    sender: mpsc::WeakSender<Result<Event>>,
    pending: Mutex<Option<RecordsBuilder>>,
    troubles: Troubles,
}

impl Context {
    fn pending(&self) -> MutexGuard<'_, Option<RecordsBuilder>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_empty(&self) -> bool {
        self.pending().is_none()
    }

    fn is_full(&self) -> bool {
        self.pending().as_ref().is_some_and(|records| records.len() >= BATCH_RECORDS || records.value_bytes() >= BATCH_BYTES)
    }

    fn push(&self, topic: &Arc<str>, message: &BorrowedMessage<'_>) {
        let mut pending = self.pending();
        let records = pending.get_or_insert_with(|| RecordsBuilder::new(Arc::clone(topic), BATCH_RECORDS));
        let record = Record {
            topic,
            partition: message.partition(),
            offset: message.offset(),
            timestamp: message.timestamp().to_millis().unwrap_or(-1),
            key: message.key(),
            value: message.payload(),
            headers: &[],
        };
        match message.headers() {
            None => records.push(&record),
            Some(headers) => records.push_with_headers(&record, owned(headers)),
        }
    }

    fn take(&self) -> Option<Arc<Records>> {
        self.pending().take().map(|records| Arc::new(records.finish()))
    }

    /// Tells the loop, after the records that came before; waits until it can listen.
    fn tell(&self, event: Event) -> bool {
        let before = self.take().map(Event::Records);
        let Some(sender) = self.sender.upgrade() else { return false };
        before.into_iter().chain([event]).all(|event| sender.blocking_send(Ok(event)).is_ok())
    }

    /// Asks the loop where to start, and starts there.
    fn assign(&self, consumer: &BaseConsumer<Self>, list: &mut TopicPartitionList) -> Result<(), KafkaError> {
        let (reply, answer) = sync_channel(1);
        let assigned = Assigned { partitions: partitions(list), reply };
        // A cooperative rebalance that changes nothing for this member is told as an assignment of no partition.
        if list.count() > 0
            && self.tell(Event::Assigned(assigned))
            && let Ok(start) = answer.recv()
        {
            let offsets = match start {
                Start::At(offsets) => offsets,
                Start::Committed => committed(consumer, list)?,
            };
            set_starts(list, &offsets)?;
        }
        match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_assign(list),
            _ => consumer.assign(list),
        }
    }

    /// Lets the loop finish with the partitions, then lets them go.
    fn revoke(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) -> Result<(), KafkaError> {
        let (reply, answer) = sync_channel(1);
        let lost = consumer.assignment_lost();
        if list.count() > 0 && self.tell(Event::Revoked(Revoked { partitions: partitions(list), lost, _reply: reply })) {
            // Answered by being dropped: there is nothing to say but that it is done.
            answer.recv().ok();
        }
        match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_unassign(list),
            _ => consumer.unassign(),
        }
    }
}

fn partitions(list: &TopicPartitionList) -> Vec<TopicPartition> {
    list.elements().iter().map(|element| TopicPartition::new(element.topic(), element.partition())).collect()
}

/// The group's offsets of those partitions that have one.
fn committed(consumer: &BaseConsumer<Context>, list: &TopicPartitionList) -> Result<Offsets, KafkaError> {
    let committed = consumer.committed_offsets(list.clone(), REQUEST_TIMEOUT)?;
    let known = |element: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| match element.offset() {
        Offset::Offset(offset) => Some((TopicPartition::new(element.topic(), element.partition()), offset)),
        _ => None,
    };
    Ok(committed.elements().iter().filter_map(known).collect())
}

fn set_starts(list: &mut TopicPartitionList, offsets: &Offsets) -> Result<(), KafkaError> {
    for partition in partitions(list) {
        let start = offsets.get(&partition).map_or(Offset::Beginning, |&offset| Offset::Offset(offset));
        list.set_partition_offset(&partition.topic, partition.partition, start)?;
    }
    Ok(())
}

pub(super) fn owned(headers: &impl Headers) -> Vec<Header> {
    headers.iter().map(|header| Header { key: header.key.to_owned(), value: header.value.map(<[u8]>::to_vec) }).collect()
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.troubles.note(&error, reason);
    }
}

impl ConsumerContext for Context {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, kind: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let done = match kind {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.assign(consumer, list),
            _ => self.revoke(consumer, list),
        };
        if let Err(error) = done {
            let fault = super::fault::fault("taking part in a rebalance", error);
            // Without its assignment the consumer stands still: the reader tells the loop, which starts over.
            self.troubles.set(fault);
        }
    }

    fn commit_callback(&self, result: Result<(), KafkaError>, _: &TopicPartitionList) {
        if let Err(error) = result {
            tracing::debug!(%error, "reporting offsets failed; the next report covers it");
        }
    }
}
