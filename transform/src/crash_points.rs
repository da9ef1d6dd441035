//! Where tests make a transform die.

use millrace_runtime::crash_points;

crash_points! {
    /// Records are read; nothing is done with them.
    READ_AFTER = "transform.read.after";
    /// The transaction is open, and no record of this batch sent.
    PRODUCE_BEFORE = "transform.produce.before";
    /// Outputs are sent, dead letters not.
    PRODUCE_AFTER = "transform.produce.after";
    /// Dead letters are sent. Of batches that have some.
    DEAD_LETTERS_AFTER = "transform.dead_letters.after";
    /// A commit begins.
    COMMIT_BEFORE = "transform.commit.before";
    /// All is committed; nothing is counted or reported.
    COMMIT_AFTER = "transform.commit.after";
    /// A changed schema is registered; no record of it is written.
    SCHEMA_AFTER = "transform.schema.after";
}
