//! Records that can't be processed.

use std::fmt;
use std::sync::Arc;

use crate::code::Code;
use crate::records::{Record, Records};

/// Where in a pipeline a record was rejected. Part of a dead letter's identity.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// Reading it from its source: parsing, typing.
    Read,
    /// Decoding it from Kafka.
    Decode,
    /// A step, by its number from 0 and its kind, such as `1:sql`.
    Step(Arc<str>),
    /// Making its key or encoding it.
    Encode,
    /// Writing it to the target.
    Write,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read => f.write_str("read"),
            Self::Decode => f.write_str("decode"),
            Self::Step(name) => write!(f, "step {name}"),
            Self::Encode => f.write_str("encode"),
            Self::Write => f.write_str("write"),
        }
    }
}

/// That one row can't be processed, and why; said by a codec, a step or a sink of the batch in its hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The index of the row's record in the batch's [`Records`] (not its row in the batch).
    pub record: u32,
    /// The kind of reason.
    pub code: Code,
    /// The reason in words, with the field's path where there is one. Values are shown shortened.
    pub reason: String,
}

impl Rejection {
    /// Rejects record number `record` of the batch's [`Records`].
    pub fn new(record: u32, code: Code, reason: impl Into<String>) -> Self {
        Self { record, code, reason: reason.into() }
    }
}

/// A rejected record with its original: what becomes a dead letter.
#[derive(Debug, Clone)]
pub struct Rejected {
    records: Arc<Records>,
    rejection: Rejection,
    stage: Stage,
}

impl Rejected {
    /// The record that `rejection` speaks of, rejected at `stage`.
    pub fn new(records: &Arc<Records>, stage: Stage, rejection: Rejection) -> Self {
        Self { records: Arc::clone(records), rejection, stage }
    }

    /// What was said of the record.
    pub fn rejection(&self) -> &Rejection {
        &self.rejection
    }

    /// The original, byte for byte.
    pub fn record(&self) -> Record<'_> {
        self.records.record(self.rejection.record as usize)
    }

    /// Where it was rejected.
    pub fn stage(&self) -> &Stage {
        &self.stage
    }

    /// The kind of reason.
    pub fn code(&self) -> Code {
        self.rejection.code
    }

    /// The reason in words.
    pub fn reason(&self) -> &str {
        &self.rejection.reason
    }
}
