//! Where tests make a replay of dead letters die.

use millrace_runtime::crash_points;

crash_points! {
    /// The fence is taken and the marks are read.
    FENCE_AFTER = "surgery.fence.after";
    /// Records are where they go, and seen by nobody; the marks are not sent.
    ATTEMPT_AFTER = "surgery.attempt.after";
    /// The marks are sent, in the transaction of the records or, where that is a table's, in one that follows.
    MARK_AFTER = "surgery.mark.after";
    /// Records and marks are durable; nobody has been told.
    COMMIT_AFTER = "surgery.commit.after";
}
