//! Rejected records, durably kept: written beside what is good, read back for people, and marked when they are settled.
//!
//! A dead letter is the original record, byte for byte, with headers that say what happened to it: `millrace.error.*`,
//! and the names that Kafka Connect uses, so that the tools people have can read it (KIP-298).

mod identity;
mod letter;
mod read;
mod resolution;
mod write;

pub use identity::Identity;
pub use letter::{DeadLetter, Place};
pub use read::{once_each, read};
pub use resolution::{How, Marks, RESOLVED, Resolution, mark, resolutions, resolutions_now};
pub use write::DeadLetters;

/// What the names of Millrace's own headers begin with.
const PREFIX: &str = "millrace.error.";
/// What the names of Kafka Connect's headers begin with (KIP-298).
const CONNECT_PREFIX: &str = "__connect.errors.";
