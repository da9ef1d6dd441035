//! A subject's rule for new versions.

use std::fmt;

use millrace_model::Result;
use serde::Deserialize;

use super::Registry;
use super::fault;

/// How a subject's versions must follow one another
/// ([Confluent: Schema Evolution and Compatibility](https://docs.confluent.io/platform/current/schema-registry/fundamentals/schema-evolution.html)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Level {
    /// Any schema may follow.
    None,
    /// A new version reads what the last one wrote.
    Backward,
    /// A new version reads what all earlier ones wrote.
    BackwardTransitive,
    /// The last version reads what a new one writes.
    Forward,
    /// All earlier versions read what a new one writes.
    ForwardTransitive,
    /// Both, of the last version.
    Full,
    /// Both, of all earlier versions.
    FullTransitive,
}

impl Level {
    /// Whether a new version must read what earlier ones wrote.
    pub fn is_backward(self) -> bool {
        matches!(self, Self::Backward | Self::BackwardTransitive | Self::Full | Self::FullTransitive)
    }

    /// Whether earlier versions must read what a new one writes.
    pub fn is_forward(self) -> bool {
        matches!(self, Self::Forward | Self::ForwardTransitive | Self::Full | Self::FullTransitive)
    }

    /// Whether all earlier versions count, not the last alone.
    pub fn is_transitive(self) -> bool {
        matches!(self, Self::BackwardTransitive | Self::ForwardTransitive | Self::FullTransitive)
    }
}

/// As registries name it.
impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "NONE",
            Self::Backward => "BACKWARD",
            Self::BackwardTransitive => "BACKWARD_TRANSITIVE",
            Self::Forward => "FORWARD",
            Self::ForwardTransitive => "FORWARD_TRANSITIVE",
            Self::Full => "FULL",
            Self::FullTransitive => "FULL_TRANSITIVE",
        })
    }
}

#[derive(Deserialize)]
struct Told {
    #[serde(rename = "compatibilityLevel")]
    level: Level,
}

impl Registry {
    /// The rule of `subject`: its own, else the registry's.
    ///
    /// # Errors
    /// As [`Registry::schema`]; a registry that has no such thing is one more.
    pub async fn level(&self, subject: &str) -> Result<Level> {
        let endpoints = &self.shared.endpoints;
        let own = endpoints.get::<Told>(&format!("/config/{}?defaultToGlobal=true", subject.replace('/', "%2F"))).await;
        let told = match own {
            Err(failure) if fault::is_not_found(&failure) => endpoints.get("/config").await,
            told => told,
        };
        told.map(|told| told.level).map_err(|failure| self.failed(failure, &format!("the compatibility level of {subject} can't be read")))
    }
}
