//! The thread that reads: polls librdkafka, and hands batches to the loop.

use std::sync::Arc;
use std::time::Duration;

use millrace_model::{Code, Fault, Result, TopicPartition};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::super::fault::{fault, topic_missing};
use super::super::native_message::Message;
use super::super::native_queue::NativeQueue;
use super::Event;
use super::context::Context;
use super::gap;

/// How long the loop is waited for between two looks at what the client has to tell.
const TURN: Duration = Duration::from_millis(100);
/// How long records are waited for before the client is asked for rebalances again: so much later it learns of one.
const POLL: Duration = Duration::from_millis(10);

/// The thread's side.
pub(super) struct Reader {
    // Dropped before the client, whose queues they are.
    pub(super) inflow: Arc<NativeQueue>,
    /// What the client tells that belongs to no partition.
    pub(super) told: NativeQueue,
    pub(super) client: Arc<BaseConsumer<Context>>,
    pub(super) sender: mpsc::Sender<Result<Event>>,
    pub(super) topic: Arc<str>,
    pub(super) runtime: Handle,
}

impl Reader {
    pub(super) fn run(self) {
        while !self.sender.is_closed() {
            if let Err(fault) = self.turn() {
                // The loop may have gone; then nobody waits for the fault.
                self.sender.blocking_send(Err(fault)).ok();
                break;
            }
        }
        // The loop lets go of the client before it lets go of the channel: here it is closed, and nowhere else.
        self.runtime.block_on(self.sender.closed());
        // Closing alone leaves the group without a word where no partition is assigned, and the next rebalance waits for a member that has gone until its
        // session times out (librdkafka 2.12, `rd_kafka_cgrp_revoke_all_rejoin`).
        self.client.unsubscribe();
    }

    /// Reads until a batch is full or no record is there, and hands it out.
    fn turn(&self) -> Result<()> {
        self.serve()?;
        let pending = self.context();
        self.read(if pending.is_empty() { POLL } else { Duration::from_millis(1) })?;
        // What the client had to say before it fetched these: that they are another topic's, see `Context::log`.
        self.serve()?;
        pending.trouble().map_or(Ok(()), Err)?;
        self.hand_out()
    }

    /// Serves rebalances, and what the client tells that belongs to no partition: all of it, since a call serves one thing, and a rebalance may wait behind a line
    /// of the client's log for each partition of the topic.
    fn serve(&self) -> Result<()> {
        loop {
            match self.client.poll(Duration::ZERO) {
                None => {}
                Some(Err(error)) => self.tolerate(error)?,
                // Each partition is made to bring its messages by the inflow before it is assigned.
                Some(Ok(_)) => return Err(Fault::fatal(Code::Internal, "a message came by the queue of rebalances")),
            }
            if self.told.is_empty() {
                return Ok(());
            }
        }
    }

    fn read(&self, mut wait: Duration) -> Result<()> {
        loop {
            let room = self.context().room();
            if room == 0 {
                return Ok(());
            }
            let mut messages = self.inflow.take(room, wait);
            if messages.is_empty() {
                return Ok(());
            }
            messages.try_for_each(|message| self.accept(&message))?;
            wait = Duration::ZERO;
        }
    }

    fn accept(&self, message: &Message) -> Result<()> {
        match message.error() {
            None => {
                self.context().push(&self.topic, message);
                Ok(())
            }
            Some((code, reason)) => {
                tracing::debug!(topic = &*self.topic, reason, "a partition has trouble");
                match code {
                    RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange => Err(self.refused(message)),
                    _ => self.tolerate(KafkaError::MessageConsumption(code)),
                }
            }
        }
    }

    /// A position is none of the topic's any more.
    fn refused(&self, message: &Message) -> Fault {
        let (partition, position) = message.place();
        gap::fault(&self.client, &(TopicPartition::new(&*self.topic, partition), position))
    }

    fn context(&self) -> &Context {
        self.client.context()
    }

    /// librdkafka mends most of its troubles itself and tells them for information.
    fn tolerate(&self, error: KafkaError) -> Result<()> {
        let fatal = matches!(error, KafkaError::MessageConsumptionFatal(_));
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => Err(topic_missing(&self.topic)),
            Some(RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::GroupAuthorizationFailed) => Err(self.fault(error)),
            _ if fatal => Err(self.fault(error)),
            _ => {
                tracing::warn!(topic = &*self.topic, %error, "kafka has trouble; it is tried again");
                Ok(())
            }
        }
    }

    fn fault(&self, error: KafkaError) -> Fault {
        fault(&format!("reading topic {}", self.topic), error)
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

    /// Waits until the loop can take a batch, or has gone. The calls keep the membership, and bring no messages: those come by the inflow. So the
    /// partitions need not be paused, which would throw away what has been fetched of them.
    fn wait_for_room(&self) -> Result<()> {
        while !self.has_room_within(TURN) {
            self.serve()?;
        }
        Ok(())
    }

    /// Whether the loop can take a batch, or has gone.
    fn has_room_within(&self, patience: Duration) -> bool {
        self.runtime.block_on(async { tokio::time::timeout(patience, self.sender.reserve()).await }).is_ok()
    }
}
