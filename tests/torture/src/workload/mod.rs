//! What goes in: records that a seed decides, by files and by requests.

pub(crate) mod pipelines;
pub(crate) mod produced;
pub(crate) mod record;
pub(crate) mod senders;
