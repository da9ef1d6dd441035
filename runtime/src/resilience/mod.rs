//! How Millrace treats the systems that it depends on: one layer for all of them.
//!
//! A [`Link`] is the way to one system. Whoever calls the system does it through the link, which
//!
//! - ends a call that takes too long, and asks the next of several hosts;
//! - repeats a call that failed with passing trouble, as far as the retry budget goes;
//! - leaves a system alone that failed again and again (the breaker), and tries it with one call before all others;
//! - holds back what is beyond the rate limit;
//! - counts and times, for metrics and health.
//!
//! What it can't mend is a [`Fault`](millrace_model::Fault) of passing trouble, with which the pipeline starts anew
//! ([`crate::pipeline`]); while the breaker is open the fault says for how long. It is set by
//! [`Resilience`](crate::project::Resilience) in the project file. Kafka is not behind it: librdkafka reconnects, repeats and fails over by
//! itself.

mod breaker;
mod budget;
mod cell;
mod link;
mod metrics;
mod probe;
mod status;
#[cfg(test)]
mod tests;
mod turn;

pub use breaker::BreakerState;
pub(crate) use cell::LinkCell;
pub use link::{Call, Link, System};
pub use probe::{Probe, Probes};
pub use status::{LinkState, LinkStatus};
