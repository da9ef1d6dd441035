//! What a sink is told about the table that it loads.

use std::fmt;
use std::num::NonZeroU16;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::redis;

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
    /// The rows of a whole load take the place of all that the table has, in one transaction, when the load has ended.
    Replace,
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
            Self::Replace => "replace",
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
    /// How a new table is cut into partitions.
    pub partition_by: Option<PartitionBy>,
    /// How rows are kept in Redis, where they go there.
    pub redis: Option<redis::Rows>,
}

impl TableConfig {
    /// Whether rows are gathered before they go into the table: to be told apart by keys, or to wait for their partitions.
    pub const fn is_staged(&self) -> bool {
        self.mode.is_keyed() || self.partition_by.is_some()
    }
}

/// The partitions of a table, by the value of one column.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PartitionBy {
    /// The column. A row in which it is null has no partition, and is rejected.
    pub column: String,
    /// Which rows are in one partition.
    pub by: Partitioning,
    /// How many partitions there are; only with `by: hash`.
    #[serde(default)]
    pub partitions: Option<NonZeroU16>,
}

impl PartitionBy {
    /// How many partitions a hash has without a number of its own.
    const PARTITIONS: u16 = 8;

    /// How many partitions there are by hash.
    pub fn count(&self) -> u16 {
        self.partitions.map_or(Self::PARTITIONS, NonZeroU16::get)
    }
}

/// Which rows are in one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Partitioning {
    /// Those of one day, in UTC.
    Day,
    /// Those of one month, in UTC.
    Month,
    /// Those of one year, in UTC.
    Year,
    /// Those of one value: for columns of few values.
    List,
    /// Those whose value has the same hash, by a fixed number of partitions.
    Hash,
}

impl Partitioning {
    /// All of them.
    pub const ALL: &'static [Self] = &[Self::Day, Self::Month, Self::Year, Self::List, Self::Hash];

    /// Its name in the project file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Month => "month",
            Self::Year => "year",
            Self::List => "list",
            Self::Hash => "hash",
        }
    }

    /// Whether rows of a range of time are together.
    pub const fn is_range(self) -> bool {
        matches!(self, Self::Day | Self::Month | Self::Year)
    }
}

/// What a kind of target can do. `check` refuses what it can't; the conformance suite skips it by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// The target as people know it.
    pub name: &'static str,
    /// The modes that it can be loaded in.
    pub modes: &'static [Mode],
    /// What its tables can be partitioned by.
    pub partitions: &'static [Partitioning],
    /// How many columns a table may have.
    pub columns: usize,
    /// How many of them the sink needs for itself where rows are told apart by keys, or cut into partitions.
    pub columns_of_stage: usize,
    /// How many of them it needs for itself where whole loads replace the table.
    pub columns_of_loading: usize,
    /// Whether loads add the columns that a table lacks.
    pub grows: bool,
}

impl Capabilities {
    /// Whether a table can be loaded in that mode.
    pub fn has(&self, mode: Mode) -> bool {
        self.modes.contains(&mode)
    }

    /// How many columns such a table may have.
    pub const fn most_columns(&self, table: &TableConfig) -> usize {
        match table.mode {
            Mode::Replace => self.columns - self.columns_of_loading,
            _ if table.is_staged() => self.columns - self.columns_of_stage,
            _ => self.columns,
        }
    }
}
