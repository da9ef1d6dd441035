//! What came out, compared with what went in: by topic, by table, by dead letter.

mod judge;
mod seen;

pub(crate) use judge::{Counts, Finding, Wrong, judge};
pub(crate) use seen::Seen;
