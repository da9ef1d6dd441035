//! Records of a block format under their numbers in the file.

use std::sync::Arc;

use arrow::array::BooleanArray;
use millrace_model::{Batch, Code, Fault, Record, Records, RecordsBuilder, Rejection, Result};

use super::Parsed;
use super::blocks::{Block, Opening};

/// How much is kept of a record that is too long, in bytes.
pub(super) const KEPT: usize = 1 << 16;

/// The originals of some records, one after the other.
pub(super) struct Numbered<'a> {
    opening: &'a Opening,
    first: u64,
    now: i64,
    builder: RecordsBuilder,
    /// The records that are too long, with their lengths.
    overlong: Vec<(u32, usize)>,
}

impl<'a> Numbered<'a> {
    /// Begins with the record number `first`.
    pub(super) fn new(opening: &'a Opening, first: u64, capacity: usize) -> Self {
        let now = jiff::Timestamp::now().as_millisecond();
        Self { opening, first, now, builder: RecordsBuilder::new(Arc::clone(&opening.topic), capacity), overlong: Vec::new() }
    }

    /// Adds a record's original, of which the beginning is kept when it is too long.
    pub(super) fn push(&mut self, text: &[u8]) {
        self.push_cut(text, text.len());
    }

    /// The same of a record of `length` bytes, of which `text` is the beginning where it is too long.
    pub(super) fn push_cut(&mut self, text: &[u8], length: usize) {
        let number = self.builder.len();
        let kept = if length > self.opening.limit {
            self.overlong.push((number as u32, length));
            &text[..text.len().min(KEPT).min(self.opening.limit)]
        } else {
            text
        };
        let (topic, offset) = (&*self.opening.topic, self.first as i64 + number as i64);
        self.builder.push(&Record { topic, partition: 0, offset, timestamp: self.now, key: None, value: Some(kept), headers: &[] });
    }

    /// The records, to be read by schema.
    pub(super) fn finish(self) -> Originals {
        Originals { records: Arc::new(self.builder.finish()), first: self.first, limit: self.opening.limit, overlong: self.overlong }
    }
}

/// Originals, and which of them are too long to be sent on.
pub(super) struct Originals {
    pub(super) records: Arc<Records>,
    first: u64,
    limit: usize,
    overlong: Vec<(u32, usize)>,
}

impl Originals {
    /// What was read of them; `place` says where in the file a record of that number stands.
    pub(super) fn block(self, parsed: Parsed, place: impl Fn(u64) -> String) -> Result<Block> {
        let rejected = parsed.refused.iter().map(super::Refusal::rejection).collect();
        self.sifted(parsed.batch, rejected, place)
    }

    /// The same of rows and rejections that come from elsewhere.
    pub(super) fn sifted(self, batch: Batch, mut rejected: Vec<Rejection>, place: impl Fn(u64) -> String) -> Result<Block> {
        let batch = if self.overlong.is_empty() { batch } else { self.without_overlong(&batch, &mut rejected)? };
        for rejection in &mut rejected {
            rejection.reason = format!("{}: {}", place(self.first + u64::from(rejection.record)), rejection.reason);
        }
        let next = self.first + self.records.len() as u64;
        Ok(Block { batch, rejected, next })
    }

    fn without_overlong(&self, batch: &Batch, rejected: &mut Vec<Rejection>) -> Result<Batch> {
        let is_overlong = |record: u32| self.overlong.iter().any(|(overlong, _)| *overlong == record);
        let keep: BooleanArray = batch.origin().rows().iter().map(|&record| Some(!is_overlong(record))).collect();
        rejected.retain(|rejection| !is_overlong(rejection.record));
        rejected.extend(self.overlong.iter().map(|(record, length)| {
            let reason = format!("{length} bytes, longer than {}; here are its first {}", self.limit, KEPT.min(self.limit));
            Rejection::new(*record, Code::KafkaTooLarge, reason)
        }));
        rejected.sort_by_key(|rejection| rejection.record);
        batch.filter(&keep).map_err(|error| Fault::fatal(Code::Internal, "rows can't be filtered").because(error))
    }
}
