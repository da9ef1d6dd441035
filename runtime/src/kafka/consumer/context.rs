//! What librdkafka calls back: rebalances, commits, errors; and the records read so far.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use millrace_model::{Fault, Offsets, Records, RecordsBuilder, Result, TopicPartition};
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext, RebalanceProtocol};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionListElem};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, TopicPartitionList, config::RDKafkaLogLevel};
use tokio::sync::mpsc;

use super::super::client::{REQUEST_TIMEOUT, Troubles, log};
use super::super::fault::fault;
use super::super::native_message::Message;
use super::super::native_queue::NativeQueue;
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
}

impl Context {
    pub(super) fn new(sender: mpsc::WeakSender<Result<Event>>, batch_bytes: usize) -> Self {
        // So that the first call takes a few.
        let record_bytes = AtomicUsize::new((batch_bytes / 64).max(1));
        Self { sender, pending: Mutex::default(), inflow: OnceLock::new(), batch_bytes, record_bytes, troubles: Troubles::default() }
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
        let before = self.take().map(Event::Records);
        let Some(sender) = self.sender.upgrade() else { return false };
        before.into_iter().chain([event]).all(|event| sender.blocking_send(Ok(event)).is_ok())
    }

    /// Asks the loop where to start, and starts there.
    fn assign(&self, consumer: &BaseConsumer<Self>, list: &mut TopicPartitionList) -> Result<(), KafkaError> {
        let (reply, answer) = sync_channel(1);
        let assigned = Assigned { partitions: partitions(list), reply };
        let mut held = false;
        // A cooperative rebalance that changes nothing for this member is told as an assignment of no partition.
        if list.count() > 0
            && self.tell(Event::Assigned(assigned))
            && let Ok(start) = answer.recv()
        {
            let offsets = match start {
                Start::At(offsets) => offsets,
                Start::Committed => committed(consumer, list)?,
                Start::Nowhere => {
                    held = true;
                    Offsets::new()
                }
            };
            set_starts(list, &offsets)?;
            self.receive(consumer, list);
        }
        match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_assign(list)?,
            _ => consumer.assign(list)?,
        }
        if held { consumer.pause(list) } else { Ok(()) }
    }

    fn receive(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) {
        let Some(inflow) = self.inflow.get().and_then(Weak::upgrade) else { return };
        for element in list.elements() {
            inflow.receive(consumer.client().native_ptr(), element.topic(), element.partition());
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

fn average_bytes(records: &RecordsBuilder) -> usize {
    (records.value_bytes() / records.len().max(1)).max(1)
}

fn partitions(list: &TopicPartitionList) -> Vec<TopicPartition> {
    list.elements().iter().map(|element| TopicPartition::new(element.topic(), element.partition())).collect()
}

/// The group's offsets of those partitions that have one.
fn committed(consumer: &BaseConsumer<Context>, list: &TopicPartitionList) -> Result<Offsets, KafkaError> {
    let committed = consumer.committed_offsets(list.clone(), REQUEST_TIMEOUT)?;
    let known = |element: &TopicPartitionListElem<'_>| match element.offset() {
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
            let fault = fault("taking part in a rebalance", error);
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
