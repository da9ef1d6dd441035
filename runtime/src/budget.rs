//! Memory for what is in flight: one budget for a process, divided among its pipelines, and in each of them among the places where records wait.
//!
//! ```text
//!  fetched, not yet taken   a quarter   librdkafka's queue of the consumer
//!  sent, not yet durable    a quarter   librdkafka's queue of the producer
//!  in work                  a half      batches as they came and decoded; a round of a load; bodies of requests
//! ```

use crate::project::ByteSize;

/// What librdkafka keeps for a record besides its key and value: the operation and the message that stand for it, the allocator's share
/// (`rd_kafka_op_t` and `rd_kafka_msg_t` in librdkafka 2.12), generously. Its limits count values only.
const RECORD_OVERHEAD: u64 = 512;
/// The least that a pipeline can work with: a few of the largest records that Kafka takes by default.
const LEAST: u64 = 8 << 20;
/// The most bytes of values in one batch: more makes nothing faster.
const LARGEST_BATCH: u64 = 4 << 20;
/// As many records as librdkafka holds ready where memory is no matter (`queued.min.messages`).
const MOST_FETCHED: u64 = 100_000;
/// The same of those that wait to be sent (`queue.buffering.max.messages`).
const MOST_SENT: u64 = 500_000;

/// The memory that one pipeline may take for records in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget(u64);

impl Default for Budget {
    /// That of a pipeline which has the process to itself, with the usual budget.
    fn default() -> Self {
        Self::of_process(Self::USUAL, 1)
    }
}

impl Budget {
    /// What a process may take where nothing is said.
    pub const USUAL: ByteSize = ByteSize::new(256 << 20);
    /// What a process must be allowed at least: enough for one pipeline.
    pub const LEAST: ByteSize = ByteSize::new(LEAST);

    /// The share of each of `pipelines` that run in one process; never less than a pipeline can work with (8 MiB).
    pub fn of_process(memory: ByteSize, pipelines: usize) -> Self {
        Self((memory.bytes() / pipelines.max(1) as u64).max(LEAST))
    }

    /// How many bytes of values a consumer holds ready: half of its quarter, as it may be passed by one answer of each broker.
    pub(crate) const fn fetched_bytes(self) -> u64 {
        self.0 / 8
    }

    /// How many bytes of records one answer of a broker has at most.
    pub(crate) const fn fetch_bytes(self) -> u64 {
        self.0 / 16
    }

    /// How many records a consumer holds ready.
    pub(crate) fn fetched_records(self) -> u64 {
        (self.0 / 8 / RECORD_OVERHEAD).min(MOST_FETCHED)
    }

    /// How many bytes of records wait to be sent. Requests that are under way hold a copy of theirs.
    pub(crate) const fn sent_bytes(self) -> u64 {
        self.0 / 8
    }

    /// How many records wait to be sent.
    pub(crate) fn sent_records(self) -> u64 {
        (self.0 / 8 / RECORD_OVERHEAD).clamp(1000, MOST_SENT)
    }

    /// How many bytes of values a batch has: some are in work at once, each of them as it came, decoded, and encoded anew.
    pub(crate) fn batch_bytes(self) -> usize {
        (self.0 / 64).min(LARGEST_BATCH) as usize
    }

    /// How many bytes the rows of a round may take that a sink keeps until it is committed, as they came and decoded.
    pub const fn round_bytes(self) -> usize {
        (self.0 / 4) as usize
    }

    /// How many bytes of requests' bodies may be held at once.
    pub const fn body_bytes(self) -> usize {
        (self.0 / 4) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pipelines_share_what_the_process_has() {
        assert_eq!(Budget::of_process(ByteSize::new(256 << 20), 4), Budget(64 << 20));
        assert_eq!(Budget::of_process(ByteSize::new(256 << 20), 0), Budget::default(), "a process without pipelines divides by none");
    }

    #[test]
    fn a_pipeline_gets_enough_to_work_with_however_many_there_are() {
        let budget = Budget::of_process(ByteSize::new(32 << 20), 1000);
        assert_eq!(budget, Budget(LEAST));
        assert!(budget.sent_records() >= 1000 && budget.fetched_records() >= 1000 && budget.batch_bytes() >= 1 << 16);
    }

    #[test]
    fn what_waits_in_all_places_fits_the_budget_whatever_the_size_of_records() {
        for memory in [8 << 20, 64 << 20, 256 << 20, 4 << 30] {
            let budget = Budget::of_process(ByteSize::new(memory), 1);
            for record in [10, 200, 10_000, 1_000_000] {
                let held = |bytes: u64, records: u64| bytes.min(records * record) + records.min(bytes / record + 1) * RECORD_OVERHEAD;
                let fetched = held(budget.fetched_bytes(), budget.fetched_records()) + budget.fetch_bytes();
                let sent = held(budget.sent_bytes(), budget.sent_records());
                let in_work = 3 * 3 * budget.batch_bytes() as u64 + budget.round_bytes() as u64;
                assert!(fetched + sent + in_work <= memory * 9 / 8, "{memory} bytes, records of {record}: {fetched} + {sent} + {in_work}");
            }
        }
    }
}
