//! Whether somebody still writes to a file.

use std::collections::HashMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use parking_lot::Mutex;

/// A file is taken to be whole when nobody has written to it for so long.
const QUIET: Duration = Duration::from_secs(2);

/// Tells by a file's last change. One that lies ahead of the system's clock, because that was set back or is another machine's, says nothing of
/// how long ago it was: such a file is watched, and is whole when it has not changed meanwhile. Clones watch together.
#[derive(Debug, Clone, Default)]
pub(super) struct Quiet(Arc<Mutex<HashMap<u64, Watched>>>);

/// A file, as it was when it was first seen so.
#[derive(Debug, Clone, Copy)]
struct Watched {
    file: File,
    since: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct File {
    inode: u64,
    modified: Timestamp,
    bytes: u64,
}

impl Quiet {
    /// Whether nobody has written to the file for a while.
    pub(super) fn is_quiet(&self, metadata: &Metadata) -> bool {
        let file = File { inode: metadata.ino(), modified: modified(metadata), bytes: metadata.len() };
        self.judge(file, Timestamp::now(), Instant::now())
    }

    fn judge(&self, file: File, now: Timestamp, seen: Instant) -> bool {
        let mut watched = self.0.lock();
        if file.modified <= now {
            watched.remove(&file.inode);
            return now.duration_since(file.modified).unsigned_abs() >= QUIET;
        }
        let known = watched.entry(file.inode).or_insert(Watched { file, since: seen });
        if known.file != file {
            *known = Watched { file, since: seen };
        }
        seen.duration_since(known.since) >= QUIET
    }
}

/// When it was last changed.
pub(super) fn modified(metadata: &Metadata) -> Timestamp {
    Timestamp::new(metadata.mtime(), metadata.mtime_nsec() as i32).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    const NOON: Timestamp = Timestamp::constant(1_700_000_000, 0);

    fn file(modified: Timestamp, bytes: u64) -> File {
        File { inode: 7, modified, bytes }
    }

    #[test]
    fn a_file_is_whole_when_its_last_change_was_a_while_ago() {
        let (quiet, seen) = (Quiet::default(), Instant::now());
        assert!(!quiet.judge(file(NOON, 1), NOON + SignedDuration::from_secs(1), seen));
        assert!(quiet.judge(file(NOON, 1), NOON + SignedDuration::from_secs(2), seen));
    }

    #[test]
    fn a_clock_that_was_set_back_keeps_no_file_waiting_for_longer_than_one_that_was_not() {
        let (quiet, seen, back) = (Quiet::default(), Instant::now(), NOON - SignedDuration::from_hours(1));
        assert!(!quiet.judge(file(NOON, 1), back, seen));
        assert!(!quiet.judge(file(NOON, 2), back, seen + QUIET), "it grew");
        assert!(!quiet.judge(file(NOON, 2), back, seen + QUIET), "just now");
        assert!(quiet.judge(file(NOON, 2), back, seen + 2 * QUIET));
    }
}
