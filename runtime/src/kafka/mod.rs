//! Everything that touches librdkafka; nothing else that ships does.
//!
//! - [`Cluster`]: how to reach Kafka, as whom; makes the clients.
//! - [`Consumer`]: one consumer group membership on a thread of its own; hands out [`Event`]s: records by
//!   the batch, and partitions that come and go.
//! - [`Producer`]: a transactional (or only idempotent) producer; blocking, for a pipeline's own thread.
//! - [`topics`]: declared topics and their making; [`compacted`]: a compacted topic read to its end.
//! - [`rights`]: what the user may do with consumer groups and transactional ids.

mod client;
pub mod compacted;
mod consumer;
mod fault;
pub mod groups;
mod message;
mod native;
mod native_admin;
mod native_message;
mod native_queue;
mod place;
mod producer;
pub mod rights;
mod tail;
pub mod topics;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod waits;

pub use client::{Cluster, GroupMetadata};
pub use consumer::{Assigned, Consumer, Event, Events, Leaving, Revoked, Subscription};
pub use place::record_at;
pub use producer::{Outgoing, Producer, Topic};
pub use tail::Tail;
