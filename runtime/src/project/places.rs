//! Where a project's files say what.

use std::sync::Arc;

use super::document::Document;
use super::place::Place;

/// The places of a project that was read, for findings that come after its check.
#[derive(Debug, Clone, Default)]
pub struct Places(Option<Arc<Document>>);

impl Places {
    pub(super) fn of(document: Document) -> Self {
        Self(Some(Arc::new(document)))
    }

    /// Where the value at `path` is, or as much of the path as exists. An index of a list is a key too.
    pub fn locate(&self, path: &[impl AsRef<str>]) -> Option<Place> {
        self.0.as_ref().map(|document| document.locate(path.iter().map(AsRef::as_ref)))
    }
}
