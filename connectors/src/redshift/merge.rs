//! The stage of a session, and what brings it into the target.

use millrace_model::Result;

use crate::table::{Target, check_names, quoted, quoted_list};
use crate::table_config::Mode;

const STAGE: &str = "millrace_stage";
const SEQUENCE: &str = "millrace_sequence";
const DELETED: &str = "millrace_deleted";
const RANK: &str = "millrace_rank";
/// How many columns the stage has beyond those of its table.
pub(super) const MARKS: usize = 2;
/// Empties the stage. `TRUNCATE` would commit.
pub(super) const EMPTY: &str = "DELETE FROM millrace_stage";

/// The statements of a merge.
#[derive(Debug, Clone)]
pub(super) struct Merge {
    /// Makes the stage, for as long as the connection lasts; its columns all take null.
    pub(super) create: String,
    /// What a COPY names: the stage and its columns.
    pub(super) into: String,
    insert: String,
    delete: Option<String>,
}

impl Merge {
    /// # Errors
    /// [`Code::TargetSchema`](millrace_model::Code::TargetSchema) for columns that have the names of the stage's own.
    pub(super) fn of(target: &Target) -> Result<Self> {
        check_names(target, &[SEQUENCE, DELETED, RANK])?;
        let (table, mode) = (&target.name, target.table.mode);
        let columns = quoted_list(target.schema.arrow().fields().iter().map(|field| field.name().as_str()));
        let keys = target.keys();
        let same_key = target.table.keys.iter().map(|key| format!("{table}.{0} = s.{0}", quoted(key))).collect::<Vec<_>>().join(" AND ");
        let order = if mode == Mode::InsertIgnore { "" } else { " DESC" };
        let ranked = format!(
            "(SELECT *, row_number() OVER (PARTITION BY {keys} ORDER BY {SEQUENCE}{order}) AS {RANK} FROM {STAGE}) s WHERE {RANK} = 1"
        );
        let insert = match mode {
            Mode::InsertIgnore => {
                format!(
                    "INSERT INTO {table} ({columns}) SELECT {columns} FROM {ranked} AND NOT EXISTS (SELECT 1 FROM {table} WHERE {same_key})"
                )
            }
            Mode::Upsert => format!("INSERT INTO {table} ({columns}) SELECT {columns} FROM {ranked} AND NOT {DELETED}"),
            _ => format!("INSERT INTO {table} ({columns}) SELECT {columns} FROM {STAGE}"),
        };
        Ok(Self {
            create: format!(
                "CREATE TEMPORARY TABLE {STAGE} AS SELECT 0::bigint AS {SEQUENCE}, false AS {DELETED}, {columns} FROM {table} WHERE false"
            ),
            into: format!("{STAGE} ({SEQUENCE}, {DELETED}, {columns})"),
            insert,
            delete: (mode == Mode::Upsert).then(|| format!("DELETE FROM {table} USING {STAGE} s WHERE {same_key}")),
        })
    }

    /// What brings the stage into the target: the former rows of its keys go, then the last row of each key comes.
    pub(super) fn statements(&self) -> impl Iterator<Item = &str> {
        self.delete.iter().chain([&self.insert]).map(String::as_str)
    }
}
