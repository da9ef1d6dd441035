//! Where batches come from.

use async_trait::async_trait;

use crate::batch::Batch;
use crate::fault::Result;
use crate::position::Position;
use crate::rejected::Rejected;

/// What one pull brought.
#[derive(Debug)]
pub struct Pulled {
    /// The good rows; may be empty.
    pub batch: Batch,
    /// What could not be read as a row, each with its original.
    pub rejected: Vec<Rejected>,
    /// How far the source has been read, these rows and rejections included.
    pub position: Position,
    /// Set when the split has been read to its end with this, as a file is.
    pub finished: Option<Finished>,
}

/// A split that has been read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// Where it is, for people: a path or URL without credentials.
    pub place: String,
    /// How many bytes it has, where it is kept; compressed ones count as they are.
    pub bytes: u64,
    /// Which version of it was read: an entity tag, or what the file system knows.
    pub version: String,
}

/// One split of a source that is read by pulling: a file, a table's range.
///
/// Driven by one loop, the pull loop of `ingest`:
/// - *Order*: positions of successive pulls only grow, and cover each record once.
/// - *Resume*: a source opened at a position brings exactly the records after it, in mid-file too.
/// - *Duplicates*: none, as long as the position is stored with the records, in one transaction.
/// - *Cancellation*: a dropped `next` loses nothing: what it had read is not covered by a position yet.
/// - *Durability*: [`Source::settled`] is called after the transaction that stored a position has
///   committed; only then may the source forget (delete, acknowledge) what is before it.
/// - *Bad input* is in [`Pulled::rejected`], never a fault; a fault says that the source itself failed.
#[async_trait]
pub trait Source: Send {
    /// The next rows, or `None` when there are none at present (the caller asks again later).
    async fn next(&mut self) -> Result<Option<Pulled>>;

    /// After [`Source::next`] had nothing: whether all that was there has been brought, so that a bounded run may end. A last
    /// line that may still be in the writing is not.
    fn is_complete(&self) -> bool {
        true
    }

    /// Everything up to `position` is durable in Kafka.
    async fn settled(&mut self, position: &Position) -> Result<()>;
}
