//! What a sink is told about the table that it loads.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a loaded record does to the table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Each record becomes a row of its own.
    #[default]
    Append,
    /// Each record replaces the row of its `keys`; a record without a value (a tombstone) deletes it.
    Upsert,
    /// A record becomes a row unless the table has one of its `keys` already: the first one stays.
    InsertIgnore,
    /// The table follows the change stream of another one: records are changes, as `envelope` says, and each does to the row of its `keys`
    /// what was done there.
    Mirror,
}

impl Mode {
    /// Whether rows are told apart by keys.
    pub const fn is_keyed(self) -> bool {
        matches!(self, Self::Upsert | Self::InsertIgnore | Self::Mirror)
    }

    /// Whether a record may delete the row of its key.
    pub const fn deletes(self) -> bool {
        matches!(self, Self::Upsert | Self::Mirror)
    }

    /// Its name in the project file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Append => "append",
            Self::Upsert => "upsert",
            Self::InsertIgnore => "insert_ignore",
            Self::Mirror => "mirror",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a sink needs to know about the table that it loads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableConfig {
    /// The pipeline that loads it, as `<project>.<pipeline>`: the owner of the table's positions.
    pub pipeline: String,
    /// The table's name.
    pub table: String,
    /// What a record does to the table.
    pub mode: Mode,
    /// The columns that tell rows apart; none when every record is a row of its own.
    pub keys: Vec<String>,
}

/// What a kind of target can do. `check` refuses what it can't; the conformance suite skips it by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// The target as people know it.
    pub name: &'static str,
    /// The modes that it can be loaded in.
    pub modes: &'static [Mode],
    /// How many columns a table may have.
    pub columns: usize,
    /// How many of them the sink needs for itself where rows are told apart by keys.
    pub columns_for_keys: usize,
}

impl Capabilities {
    /// Whether a table can be loaded in that mode.
    pub fn has(&self, mode: Mode) -> bool {
        self.modes.contains(&mode)
    }

    /// How many columns a load in that mode may have.
    pub const fn most_columns(&self, mode: Mode) -> usize {
        if mode.is_keyed() { self.columns - self.columns_for_keys } else { self.columns }
    }
}
