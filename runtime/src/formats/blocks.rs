//! Block formats: files whose records no line end separates. Such a file is opened on seekable bytes and read by the block;
//! how far it has been read is the number of the next record.

use std::io::{Read, Seek};
use std::sync::Arc;

use millrace_model::{Batch, Fault, Rejection, Result};

/// The bytes of one whole file, decompressed: the file itself, or a copy of what was fetched.
pub trait Bytes: Read + Seek + Send {}

impl<T: Read + Seek + Send> Bytes for T {}

/// Where reading begins, and how it is told.
#[derive(Debug, Clone)]
pub struct Opening {
    /// What the records' topic is to be: the name of the source.
    pub topic: Arc<str>,
    /// The number of the first record to bring; 0 is the file's first.
    pub from: u64,
    /// A record whose original text is longer is refused alone, in bytes.
    pub limit: usize,
}

/// Some records of a file, one after the other.
#[derive(Debug)]
pub struct Block {
    /// The good rows. A record's offset is its number in the file, its value its original text: where the format has no bytes
    /// of one record by themselves, the row as JSON.
    pub batch: Batch,
    /// The other records of the batch's [`millrace_model::Records`]; each reason says where in the file the record stands
    /// (`row 7: delay: expected int, found x`).
    pub rejected: Vec<Rejection>,
    /// The number of the next record, rejected ones counted: what reading goes on from.
    pub next: u64,
}

/// An open file of a block format.
///
/// - *Order*: records come in the order of the file, each once; opened at [`Block::next`] a file goes on exactly there.
/// - *Bad records* are rejected, never a fault. [`millrace_model::Code::FileDamaged`] says that from here on the file's bytes are
///   not what the format wants (truncated, another format): what came before stands, and looking again will not help.
/// - Calls block: they belong on a thread for that.
pub trait Blocks: Send {
    /// The next records, at most `rows`; `None` at the file's end.
    fn next(&mut self, rows: usize) -> Result<Option<Block>>;
}

/// Brings records one by one, at most `rows`: `one` brings the next and tells whether there was one. Returns how many came. A fault
/// behind some of them waits in `later` for the next call: what came before it is brought first.
pub(super) fn bring(rows: usize, later: &mut Option<Fault>, mut one: impl FnMut() -> Result<bool>) -> Result<usize> {
    if let Some(fault) = later.take() {
        return Err(fault);
    }
    for brought in 0..rows {
        match one() {
            Ok(true) => {}
            Ok(false) => return Ok(brought),
            Err(fault) if brought == 0 => return Err(fault),
            Err(fault) => {
                *later = Some(fault);
                return Ok(brought);
            }
        }
    }
    Ok(rows)
}
