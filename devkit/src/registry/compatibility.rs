//! Whether a schema may follow the versions before it.

use std::error::Error;
use std::fmt;
use std::str::FromStr;

use apache_avro::Schema;
use apache_avro::schema_compatibility::{Compatibility, SchemaCompatibility};
use serde::{Deserialize, Serialize};

/// A subject's rule for new versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum Level {
    None,
    #[default]
    Backward,
    BackwardTransitive,
    Forward,
    ForwardTransitive,
    Full,
    FullTransitive,
}

impl Level {
    const ALL: [Self; 7] =
        [Self::None, Self::Backward, Self::BackwardTransitive, Self::Forward, Self::ForwardTransitive, Self::Full, Self::FullTransitive];

    fn text(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Backward => "BACKWARD",
            Self::BackwardTransitive => "BACKWARD_TRANSITIVE",
            Self::Forward => "FORWARD",
            Self::ForwardTransitive => "FORWARD_TRANSITIVE",
            Self::Full => "FULL",
            Self::FullTransitive => "FULL_TRANSITIVE",
        }
    }

    /// Whether every earlier version counts, not the last alone.
    fn transitive(self) -> bool {
        matches!(self, Self::BackwardTransitive | Self::ForwardTransitive | Self::FullTransitive)
    }

    /// Whether `new` may follow `earlier`, which are in ascending order; a text says why not.
    pub(super) fn allows(self, new: &Schema, earlier: &[Schema]) -> Result<(), String> {
        let against = if self.transitive() { earlier } else { &earlier[earlier.len().saturating_sub(1)..] };
        against.iter().try_for_each(|old| match self {
            Self::None => Ok(()),
            Self::Backward | Self::BackwardTransitive => reads(new, old),
            Self::Forward | Self::ForwardTransitive => reads(old, new),
            Self::Full | Self::FullTransitive => reads(new, old).and_then(|()| reads(old, new)),
        })
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl FromStr for Level {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|level| level.text() == text).ok_or(())
    }
}

/// Whether every record of `writer` can be read as `reader`: what can be read only for some values (a null read as a
/// string, a symbol the reader has not) does not count.
fn reads(reader: &Schema, writer: &Schema) -> Result<(), String> {
    match SchemaCompatibility::can_read(writer, reader) {
        Ok(Compatibility::Full) => Ok(()),
        Ok(Compatibility::Partial) => Err("some values of the writer's enums or unions have no place in the reader's".to_owned()),
        Err(error) => Err(words(&error)),
    }
}

fn words(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
