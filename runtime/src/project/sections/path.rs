//! Paths in the project file.

use std::ops::Deref;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A path. One that is not absolute is taken from the project's folder: the reader of the project file has
/// joined the two, so that the path is good from the working directory.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename = "ProjectPath")]
#[schemars(inline)]
pub struct ProjectPath(PathBuf);

impl ProjectPath {
    /// The name by which a deserializer knows that it must join the project's folder.
    pub(crate) const NAME: &str = "ProjectPath";

    /// That path, from the working directory.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }
}

impl Deref for ProjectPath {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl AsRef<Path> for ProjectPath {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}
