//! How long a round of a target is: what is committed together.

use std::time::Duration;

use crate::config::Connection;

/// When a round is committed: when the first of these is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rounds {
    /// How long after its first record, unless the pipeline says otherwise.
    pub interval: Duration,
    /// How many records it covers.
    pub records: usize,
    /// How many bytes the values of its records have.
    pub bytes: usize,
    /// Whether the sink keeps its rows in memory until then.
    pub kept: bool,
}

impl Rounds {
    /// Of a database, which takes many small commits, and whose sink keeps a round in memory.
    const SHORT: Self = Self { interval: Duration::from_secs(1), records: 100_000, bytes: 64 << 20, kept: true };
    /// Of files, which each commit begins anew: many small ones are slow to read. Their rows are written as they come.
    const LONG: Self = Self { interval: Duration::from_mins(1), records: 10_000_000, bytes: 1 << 30, kept: false };
}

impl Connection {
    /// How long rounds of this kind of target are.
    pub const fn rounds(&self) -> Rounds {
        match self {
            Self::Lake(_) => Rounds::LONG,
            Self::Postgres(_) | Self::Mysql(_) | Self::Redshift(_) | Self::Sqlite(_) | Self::Redis(_) => Rounds::SHORT,
        }
    }
}
