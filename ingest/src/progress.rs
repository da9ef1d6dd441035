//! How far a pull pipeline has come in this process, for those who watch it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// How far one pipeline has come. All clones are the same; its loop tells it once a transaction.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<Mutex<BTreeMap<String, SplitProgress>>>);

/// How far one split has come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SplitProgress {
    /// How many bytes it has, where that is known.
    pub bytes: Option<u64>,
    /// How many bytes of values this process has read of it.
    pub read: u64,
    /// Records that went to the topic, of all processes.
    pub records: u64,
    /// Records that became dead letters, of all processes.
    pub rejected: u64,
    /// Whether all of it is durable.
    pub complete: bool,
    /// Why it can't be read, when it can't.
    pub halted: Option<String>,
}

impl Progress {
    /// The splits by their names.
    pub fn splits(&self) -> BTreeMap<String, SplitProgress> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes what is said of a split.
    pub(crate) fn of(&self, split: &str, change: impl FnOnce(&mut SplitProgress)) {
        let mut splits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match splits.get_mut(split) {
            Some(known) => change(known),
            None => change(splits.entry(split.to_owned()).or_default()),
        }
    }

    /// Forgets splits that are another's, or are gone.
    pub(crate) fn keep(&self, keep: impl Fn(&str) -> bool) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|split, progress| progress.complete || keep(split));
    }
}
