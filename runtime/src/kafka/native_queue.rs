//! Messages of all partitions of a consumer by one queue, many at a call.
//!
//! rust-rdkafka takes messages one by one, each as an event with a reference count of its own, which costs about as much as
//! all else that a consumer does with a record. Here partitions are forwarded to a queue of our own
//! (`rd_kafka_queue_forward`) before they are assigned, and that queue is emptied in bulk (`rd_kafka_consume_batch_queue`).
//! Rebalances and errors that belong to no partition go on coming by the client's own queue.

use std::ffi::{CString, c_int};
use std::ptr;
use std::time::Duration;

use rdkafka::types::{RDKafka, RDKafkaMessage};
use rdkafka_sys as sys;

use super::native_message::Message;

/// The most messages that one call takes.
const AT_ONCE: usize = 128;

/// A queue of a client's. It must be dropped before its client.
pub(super) struct NativeQueue(*mut sys::rd_kafka_queue_t);

// SAFETY: librdkafka's queues are thread safe.
unsafe impl Send for NativeQueue {}
// SAFETY: as above.
unsafe impl Sync for NativeQueue {}

impl NativeQueue {
    /// One that partitions can be forwarded to.
    pub(super) fn new(client: *mut RDKafka) -> Self {
        // SAFETY: `client` is a live handle; the call can't fail.
        Self(unsafe { sys::rd_kafka_queue_new(client) })
    }

    /// The one of a member of a group, by which all comes that is not forwarded.
    pub(super) fn of_member(client: *mut RDKafka) -> Self {
        // SAFETY: `client` is a live handle of a consumer with a group, which has such a queue; the reference is ours.
        Self(unsafe { sys::rd_kafka_queue_get_consumer(client) })
    }

    /// Whether nothing waits in it.
    pub(super) fn is_empty(&self) -> bool {
        // SAFETY: the queue is live.
        unsafe { sys::rd_kafka_queue_length(self.0) == 0 }
    }

    /// From here on messages of the partition come by this queue. To be called before the partition is assigned: what the client
    /// has fetched earlier would come by its own queue, and the two have no order.
    pub(super) fn receive(&self, client: *mut RDKafka, topic: &str, partition: i32) {
        // A name with a NUL is no topic's: the client would not have assigned it.
        let Ok(topic) = CString::new(topic) else { return };
        // SAFETY: the client is live, the name ends with NUL, and the reference to the partition's queue is given back.
        unsafe {
            let source = sys::rd_kafka_queue_get_partition(client, topic.as_ptr(), partition);
            if !source.is_null() {
                sys::rd_kafka_queue_forward(source, self.0);
                sys::rd_kafka_queue_destroy(source);
            }
        }
    }

    /// At most `most` messages: those that are there, or the first that comes within `wait`.
    pub(super) fn take(&self, most: usize, wait: Duration) -> Messages {
        let mut messages = Messages { taken: [ptr::null_mut(); AT_ONCE], next: 0, count: 0 };
        let most = most.clamp(1, AT_ONCE);
        if !wait.is_zero() {
            // For a larger number librdkafka would wait until that many are there.
            self.fill(&mut messages, 1, wait);
        }
        if wait.is_zero() || messages.count == 1 {
            self.fill(&mut messages, most, Duration::ZERO);
        }
        messages
    }

    /// Adds messages until there are `most`.
    fn fill(&self, messages: &mut Messages, most: usize, wait: Duration) {
        let room = &mut messages.taken[messages.count..most];
        let milliseconds = c_int::try_from(wait.as_millis()).unwrap_or(c_int::MAX);
        // SAFETY: the queue is live, and there is room for as many messages as are asked for.
        let count = unsafe { sys::rd_kafka_consume_batch_queue(self.0, milliseconds, room.as_mut_ptr(), room.len()) };
        messages.count += usize::try_from(count).unwrap_or(0);
    }
}

impl Drop for NativeQueue {
    fn drop(&mut self) {
        // SAFETY: the reference to the queue is ours and is dropped once.
        unsafe { sys::rd_kafka_queue_destroy(self.0) }
    }
}

/// Messages that were taken off a queue, in its order.
pub(super) struct Messages {
    taken: [*mut RDKafkaMessage; AT_ONCE],
    next: usize,
    count: usize,
}

impl Messages {
    pub(super) fn is_empty(&self) -> bool {
        self.next == self.count
    }
}

impl Iterator for Messages {
    type Item = Message;

    fn next(&mut self) -> Option<Message> {
        if self.is_empty() {
            return None;
        }
        // SAFETY: these places were filled with messages that are ours, and each is given out once.
        let message = unsafe { Message::own(self.taken[self.next]) };
        self.next += 1;
        Some(message)
    }
}

impl Drop for Messages {
    fn drop(&mut self) {
        self.for_each(drop);
    }
}
