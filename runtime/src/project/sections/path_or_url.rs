//! Where something is: on this machine, or at a URL.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A path or a URL (`s3://bucket/folder`). A path that is not absolute is taken from the project's folder: the reader of the
/// project file has joined the two, so that the path is good from the working directory.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename = "PathOrUrl")]
#[schemars(inline)]
pub struct PathOrUrl(String);

impl PathOrUrl {
    /// The name by which a deserializer knows that it must join the project's folder, unless it is a URL.
    pub(crate) const NAME: &str = "PathOrUrl";

    /// That path, from the working directory, or that URL.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The path or URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path on this machine, if it is one.
    pub fn path(&self) -> Option<&Path> {
        (!is_url(&self.0)).then(|| Path::new(&self.0))
    }
}

/// Whether the text begins with a scheme (RFC 3986, 3.1) and `://`.
pub(crate) fn is_url(text: &str) -> bool {
    let scheme = text.split_once("://").map_or("", |(scheme, _)| scheme);
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_with_a_scheme_is_a_url() {
        for url in ["s3://b/a.csv", "abfss://c@a.dfs.core.windows.net/x", "https://h/a?b=c"] {
            assert!(is_url(url), "{url}");
        }
        for path in ["in/a.csv", "/in/*", "C:/a", "://", "a/b://c", ""] {
            assert!(!is_url(path), "{path}");
        }
    }
}
