//! The vocabulary of Millrace, pure: what a record, a batch, a position and a fault are, and the
//! contracts between what brings batches ([`Source`]), what changes them ([`Step`]) and where they
//! end ([`Sink`]). Nothing here does I/O.

pub mod batch;
pub mod bound;
pub mod code;
pub mod fault;
pub mod parked;
pub mod position;
pub mod records;
pub mod rejected;
pub mod schema;
pub mod sink;
pub mod source;
pub mod step;
pub mod topic;

pub use batch::{Batch, Origin};
pub use bound::{Edge, LoadBound};
pub use code::Code;
pub use fault::{Fault, Result, Retry};
pub use parked::{ParkedChanges, ParkedHeads, ParkedKey};
pub use position::{Offsets, Position, TopicPartition};
pub use records::{Header, Record, Records, RecordsBuilder};
pub use rejected::{Rejected, Rejection, Stage};
pub use schema::Schema;
pub use sink::{Commit, Sink};
pub use source::{Finished, Pulled, Source};
pub use step::{Applied, Step};
pub use topic::{TopicId, TopicIdentity};
