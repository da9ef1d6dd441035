//! The reference of job T: librdkafka alone, tuned, with transactions of 100 ms and no decoding. What no pipeline on librdkafka
//! can pass.

use std::ffi::CString;
use std::ptr;
use std::time::{Duration, Instant};

use anyhow::Context;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, Producer};
use rdkafka::{Offset, TopicPartitionList};
use rdkafka_sys as sys;

use super::Part;
use crate::kafka::{ORDERS, PARTITIONS, client};

pub(crate) const PART: Part = Part { name: "pass-through", run: pass_through };

pub(crate) const GROUP: &str = "bench.reference";
pub(crate) const OUTPUT: &str = "bench.passed";
const COMMIT_INTERVAL: Duration = Duration::from_millis(100);
const TIMEOUT: Duration = Duration::from_mins(1);
const AT_ONCE: usize = 2000;

/// Copies the topic until the process is ended.
fn pass_through(_: &[String]) -> anyhow::Result<()> {
    let mut copy = Copy::open()?;
    loop {
        copy.producer.begin_transaction()?;
        let began = Instant::now();
        while began.elapsed() < COMMIT_INTERVAL {
            copy.some();
        }
        copy.commit()?;
    }
}

struct Copy {
    consumer: BaseConsumer,
    producer: BaseProducer,
    queue: *mut sys::rd_kafka_queue_t,
    topic: *mut sys::rd_kafka_topic_t,
    next: [i64; PARTITIONS as usize],
    messages: Vec<*mut sys::rd_kafka_message_t>,
}

impl Copy {
    fn open() -> anyhow::Result<Self> {
        let consumer: BaseConsumer = client()?
            .set("group.id", GROUP)
            .set("enable.auto.commit", "false")
            .set("isolation.level", "read_committed")
            .set("check.crcs", "false")
            .set("fetch.queue.backoff.ms", "2")
            .create()?;
        // Assigned by hand: rebalances of rust-rdkafka are not served by the call for many messages.
        let mut assignment = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            assignment.add_partition_offset(ORDERS, partition, Offset::Beginning)?;
        }
        consumer.assign(&assignment)?;
        let producer: BaseProducer = client()?
            .set("transactional.id", "bench.reference")
            .set("compression.type", "lz4")
            .set("linger.ms", "20")
            .set("queue.buffering.max.messages", "500000")
            .set("queue.buffering.max.kbytes", "262144")
            .create()?;
        producer.init_transactions(TIMEOUT)?;
        let name = CString::new(OUTPUT)?;
        // SAFETY: both clients live as long as the process, and the topic's name ends with NUL.
        let (queue, topic) = unsafe {
            (
                sys::rd_kafka_queue_get_consumer(consumer.client().native_ptr()),
                sys::rd_kafka_topic_new(producer.client().native_ptr(), name.as_ptr(), ptr::null_mut()),
            )
        };
        Ok(Self { consumer, producer, queue, topic, next: [-1; PARTITIONS as usize], messages: vec![ptr::null_mut(); AT_ONCE] })
    }

    fn some(&mut self) {
        // SAFETY: the queue is live, and the array has room for as many messages as are asked for.
        let count = unsafe { sys::rd_kafka_consume_batch_queue(self.queue, 50, self.messages.as_mut_ptr(), AT_ONCE) };
        for index in 0..usize::try_from(count).unwrap_or(0) {
            // SAFETY: the call above filled these places with messages that are ours to destroy.
            unsafe {
                let message = &*self.messages[index];
                if message.err == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                    self.pass(message);
                    self.next[message.partition as usize] = message.offset + 1;
                }
                sys::rd_kafka_message_destroy(self.messages[index]);
            }
        }
        self.producer.poll(Duration::ZERO);
    }

    fn pass(&self, message: &sys::rd_kafka_message_t) {
        // SAFETY: topic, payload and key are live; F_COPY makes librdkafka keep none of them.
        let send = || unsafe {
            sys::rd_kafka_produce(
                self.topic,
                message.partition,
                sys::RD_KAFKA_MSG_F_COPY,
                message.payload,
                message.len,
                message.key,
                message.key_len,
                ptr::null_mut(),
            )
        };
        while send() != 0 {
            self.producer.poll(Duration::from_millis(5));
        }
    }

    fn commit(&mut self) -> anyhow::Result<()> {
        while self.producer.in_flight_count() > 0 {
            self.producer.poll(Duration::from_millis(1));
        }
        let mut offsets = TopicPartitionList::new();
        for (partition, &next) in self.next.iter().enumerate().filter(|(_, next)| **next >= 0) {
            offsets.add_partition_offset(ORDERS, partition as i32, Offset::Offset(next))?;
        }
        let group = self.consumer.group_metadata().context("no group")?;
        self.producer.send_offsets_to_transaction(&offsets, &group, TIMEOUT)?;
        self.producer.commit_transaction(TIMEOUT)?;
        Ok(())
    }
}
