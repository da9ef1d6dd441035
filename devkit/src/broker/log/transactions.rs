//! What a partition knows of transactions: which are open, which were aborted, and how far committed readers may read.

use std::collections::HashMap;

use kafka_protocol::ResponseError;

use super::batch::Header;

/// A transaction that was aborted: its records between the two offsets are not for committed readers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Aborted {
    pub(crate) producer_id: i64,
    pub(crate) first: i64,
    /// Offset of the abort marker.
    pub(crate) last: i64,
}

/// The transactions of one partition.
#[derive(Debug, Default)]
pub(crate) struct PartitionTransactions {
    /// Producers that added this partition to their transaction, with their epochs.
    added: HashMap<i64, i16>,
    /// First offset of each producer's open transaction.
    open: HashMap<i64, i64>,
    aborted: Vec<Aborted>,
}

impl PartitionTransactions {
    /// The producer added the partition to its transaction: it may write.
    pub(crate) fn add(&mut self, producer_id: i64, producer_epoch: i16) {
        self.added.insert(producer_id, producer_epoch);
    }

    /// Refuses a transactional batch of a producer that did not add the partition.
    pub(crate) fn admit(&self, header: &Header) -> Result<(), ResponseError> {
        let added = self.added.get(&header.producer_id) == Some(&header.producer_epoch);
        if header.is_transactional() && !added { Err(ResponseError::InvalidTxnState) } else { Ok(()) }
    }

    /// Takes note of a batch that is in the log.
    pub(crate) fn appended(&mut self, header: &Header, base_offset: i64) {
        if header.is_transactional() && !header.is_control() {
            self.open.entry(header.producer_id).or_insert(base_offset);
        }
    }

    /// Takes note of a marker that is in the log at `offset`.
    pub(crate) fn ended(&mut self, producer_id: i64, committed: bool, offset: i64) {
        self.added.remove(&producer_id);
        if let Some(first) = self.open.remove(&producer_id)
            && !committed
        {
            self.aborted.push(Aborted { producer_id, first, last: offset });
        }
    }

    /// Whether the producer has a part of a transaction here, written or only announced.
    pub(crate) fn concerns(&self, producer_id: i64) -> bool {
        self.added.contains_key(&producer_id) || self.open.contains_key(&producer_id)
    }

    /// Producers with an open transaction.
    pub(crate) fn open_producers(&self) -> Vec<i64> {
        self.open.keys().copied().collect()
    }

    /// The offset before which every transaction has ended; `end` when none is open.
    pub(crate) fn last_stable_offset(&self, end: i64) -> i64 {
        self.open.values().copied().min().unwrap_or(end)
    }

    /// The aborted transactions that reach into offsets from `from` up to, without, `to`.
    pub(crate) fn aborted_between(&self, from: i64, to: i64) -> Vec<Aborted> {
        self.aborted.iter().filter(|aborted| aborted.last >= from && aborted.first < to).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::batch::Batch;
    use super::super::batch::tests::batch;
    use super::*;

    fn header(producer_id: i64) -> Header {
        Batch::produced(batch(producer_id, 0, 0, &[0], true), 1 << 20).unwrap().header
    }

    #[test]
    fn a_batch_is_refused_until_its_partition_was_added() {
        let mut transactions = PartitionTransactions::default();
        assert_eq!(transactions.admit(&header(1)), Err(ResponseError::InvalidTxnState));
        transactions.add(1, 0);
        assert_eq!(transactions.admit(&header(1)), Ok(()));
        transactions.ended(1, true, 5);
        assert_eq!(transactions.admit(&header(1)), Err(ResponseError::InvalidTxnState));
    }

    #[test]
    fn the_oldest_open_transaction_holds_committed_readers_back() {
        let mut transactions = PartitionTransactions::default();
        transactions.appended(&header(1), 10);
        transactions.appended(&header(2), 20);
        assert_eq!(transactions.last_stable_offset(30), 10);
        transactions.ended(1, true, 30);
        assert_eq!(transactions.last_stable_offset(31), 20);
        transactions.ended(2, false, 31);
        assert_eq!(transactions.last_stable_offset(32), 32);
    }

    #[test]
    fn only_aborted_transactions_that_overlap_a_read_are_named() {
        let mut transactions = PartitionTransactions::default();
        transactions.appended(&header(1), 10);
        transactions.ended(1, false, 20);
        let aborted = Aborted { producer_id: 1, first: 10, last: 20 };
        assert_eq!(transactions.aborted_between(0, 11), vec![aborted]);
        assert_eq!(transactions.aborted_between(20, 21), vec![aborted]);
        assert_eq!(transactions.aborted_between(0, 10), vec![]);
        assert_eq!(transactions.aborted_between(21, 30), vec![]);
    }
}
