//! The ingest service: drives any source into topics, and the push gateway.
//!
//! ```text
//!  POST ─► push: gateway ─► read by schema ─► group ┐ one transaction: records, dead letters, answers to remember
//!  file ─► pull: source.next() ─────────────────────┘ one transaction: records, dead letters, the position
//! ```

mod agreement;
pub mod config;
pub mod crash_points;
mod positions;
mod progress;
mod pull;
mod push;
pub mod reread;
pub mod service;
mod spread;

pub use positions::{ASSIGNMENTS, POSITIONS, ensure_topics, own_topics};
pub use progress::{Progress, SplitProgress};
pub use push::keyed::{IDEMPOTENCY, key_topics};
pub use push::{Bodies, Counts};
pub use service::{Ingest, Running, start};
