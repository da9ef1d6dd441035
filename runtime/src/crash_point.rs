//! Crash points: the steps of the protocols at which a test can make a process die, stand still or fail.
//!
//! They are there in builds with the feature `failpoints` and debug assertions only: a release has neither the code nor the names.
//! `FAILPOINTS` says what happens where: `<point>=<word>@<hit>`, several joined by `;`. A point acts at that one hit, counted from 1.
//!
//! | word | what happens |
//! |---|---|
//! | `crash` | the process ends at once (`SIGABRT`): nothing is unwound, flushed or closed |
//! | `stand` | the process stops itself (`SIGSTOP`), heartbeats included, until it gets `SIGCONT` |
//! | `fault` | the step fails with a passing fault, where a step can fail |
//!
//! `FAILPOINTS=loader.commit.after=crash@3` lets two commits pass and dies after the third. Each writes `crash point <name>: <word>` to
//! standard error before it does what it should.
//!
//! (The crate `fail` would bring a second `rand` and turn features of `log` on for the whole workspace; of its actions one would be used.)

#[cfg(all(feature = "failpoints", debug_assertions))]
mod armed;
#[cfg(all(feature = "failpoints", debug_assertions))]
pub use armed::CrashPoint;

#[cfg(not(all(feature = "failpoints", debug_assertions)))]
mod absent;
#[cfg(not(all(feature = "failpoints", debug_assertions)))]
pub use absent::CrashPoint;

/// Declares the crash points of a crate: a constant for each, and `NAMES`, which the tests of crash points go by.
#[macro_export]
macro_rules! crash_points {
    ($($(#[$doc:meta])* $point:ident = $name:literal;)+) => {
        $($(#[$doc])* pub const $point: $crate::crash_point::CrashPoint = $crate::crash_point::CrashPoint::new($name);)+

        /// The names of all of them.
        pub const NAMES: &[&str] = &[$($name),+];
    };
}

crash_points! {
    /// All records of the transaction are durable; the offsets that they come from are not in it.
    KAFKA_OFFSETS_BEFORE = "kafka.offsets.before";
    /// The transaction has the offsets.
    KAFKA_OFFSETS_AFTER = "kafka.offsets.after";
    /// All that the transaction is to hold is in it.
    KAFKA_COMMIT_BEFORE = "kafka.commit.before";
    /// Kafka has committed; nobody else knows.
    KAFKA_COMMIT_AFTER = "kafka.commit.after";
    /// What waits behind a rejected record is sent.
    PARKED_HELD_AFTER = "parked.held.after";
    /// What is released has been read back from the topic, and not been taken on.
    PARKED_TAKEN_AFTER = "parked.taken.after";
    /// What was released is marked as let go, in the transaction or beside it.
    PARKED_RELEASED_AFTER = "parked.released.after";
}
