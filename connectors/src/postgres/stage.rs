//! The stage of a load with keys or partitions: a temporary table that rows and deletions are copied to, and the merge of it into the target.
//!
//! The stage numbers its rows in the order of the round. A merge takes the last one of each key (the first one where later ones are
//! ignored), by the equality of the target's own types.

use std::ops::Range;

use millrace_model::Result;
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

use super::fault::fault;
use super::fold::{self, Partial};
use crate::table::{Target, check_names, quoted, quoted_list};
use crate::table_config::Mode;

pub(super) const STAGE: &str = "pg_temp.millrace_stage";
pub(super) const SEQUENCE: &str = "millrace_sequence";
pub(super) const DELETED: &str = "millrace_deleted";
/// The bits of the columns that a row has nothing to say about, by their place in the schema; null when there is none.
pub(super) const LEFT: &str = "millrace_left";
/// How many columns a stage may have beyond those of its table.
pub(super) const MARKS: usize = 3;

/// Makes parts of a stage quick to find.
pub(super) const INDEX: &str = "CREATE INDEX millrace_stage_sequence ON pg_temp.millrace_stage (millrace_sequence)";
/// Takes the index away, which would slow the next round down.
pub(super) const DROP_INDEX: &str = "DROP INDEX pg_temp.millrace_stage_sequence";

/// The statements of a stage.
#[derive(Debug, Clone)]
pub(super) struct Stage {
    create: String,
    /// `COPY` into the stage: its marks, then the columns of the schema.
    pub(super) copy: String,
    /// Whether rows may lack columns.
    pub(super) partial: bool,
    delete: String,
    insert: String,
    /// Deletes all rows of the target.
    pub(super) clear: String,
}

/// What a round's rows are, as far as the merge goes by it.
#[derive(Debug, Clone, Default)]
pub(super) struct Contents {
    /// Whether there are deletions among them.
    pub(super) deletions: bool,
    /// Columns that some of them lack, and the merge that knows how to leave them.
    pub(super) partial: Option<Partial>,
}

impl Stage {
    /// The stage of a target.
    pub(super) fn of(target: &Target) -> Result<Self> {
        let names: Vec<&str> = target.schema.arrow().fields().iter().map(|field| field.name().as_str()).collect();
        check_names(target, &[SEQUENCE, DELETED, LEFT])?;
        let (table, columns, keys) = (target.name.as_str(), quoted_list(names.iter().copied()), target.keys());
        let partial = target.table.mode == Mode::Mirror;
        let left = if partial { (format!("NULL::bytea AS {LEFT}, "), format!("{LEFT}, ")) } else { Default::default() };
        let order = if target.table.mode == Mode::InsertIgnore { "" } else { " DESC" };
        let winner = format!(
            "(SELECT DISTINCT ON ({keys}) * FROM {STAGE} WHERE {SEQUENCE} >= $1 AND {SEQUENCE} < $2 ORDER BY {keys}, {SEQUENCE}{order}) s"
        );
        Ok(Self {
            create: format!(
                "CREATE TEMPORARY TABLE IF NOT EXISTS millrace_stage ON COMMIT DELETE ROWS AS \
                 SELECT 0::bigint AS {SEQUENCE}, false AS {DELETED}, {}{} FROM {table} WITH NO DATA",
                left.0,
                staged_columns(target, &names)
            ),
            copy: format!("COPY {STAGE} ({SEQUENCE}, {DELETED}, {}{columns}) FROM STDIN (FORMAT binary)", left.1),
            partial,
            delete: format!("DELETE FROM {table} t USING {winner} WHERE s.{DELETED} AND {}", fold::same_key(target, "t", "s")),
            insert: if target.table.mode.is_keyed() {
                format!(
                    "INSERT INTO {table} ({columns}) SELECT {columns} FROM {winner} WHERE NOT s.{DELETED} {}",
                    target.on_conflict(&names)
                )
            } else {
                let range = format!("{SEQUENCE} >= $1 AND {SEQUENCE} < $2");
                format!("INSERT INTO {table} ({columns}) SELECT {columns} FROM {STAGE} WHERE {range} ORDER BY {SEQUENCE}")
            },
            clear: format!("DELETE FROM {table}"),
        })
    }

    /// Makes the stage, for as long as the connection lasts.
    pub(super) async fn create(&self, connection: &mut PgConnection) -> Result<()> {
        let done = sqlx::raw_sql(AssertSqlSafe(self.create.as_str())).execute(connection).await;
        done.map(drop).map_err(|error| fault("making the temporary table of a load", error))
    }

    /// Brings a range of the stage into the target: deletions first, so that what they held is free for the rows.
    pub(super) async fn merge(&self, connection: &mut PgConnection, rows: Range<usize>, contents: &Contents) -> Result<(), sqlx::Error> {
        let statements: &[&String] = match contents {
            Contents { partial: Some(partial), .. } => &[&partial.delete, &partial.upsert],
            Contents { deletions: true, .. } => &[&self.delete, &self.insert],
            Contents { .. } => &[&self.insert],
        };
        for sql in statements {
            let merge = sqlx::query(AssertSqlSafe(sql.as_str())).bind(rows.start as i64).bind(rows.end as i64);
            merge.execute(&mut *connection).await?;
        }
        Ok(())
    }
}

/// The columns of the stage, each of the target's type. A column beside the keys is of its domain's base type, which is what
/// `coalesce` makes of it: deletions leave it null, and a domain may take no null.
fn staged_columns(target: &Target, names: &[&str]) -> String {
    let column = |name: &&str| {
        let column = quoted(name);
        if target.table.keys.iter().any(|key| key == name) { column } else { format!("coalesce({column}, NULL) AS {column}") }
    };
    names.iter().map(column).collect::<Vec<_>>().join(", ")
}
