//! Where tests make a loader die, whatever its sink.

use millrace_runtime::crash_points;

crash_points! {
    /// Partitions have come; a predecessor may still write them.
    CLAIM_BEFORE = "loader.claim.before";
    /// They are claimed; no record of them is read.
    CLAIM_AFTER = "loader.claim.after";
    /// Rows are read and decoded.
    WRITE_BEFORE = "loader.write.before";
    /// They are staged in the sink.
    WRITE_AFTER = "loader.write.after";
    /// A round is over, and not settled.
    SETTLE_BEFORE = "loader.settle.before";
    /// It is settled: what the target refuses is known, and no dead letter of it sent.
    SETTLE_AFTER = "loader.settle.after";
    /// Dead letters are sent; whether they are durable is not known.
    DEAD_LETTERS_BEFORE = "loader.dead_letters.before";
    /// Dead letters are durable.
    DEAD_LETTERS_AFTER = "loader.dead_letters.after";
    /// Parked keys are changed in the sink's transaction. Of rounds that change some.
    PARK_AFTER = "loader.park.after";
    /// All that the sink's transaction is to hold is in it, but positions.
    COMMIT_BEFORE = "loader.commit.before";
    /// The sink has committed; Kafka has been told nothing.
    COMMIT_AFTER = "loader.commit.after";
    /// The positions are reported to Kafka, which may not have heard it yet.
    REPORT_AFTER = "loader.report.after";
    /// The round of the former schema is committed; the table does not know of the new one.
    RESHAPE_BEFORE = "loader.reshape.before";
    /// The table takes rows of the new schema; none has come.
    RESHAPE_AFTER = "loader.reshape.after";
}
