//! The texts of the files that findings point into.

use std::path::Path;
use std::sync::Arc;

use crate::project::masking::masked;

/// The files that were read, in the order in which they were.
#[derive(Debug, Clone, Default)]
pub(in crate::project) struct Sources(Vec<(Arc<Path>, Arc<str>)>);

impl Sources {
    pub(in crate::project) fn add(&mut self, file: &Arc<Path>, text: &Arc<str>) {
        if self.get(file).is_none() {
            self.0.push((Arc::clone(file), Arc::clone(text)));
        }
    }

    /// The text of a file.
    pub(in crate::project) fn get(&self, file: &Path) -> Option<&Arc<str>> {
        self.0.iter().find(|(known, _)| **known == *file).map(|(_, text)| text)
    }

    /// A line of a file, from 1, without passwords.
    pub(in crate::project) fn line(&self, file: &Path, number: u32) -> Option<String> {
        let text = masked(self.get(file)?);
        text.lines().nth(number.saturating_sub(1) as usize).map(|line| line.trim_end().to_owned())
    }

    /// Where a file is among those that were read; one that was not comes after them.
    pub(super) fn rank(&self, file: &Path) -> usize {
        self.0.iter().position(|(known, _)| **known == *file).unwrap_or(self.0.len())
    }
}
