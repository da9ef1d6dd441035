//! Where tests make an ingest die: sources that are pulled, requests without a key, requests with one.

use millrace_runtime::crash_points;

crash_points! {
    /// The producer of a share is open, so that a predecessor is fenced; positions are not read.
    PULL_FENCE_AFTER = "ingest.pull.fence.after";
    /// Positions are read; no source is opened there.
    PULL_POSITIONS_AFTER = "ingest.pull.positions.after";
    /// A source has given records.
    PULL_READ_AFTER = "ingest.pull.read.after";
    /// The transaction is open and empty.
    PULL_SEND_BEFORE = "ingest.pull.send.before";
    /// Records are sent; dead letters are not.
    PULL_SEND_AFTER = "ingest.pull.send.after";
    /// Dead letters are sent; the position is not.
    PULL_POSITION_BEFORE = "ingest.pull.position.before";
    /// The position is sent.
    PULL_POSITION_AFTER = "ingest.pull.position.after";
    /// All is committed; the source has not been told.
    PULL_SETTLED_BEFORE = "ingest.pull.settled.before";
    /// The source knows that all so far is durable.
    PULL_SETTLED_AFTER = "ingest.pull.settled.after";
    /// A group of requests has come; nothing of it is sent.
    PUSH_SEND_BEFORE = "ingest.push.send.before";
    /// Their records and dead letters are sent.
    PUSH_SEND_AFTER = "ingest.push.send.after";
    /// The group's number is sent.
    PUSH_NUMBER_AFTER = "ingest.push.number.after";
    /// The group is committed; none of its senders has an answer.
    PUSH_ANSWER_BEFORE = "ingest.push.answer.before";
    /// The answers are on their way.
    PUSH_ANSWER_AFTER = "ingest.push.answer.after";
    /// The producers of partitions of keys are open, so that a predecessor is fenced; what it has remembered is not read.
    KEYED_FENCE_AFTER = "ingest.keyed.fence.after";
    /// What a predecessor has remembered is read; nobody knows the new owner.
    KEYED_WINDOW_AFTER = "ingest.keyed.window.after";
    /// The owner's address is told; it takes no requests yet.
    KEYED_ADDRESS_AFTER = "ingest.keyed.address.after";
    /// A group of requests with keys has come; nothing of it is sent.
    KEYED_SEND_BEFORE = "ingest.keyed.send.before";
    /// Their records and dead letters are sent; their keys are not.
    KEYED_SEND_AFTER = "ingest.keyed.send.after";
    /// Keys and answers are sent.
    KEYED_KEY_AFTER = "ingest.keyed.key.after";
    /// The group is committed; none of its senders has an answer.
    KEYED_ANSWER_BEFORE = "ingest.keyed.answer.before";
    /// The answers are on their way.
    KEYED_ANSWER_AFTER = "ingest.keyed.answer.after";
}
