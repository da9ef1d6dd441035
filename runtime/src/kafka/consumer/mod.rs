//! Consuming: one membership of a consumer group, on a thread of its own.
//!
//! ```text
//!  librdkafka ─inflow─► thread: RecordsBuilder ──channel of 1──► the pipeline's loop
//!                          │  rebalance: Assigned / Revoked, in order with the records;
//!                          └─ waits for the loop's answer before the partitions change hands
//! ```
//!
//! A batch is handed out as soon as the loop can take it: small when records trickle, up to
//! some thousands when they pour. While the loop is busy (a target is away) the thread goes on polling, so that the group keeps its
//! member; what has been fetched meanwhile is there when the loop comes back.

mod context;
mod gap;
mod reader;

use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use millrace_model::{Code, Fault, Offsets, Records, Result, TopicIdentity, TopicPartition};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use self::context::Context;
use self::reader::Reader;
use super::client::{Cluster, GroupMetadata};
use super::native_queue::NativeQueue;
use super::producer::partition_list;

/// How long brokers may take to let a member go: longer than the session (`session.timeout.ms`) after which its group does so by itself.
const FAREWELL: Duration = Duration::from_secs(10);

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
    /// Of which topic, of all that ever had the name.
    pub topic: TopicIdentity,
    reply: SyncSender<Start>,
}

/// Where an assignment starts.
#[derive(Debug)]
enum Start {
    Committed,
    At(Offsets),
    Nowhere,
}

impl Assigned {
    /// Starts at the group's committed offsets; at the beginning where there are none. Offsets that were committed for another topic of the
    /// name end the consumer ([`Code::KafkaTopicAnother`]).
    pub fn resume(self) {
        self.answer(Start::Committed);
    }

    /// Starts at `offsets`; at the beginning where there are none.
    pub fn start_at(self, offsets: Offsets) {
        self.answer(Start::At(offsets));
    }

    /// Takes the partitions and reads nothing of them: for a group that divides work by the partitions of a topic whose records are
    /// read otherwise.
    pub fn hold(self) {
        self.answer(Start::Nowhere);
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
    events: Events,
    has_ended: oneshot::Receiver<()>,
}

/// What a consumer has to tell. As long as this is kept, its thread goes on.
pub struct Events(mpsc::Receiver<Result<Event>>);

impl Events {
    /// What happens next. A fault ends the consumer.
    pub async fn next(&mut self) -> Result<Event> {
        let closed = || Fault::fatal(Code::Internal, "the consumer's thread has ended");
        self.0.recv().await.unwrap_or_else(|| Err(closed()))
    }
}

/// A consumer that is to leave its group.
pub struct Leaving(oneshot::Receiver<()>);

impl Leaving {
    /// Waits until it has left, after all who take its events have gone: no further record comes. Where no broker lets it go in time its thread is left alone
    /// with that, and the group lets it go by itself: what it has told without waiting for an answer may keep it for minutes.
    pub async fn left(self) {
        match timeout(FAREWELL, self.0).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => tracing::error!("the consumer's thread panicked"),
            Err(_) => tracing::info!("no broker has let the consumer go within {} s; its group does so by itself", FAREWELL.as_secs()),
        }
    }
}

impl Consumer {
    /// Joins the group. Reads committed records only; takes part in cooperative rebalances.
    ///
    /// Not as a static member (KIP-345): one that starts again between the two phases of a cooperative rebalance is given its
    /// cached assignment without another rebalance, and the partitions that it had just let go belong to nobody.
    ///
    /// Must be called within a tokio runtime.
    pub fn subscribe(cluster: &Cluster, subscription: &Subscription) -> Result<Self> {
        Self::subscribe_noting(cluster, subscription, &subscription.topic)
    }

    /// The same of a group that notes with its offsets which topic `noted` is, where that is another than the one it reads: its offsets mean
    /// nothing where that one was deleted.
    pub fn subscribe_noting(cluster: &Cluster, subscription: &Subscription, noted: &str) -> Result<Self> {
        let (sender, events) = mpsc::channel(1);
        let context = Context::new(&subscription.group, noted, sender.downgrade(), cluster.budget().batch_bytes());
        let client: BaseConsumer<Context> = member_config(cluster, &subscription.group)
            .create_with_context(context)
            .map_err(|error| super::fault::fault("opening a consumer", error))?;
        let topic = subscription.topic.as_str();
        let inflow = Arc::new(NativeQueue::new(client.client().native_ptr()));
        let told = NativeQueue::of_member(client.client().native_ptr());
        client.context().receive_by(&inflow);
        client.subscribe(&[topic]).map_err(|error| super::fault::fault(&format!("subscribing to {topic}"), error))?;
        let client = Arc::new(client);
        let reader = Reader { inflow, told, client: Arc::clone(&client), sender, topic: topic.into(), runtime: Handle::current() };
        let (ended, has_ended) = oneshot::channel();
        let read = move || {
            // Takes the client along, which is closed with it.
            reader.run();
            ended.send(()).ok();
        };
        let thread = std::thread::Builder::new().name(format!("consumer {topic}")).spawn(read);
        thread.map_err(|error| Fault::passing(Code::Io, "starting a thread failed").because(error))?;
        Ok(Self { client, events: Events(events), has_ended })
    }

    /// What happens next. A fault ends the consumer.
    pub async fn next(&mut self) -> Result<Event> {
        self.events.next().await
    }

    /// Gives what happens from here on to somebody else: this has nothing more to tell.
    pub fn take_events(&mut self) -> Events {
        std::mem::replace(&mut self.events, Events(mpsc::channel(1).1))
    }

    /// What has happened already, without waiting for more.
    pub fn try_next(&mut self) -> Option<Result<Event>> {
        self.events.0.try_recv().ok()
    }

    /// This membership, for a transaction that moves the group's offsets.
    pub fn group_metadata(&self) -> Result<GroupMetadata> {
        let none = || Fault::passing(Code::KafkaFenced, "the consumer is not a member of its group yet");
        let topic = self.client.context().topic();
        self.client.group_metadata().map(|member| GroupMetadata { member, topic }).ok_or_else(none)
    }

    /// Tells the group how far its work has come, without waiting for the answer. For targets that keep the true position
    /// themselves, so that lag can be seen in Kafka as well.
    pub fn report(&self, offsets: &Offsets) -> Result<()> {
        let list = partition_list(offsets, self.client.context().topic())?;
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

    /// Leaves, as [`Leaving::left`] says: no further record comes.
    pub async fn close(self) {
        self.leave().left().await;
    }

    /// Leaves as soon as all who take its events have gone.
    pub fn leave(self) -> Leaving {
        let Self { client, events, has_ended } = self;
        // In this order, so that the reader's reference is the last: closing blocks, and belongs on its thread.
        drop(client);
        drop(events);
        Leaving(has_ended)
    }
}

fn member_config(cluster: &Cluster, group: &str) -> rdkafka::ClientConfig {
    let mut config = cluster.config();
    let budget = cluster.budget();
    let kbytes = budget.fetched_bytes().div_ceil(1024).to_string();
    let messages = budget.fetched_records().to_string();
    let answer = budget.fetch_bytes().max(cluster.largest_record() as u64).to_string();
    cluster.defaults(
        &mut config,
        &[
            ("session.timeout.ms", "6000"),
            ("heartbeat.interval.ms", "1500"),
            ("fetch.queue.backoff.ms", "2"),
            ("fetch.wait.max.ms", "100"),
            ("queued.max.messages.kbytes", &kbytes),
            ("queued.min.messages", &messages),
            ("fetch.max.bytes", &answer),
            ("check.crcs", "false"),
            // How soon a partition that was added is read.
            ("topic.metadata.refresh.interval.ms", "30000"),
        ],
    );
    // It is said when a topic was made anew, and nowhere else: see `Context::log`.
    let debug = config.get("debug").map_or_else(|| "metadata".to_owned(), |debug| format!("{debug},metadata"));
    config.set("debug", debug).set_log_level(RDKafkaLogLevel::Debug);
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
