//! What librdkafka calls back: rebalances, commits, errors; and the records read so far.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use millrace_model::{Code, Fault, Offsets, Records, RecordsBuilder, Result, TopicId, TopicIdentity, TopicPartition};
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext, RebalanceProtocol};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::Offset;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, TopicPartitionList, config::RDKafkaLogLevel};
use tokio::sync::mpsc;

use super::super::client::{REQUEST_TIMEOUT, Troubles, log};
use super::super::fault::fault;
use super::super::groups::committed_of;
use super::super::native_message::Message;
use super::super::native_queue::NativeQueue;
use super::super::topics::id_by;
use super::{Assigned, Event, Revoked, Start};

/// The most records that one batch has.
const BATCH_RECORDS: usize = 4096;

/// What the consumer's callbacks work with. All of it runs on the reader's thread, inside `poll`: the lock around the
/// pending records is there for the compiler and is never contended.
pub(super) struct Context {
    /// Weak, so that the loop sees the end of the reader's thread, however that comes.
    sender: mpsc::WeakSender<Result<Event>>,
    pending: Mutex<Option<RecordsBuilder>>,
    /// What partitions bring their messages by. Weak, for it must go before the client, and this goes after it.
    inflow: OnceLock<Weak<NativeQueue>>,
    /// The most bytes of values that one batch has, give or take one record.
    batch_bytes: usize,
    /// The average size of the values in the last batch.
    record_bytes: AtomicUsize,
    troubles: Troubles,
    name: Box<str>,
    group: Box<str>,
    /// Which topic was assigned last, of all that ever had the name.
    topic: Mutex<Option<TopicId>>,
    /// Where partitions started.
    starts: Mutex<Offsets>,
}

/// How long an answer is waited for between two looks at whether somebody is there to give it.
const TURN: Duration = Duration::from_millis(100);

impl Context {
    pub(super) fn new(group: &str, topic: &str, sender: mpsc::WeakSender<Result<Event>>, batch_bytes: usize) -> Self {
        // So that the first call takes a few.
        let record_bytes = AtomicUsize::new((batch_bytes / 64).max(1));
        Self {
            sender,
            pending: Mutex::default(),
            inflow: OnceLock::new(),
            batch_bytes,
            record_bytes,
            troubles: Troubles::default(),
            name: topic.into(),
            group: group.into(),
            topic: Mutex::default(),
            starts: Mutex::default(),
        }
    }

    /// Which topic was assigned last; none where the broker gives no ids.
    pub(super) fn topic(&self) -> Option<TopicId> {
        *self.topic.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The topic's name.
    pub(super) fn topic_name(&self) -> &str {
        &self.name
    }

    /// The group's name.
    pub(super) fn group(&self) -> &str {
        &self.group
    }

    /// Where the partitions started that were assigned so far.
    pub(super) fn starts(&self) -> Offsets {
        self.starts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks which topic it is that is assigned.
    fn identify(&self, consumer: &BaseConsumer<Self>) -> Result<TopicIdentity> {
        let id = id_by(consumer.client().native_ptr(), &self.name, REQUEST_TIMEOUT)?;
        *self.topic.lock().unwrap_or_else(PoisonError::into_inner) = id;
        Ok(id.into())
    }

    /// Partitions that are assigned from here on bring their messages by `inflow`. To be told before the first assignment.
    pub(super) fn receive_by(&self, inflow: &Arc<NativeQueue>) {
        self.inflow.get_or_init(|| Arc::downgrade(inflow));
    }

    /// A trouble that ends the consumer, if one has been met.
    pub(super) fn trouble(&self) -> Option<Fault> {
        self.troubles.take()
    }

    fn pending(&self) -> MutexGuard<'_, Option<RecordsBuilder>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pending().is_none()
    }

    pub(super) fn is_full(&self) -> bool {
        self.room() == 0
    }

    /// How many records may be taken at once into the batch, if they are of the size of those that it has, or of those before.
    pub(super) fn room(&self) -> usize {
        match &*self.pending() {
            None => (self.batch_bytes / self.record_bytes.load(Ordering::Relaxed)).clamp(1, BATCH_RECORDS),
            Some(records) => {
                let left = self.batch_bytes.saturating_sub(records.value_bytes());
                (left / average_bytes(records)).min(BATCH_RECORDS.saturating_sub(records.len()))
            }
        }
    }

    pub(super) fn push(&self, topic: &Arc<str>, message: &Message) {
        let mut pending = self.pending();
        let records = pending.get_or_insert_with(|| RecordsBuilder::new(Arc::clone(topic), BATCH_RECORDS));
        records.push_with_headers(&message.record(topic), message.headers());
    }

    pub(super) fn take(&self) -> Option<Arc<Records>> {
        self.pending().take().map(|records| {
            self.record_bytes.store(average_bytes(&records), Ordering::Relaxed);
            Arc::new(records.finish())
        })
    }

    /// Tells the loop, after the records that came before; waits until it can listen.
    fn tell(&self, event: Event) -> bool {
        if self.troubles.any() {
            // The consumer ends with it, and what was read may be another topic's.
            return false;
        }
        let before = self.take().map(Event::Records);
        let Some(sender) = self.sender.upgrade() else { return false };
        before.into_iter().chain([event]).all(|event| sender.blocking_send(Ok(event)).is_ok())
    }

    /// Waits for what the loop says to an event; `None` where it lets go of the event, or has gone itself. That is looked for: an event that was told in the
    /// instant in which the loop went lies in the channel for as long as this waits.
    fn answered<T>(&self, answer: &Receiver<T>) -> Option<T> {
        loop {
            match answer.recv_timeout(TURN) {
                Ok(said) => return Some(said),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) if self.loop_has_gone() => return None,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    fn loop_has_gone(&self) -> bool {
        self.sender.upgrade().is_none_or(|sender| sender.is_closed())
    }

    /// Asks the loop where to start, and starts there.
    fn assign(&self, consumer: &BaseConsumer<Self>, list: &mut TopicPartitionList) -> Result<()> {
        // A cooperative rebalance that changes nothing for this member is told as an assignment of no partition.
        let held = if list.count() == 0 {
            false
        } else {
            // The consumer is about to end: what would come now is nobody's.
            let Some(held) = self.start(consumer, list)? else { return Ok(()) };
            held
        };
        let assigned = match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_assign(list),
            _ => consumer.assign(list),
        };
        let done = if held { assigned.and_then(|()| consumer.pause(list)) } else { assigned };
        done.map_err(rebalancing)
    }

    /// Asks the loop where the partitions start, and notes it in the list. Returns whether nothing of them is to be read; `None` when nobody
    /// answers.
    fn start(&self, consumer: &BaseConsumer<Self>, list: &mut TopicPartitionList) -> Result<Option<bool>> {
        let (reply, answer) = sync_channel(1);
        let topic = self.identify(consumer)?;
        if !self.tell(Event::Assigned(Assigned { partitions: partitions(list), topic, reply })) {
            return Ok(None);
        }
        let (offsets, held) = match self.answered(&answer) {
            Some(Start::At(offsets)) => (offsets, false),
            Some(Start::Committed) => (self.committed(consumer, list, topic)?, false),
            Some(Start::Nowhere) => (Offsets::new(), true),
            None => return Ok(None),
        };
        set_starts(list, &offsets).map_err(rebalancing)?;
        self.receive(consumer, list);
        self.starts.lock().unwrap_or_else(PoisonError::into_inner).extend(offsets);
        Ok(Some(held))
    }

    /// The group's offsets of those partitions that have one.
    fn committed(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList, topic: TopicIdentity) -> Result<Offsets> {
        let committed = consumer.committed_offsets(list.clone(), REQUEST_TIMEOUT).map_err(rebalancing)?;
        committed_of(&committed, &self.group, topic)
    }

    fn receive(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) {
        let Some(inflow) = self.inflow.get().and_then(Weak::upgrade) else { return };
        for element in list.elements() {
            inflow.receive(consumer.client().native_ptr(), element.topic(), element.partition());
        }
    }

    /// Lets the loop finish with the partitions, then lets them go.
    fn revoke(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) -> Result<()> {
        let (reply, answer) = sync_channel(1);
        let lost = consumer.assignment_lost();
        if list.count() > 0 && self.tell(Event::Revoked(Revoked { partitions: partitions(list), lost, _reply: reply })) {
            // Answered by being dropped: there is nothing to say but that it is done.
            self.answered(&answer);
        }
        let done = match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_unassign(list),
            _ => consumer.unassign(),
        };
        done.map_err(rebalancing)
    }
}

fn average_bytes(records: &RecordsBuilder) -> usize {
    (records.value_bytes() / records.len().max(1)).max(1)
}

fn partitions(list: &TopicPartitionList) -> Vec<TopicPartition> {
    list.elements().iter().map(|element| TopicPartition::new(element.topic(), element.partition())).collect()
}

/// Whether a line of librdkafka's says that the topic of that name is another one now than that of `id`.
fn is_another(line: &str, topic: &str, id: TopicId) -> bool {
    let change = line.split_once(&format!("Topic {topic} changed id from ")).and_then(|(_, change)| change.split_once(" to "));
    // librdkafka writes ids in base64 that is not for URLs.
    change.is_some_and(|(_, now)| now.trim().replace('+', "-").replace('/', "_") != id.to_string())
}

fn rebalancing(error: KafkaError) -> Fault {
    fault("taking part in a rebalance", error)
}

fn set_starts(list: &mut TopicPartitionList, offsets: &Offsets) -> Result<(), KafkaError> {
    for partition in partitions(list) {
        let start = offsets.get(&partition).map_or(Offset::Beginning, |&offset| Offset::Offset(offset));
        list.set_partition_offset(&partition.topic, partition.partition, start)?;
    }
    Ok(())
}

impl ClientContext for Context {
    /// librdkafka reads on, at the offset where it was, in a topic that was made anew while it read (`FIXME` in its `rdkafka_topic.c`), and says
    /// so in its log alone. The line comes through the queue of the records, before the first one of the new topic, which is fetched by its id:
    /// none of them is handed out. Starting over finds what the positions are worth.
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
        if matches!(level, RDKafkaLogLevel::Debug) && self.topic().is_some_and(|id| is_another(message, &self.name, id)) {
            let message = format!("topic {} was deleted and made anew while it was read", self.name);
            self.troubles.set(Fault::passing(Code::KafkaTopicAnother, message));
        }
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
        if let Err(fault) = done {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_that_was_made_anew_is_known_by_librdkafka_s_word() {
        let id = TopicId::new(u128::MAX - 1).expect("an id");
        assert!(id.to_string().contains(['-', '_']), "{id} tells the two kinds of base64 apart");
        let logged = id.to_string().replace('-', "+").replace('_', "/");
        let line = |topic: &str, from: &str, to: &str| format!("[thrd:main]: Topic {topic} changed id from {from} to {to}");
        let (none, other) = ("AAAAAAAAAAAAAAAAAAAAAA", "btKx7E2MT56h8p0Md7AS+g");
        assert!(is_another(&line("orders", &logged, other), "orders", id));
        assert!(!is_another(&line("orders", none, &logged), "orders", id), "it is told from the first");
        assert!(!is_another(&line("orders.new", &logged, other), "orders", id));
        assert!(!is_another("[thrd:main]: Topic orders [0] Leader 1 Epoch 0", "orders", id));
    }
}
