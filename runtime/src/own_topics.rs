//! The names of the topics that Millrace keeps for itself. Exactly-once rests on them: no pipeline may write to one, and none is destroyed.

/// The compacted topic of positions: how far sources have been read.
pub const POSITIONS: &str = "millrace.positions";

/// The topic whose partitions stand for shares of the work. It has no records: a consumer group divides its partitions.
pub const ASSIGNMENTS: &str = "millrace.assignments";

/// The compacted topic of idempotency keys and what was answered to them.
pub const IDEMPOTENCY: &str = "millrace.idempotency";

/// The compacted topic of the addresses of partitions' owners, by `<project>.<pipeline>/<partition>`.
pub const GATEWAYS: &str = "millrace.gateways";

/// The compacted topic of the marks of settled dead letters. Without them every settled letter would wait again.
pub const RESOLVED: &str = "millrace.dead-letters.resolved";

/// The compacted topic of the records that wait behind rejected ones of their keys.
pub const PARKED: &str = "millrace.parked";

/// Whether a topic is one of them.
pub fn is_own(topic: &str) -> bool {
    [POSITIONS, ASSIGNMENTS, IDEMPOTENCY, GATEWAYS, RESOLVED, PARKED].contains(&topic)
}
