//! Which project is meant.

use std::path::{Path, PathBuf};

/// Where a project is, and by which profile it is read.
#[derive(Debug, Clone, Copy)]
pub struct Location<'a> {
    /// The project: a file, or a folder.
    pub path: &'a Path,
    /// The profile whose values lie over the project's own; none without it.
    pub profile: Option<&'a str>,
}

impl<'a> From<&'a Path> for Location<'a> {
    fn from(path: &'a Path) -> Self {
        Self { path, profile: None }
    }
}

impl<'a> From<&'a PathBuf> for Location<'a> {
    fn from(path: &'a PathBuf) -> Self {
        path.as_path().into()
    }
}
