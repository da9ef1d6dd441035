//! What a transaction will have done, counted when it commits: a retry counts nothing twice.

use millrace_model::Records;

use super::PipelineMetrics;

/// Counts of work that is not committed yet.
#[derive(Debug, Default)]
pub struct Tally {
    read: u64,
    read_bytes: u64,
    written: u64,
    written_bytes: u64,
    filtered: u64,
}

impl Tally {
    /// Records were read.
    pub fn read(&mut self, records: &Records) {
        self.read += records.len() as u64;
        self.read_bytes += records.values().value_data().len() as u64;
    }

    /// `count` records were written, with `bytes` bytes of values.
    pub fn written(&mut self, count: u64, bytes: u64) {
        self.written += count;
        self.written_bytes += bytes;
    }

    /// `count` records were dropped on purpose.
    pub fn filtered(&mut self, count: u64) {
        self.filtered += count;
    }

    /// It is committed: the pipeline's metrics take it over.
    pub fn commit(&mut self, metrics: &PipelineMetrics) {
        let tally = std::mem::take(self);
        metrics.read(tally.read, tally.read_bytes);
        metrics.written(tally.written, tally.written_bytes);
        metrics.filtered(tally.filtered);
    }
}
