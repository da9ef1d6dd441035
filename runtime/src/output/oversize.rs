//! Rows that Kafka does not take: the client let them pass, and their topic takes less.

use arrow::array::BooleanArray;
use millrace_model::{Batch, Code, Fault, Rejection, Result};

use super::Writer;
use crate::kafka::Producer;
use crate::telemetry::Hop;

/// A batch that was parted.
pub struct Sifted {
    /// The rows that Kafka takes.
    pub batch: Batch,
    /// The others.
    pub rejected: Vec<Rejection>,
}

impl Writer {
    /// Parts a batch that Kafka refused as too large. The rows are found by halving, each try a transaction that is aborted: so is the one
    /// that is open.
    pub fn sift(&self, producer: &mut Producer, batch: &Batch, hop: &Hop) -> Result<Sifted> {
        producer.abort()?;
        let mut rows = Vec::new();
        Sieve { writer: self, producer, hop }.find(batch, 0, &mut rows)?;
        let keep: BooleanArray = (0..batch.len()).map(|row| Some(rows.binary_search(&row).is_err())).collect();
        let kept = batch.filter(&keep).map_err(|error| Fault::fatal(Code::Internal, "parting a batch").because(error))?;
        let reason = "the encoded record is larger than its topic takes";
        let rejected = rows.iter().map(|&row| Rejection::new(batch.origin().rows()[row], Code::KafkaTooLarge, reason));
        Ok(Sifted { batch: kept, rejected: rejected.collect() })
    }
}

/// Tries what goes through.
struct Sieve<'a> {
    writer: &'a Writer,
    producer: &'a mut Producer,
    hop: &'a Hop,
}

impl Sieve<'_> {
    /// Adds the rows of `batch` that Kafka does not take, in their order; `first` is the number of its first row.
    fn find(&mut self, batch: &Batch, first: usize, rows: &mut Vec<usize>) -> Result<()> {
        if batch.is_empty() || self.passes(batch)? {
            return Ok(());
        }
        if batch.len() == 1 {
            rows.push(first);
            return Ok(());
        }
        let half = batch.len() / 2;
        self.find(&batch.slice(0, half), first, rows)?;
        self.find(&batch.slice(half, batch.len() - half), first + half, rows)
    }

    fn passes(&mut self, batch: &Batch) -> Result<bool> {
        let tried = self.attempt(batch);
        self.producer.abort()?;
        match tried {
            Err(fault) if fault.code() == Code::KafkaTooLarge => Ok(false),
            other => other.map(|()| true),
        }
    }

    fn attempt(&mut self, batch: &Batch) -> Result<()> {
        self.producer.begin()?;
        self.writer.write(self.producer, batch, &[], &self.hop.untraced())?;
        self.producer.drain()
    }
}
