//! A round: the rows staged since the last commit, and how far they move each position.

use std::time::Instant;

use millrace_connectors::Rounds;
use millrace_model::{Offsets, Records, TopicPartition};
use millrace_runtime::telemetry::{BatchTrace, Tally};

/// Positions of the partitions that this loader holds, and what has been staged beyond them.
#[derive(Default)]
pub(crate) struct Round {
    held: Offsets,
    reached: Offsets,
    began: Option<Instant>,
    rows: usize,
    records: usize,
    bytes: usize,
    memory: usize,
    oldest: Option<i64>,
    traces: Vec<BatchTrace>,
    /// What it will have done when it is committed.
    pub(crate) tally: Tally,
}

impl Round {
    /// Partitions have been claimed, with the positions that the target has for them.
    pub(crate) fn hold(&mut self, claimed: Offsets) {
        self.held.extend(claimed);
    }

    /// A partition is another loader's now.
    pub(crate) fn release(&mut self, partition: &TopicPartition) {
        self.held.remove(partition);
        self.reached.remove(partition);
    }

    /// The records are staged or rejected.
    pub(crate) fn cover(&mut self, records: &Records, staged: usize, trace: BatchTrace) {
        records.advance(&mut self.reached);
        self.rows += staged;
        self.take(records, trace);
    }

    /// The records are staged, rejected or kept, and some may have waited: those are behind the positions, which they do not move.
    pub(crate) fn cover_in_line(&mut self, records: &Records, trace: BatchTrace) {
        let mut advanced = Offsets::new();
        records.advance(&mut advanced);
        for (partition, offset) in advanced {
            self.stand(&partition);
            let reached = self.reached.entry(partition).or_default();
            *reached = offset.max(*reached);
        }
        self.take(records, trace);
    }

    /// The round moves the position of the partition, if only to where it is: its commit is fenced by it.
    pub(crate) fn stand(&mut self, partition: &TopicPartition) {
        if let Some(&held) = self.held.get(partition) {
            self.reached.entry(partition.clone()).or_insert(held);
        }
    }

    /// So many rows have been staged for good.
    pub(crate) fn land(&mut self, rows: usize) {
        self.rows += rows;
    }

    /// So many bytes of memory are taken by rows that are to be staged.
    pub(crate) fn weigh(&mut self, memory: usize) {
        self.memory += memory;
    }

    fn take(&mut self, records: &Records, trace: BatchTrace) {
        self.began.get_or_insert_with(Instant::now);
        self.records += records.len();
        self.bytes += records.values().value_data().len();
        self.oldest = self.oldest.into_iter().chain(records.timestamps().iter().copied()).min();
        self.traces.push(trace);
    }

    /// When it began; `None` while nothing is staged.
    pub(crate) fn began(&self) -> Option<Instant> {
        self.began
    }

    /// Whether it is as large as a round may be, of a sink whose rows may take so much memory until it is committed.
    pub(crate) fn is_full(&self, rounds: &Rounds, memory: usize) -> bool {
        self.records >= rounds.records || self.bytes >= rounds.bytes || rounds.kept && self.memory >= memory
    }

    /// The positions to move, as they are.
    pub(crate) fn from(&self) -> Offsets {
        self.reached.keys().filter_map(|partition| Some((partition.clone(), *self.held.get(partition)?))).collect()
    }

    /// The positions to move, as they will be.
    pub(crate) fn to(&self) -> &Offsets {
        &self.reached
    }

    /// It is durable. A new round begins where it ended.
    pub(crate) fn committed(&mut self) -> Committed {
        let done = std::mem::take(self);
        self.held = done.held;
        self.tally = done.tally;
        self.held.extend(done.reached.clone());
        Committed { offsets: done.reached, oldest: done.oldest, rows: done.rows, traces: done.traces }
    }
}

/// A round that is durable.
pub(crate) struct Committed {
    /// The positions reached.
    pub(crate) offsets: Offsets,
    /// The timestamp of its oldest record, in milliseconds since the epoch.
    pub(crate) oldest: Option<i64>,
    /// How many rows were staged.
    pub(crate) rows: usize,
    /// The traces of its batches.
    pub(crate) traces: Vec<BatchTrace>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use millrace_model::{Record, RecordsBuilder};
    use millrace_runtime::telemetry::Hop;

    fn partition(number: i32) -> TopicPartition {
        TopicPartition::new("t", number)
    }

    fn records(places: &[(i32, i64)]) -> Records {
        let mut builder = RecordsBuilder::new("t".into(), places.len());
        for &(partition, offset) in places {
            builder.push(&Record { topic: "t", partition, offset, timestamp: offset, key: None, value: None, headers: &[] });
        }
        builder.finish()
    }

    fn cover(round: &mut Round, places: &[(i32, i64)]) {
        let records = records(places);
        let trace = Hop::new("loader", "test").batch(&records);
        round.cover(&records, places.len(), trace);
    }

    #[test]
    fn a_round_moves_only_the_partitions_that_it_read() {
        let mut round = Round::default();
        round.hold(Offsets::from([(partition(0), 5), (partition(1), 9)]));
        cover(&mut round, &[(0, 5), (0, 6)]);
        assert_eq!(round.from(), Offsets::from([(partition(0), 5)]));
        assert_eq!(round.to(), &Offsets::from([(partition(0), 7)]));
    }

    #[test]
    fn a_partition_without_a_position_has_none_to_move_from() {
        let mut round = Round::default();
        cover(&mut round, &[(2, 0)]);
        assert!(round.from().is_empty());
    }

    #[test]
    fn what_has_waited_moves_no_position_and_is_fenced_by_it_all_the_same() {
        let mut round = Round::default();
        round.hold(Offsets::from([(partition(0), 9)]));
        let waited = records(&[(0, 4), (0, 5)]);
        round.cover_in_line(&waited, Hop::new("loader", "test").batch(&waited));
        assert_eq!((round.from(), round.to()), (Offsets::from([(partition(0), 9)]), &Offsets::from([(partition(0), 9)])));
        let new = records(&[(0, 9)]);
        round.cover_in_line(&new, Hop::new("loader", "test").batch(&new));
        assert_eq!(round.to(), &Offsets::from([(partition(0), 10)]));
    }

    #[test]
    fn the_next_round_begins_where_the_last_one_ended() {
        let mut round = Round::default();
        round.hold(Offsets::from([(partition(0), 5)]));
        cover(&mut round, &[(0, 5)]);
        assert_eq!(round.committed().offsets, Offsets::from([(partition(0), 6)]));
        assert!(round.began().is_none());
        cover(&mut round, &[(0, 6)]);
        assert_eq!(round.from(), Offsets::from([(partition(0), 6)]));
    }
}
