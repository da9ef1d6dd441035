//! The stage of an upsert: a temporary table that rows and deletions are copied to, and the merge of it into the target.
//!
//! The stage numbers its rows in the order of the round. A merge takes the last one of each key, by the equality of the target's own types.

use std::ops::Range;

use millrace_model::Result;
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

use super::fault::fault;
use crate::table::{Target, quoted, quoted_list, unfit};

const STAGE: &str = "pg_temp.millrace_stage";
const SEQUENCE: &str = "millrace_sequence";
const DELETED: &str = "millrace_deleted";

/// Makes parts of a stage quick to find.
pub(super) const INDEX: &str = "CREATE INDEX millrace_stage_sequence ON pg_temp.millrace_stage (millrace_sequence)";
/// Takes the index away, which would slow the next round down.
pub(super) const DROP_INDEX: &str = "DROP INDEX pg_temp.millrace_stage_sequence";

/// The statements of a stage.
#[derive(Debug, Clone)]
pub(super) struct Stage {
    create: String,
    /// `COPY` into the stage: its two marks, then the columns of the schema.
    pub(super) copy: String,
    delete: String,
    insert: String,
}

impl Stage {
    /// The stage of a target.
    pub(super) fn of(target: &Target) -> Result<Self> {
        let names: Vec<&str> = target.schema.arrow().fields().iter().map(|field| field.name().as_str()).collect();
        if let Some(taken) = names.iter().find(|name| [SEQUENCE, DELETED].contains(name)) {
            return Err(unfit(format!("a column can't be named {taken:?} in an upsert: rename it")));
        }
        let (table, columns, keys) = (target.name.as_str(), quoted_list(names.iter().copied()), target.keys());
        let last = format!(
            "(SELECT DISTINCT ON ({keys}) * FROM {STAGE} WHERE {SEQUENCE} >= $1 AND {SEQUENCE} < $2 ORDER BY {keys}, {SEQUENCE} DESC) s"
        );
        let same_key = target.table.keys.iter().map(|key| format!("t.{0} = s.{0}", quoted(key))).collect::<Vec<_>>().join(" AND ");
        Ok(Self {
            create: format!(
                "CREATE TEMPORARY TABLE IF NOT EXISTS millrace_stage ON COMMIT DELETE ROWS AS \
                 SELECT 0::bigint AS {SEQUENCE}, false AS {DELETED}, {} FROM {table} WITH NO DATA",
                staged_columns(target, &names)
            ),
            copy: format!("COPY {STAGE} ({SEQUENCE}, {DELETED}, {columns}) FROM STDIN (FORMAT binary)"),
            delete: format!("DELETE FROM {table} t USING {last} WHERE s.{DELETED} AND {same_key}"),
            insert: format!(
                "INSERT INTO {table} ({columns}) SELECT {columns} FROM {last} WHERE NOT s.{DELETED} {}",
                target.on_conflict(&names)
            ),
        })
    }

    /// Makes the stage, for as long as the connection lasts.
    pub(super) async fn create(&self, connection: &mut PgConnection) -> Result<()> {
        let done = sqlx::raw_sql(AssertSqlSafe(self.create.as_str())).execute(connection).await;
        done.map(drop).map_err(|error| fault("making the temporary table of an upsert", error))
    }

    /// Brings a range of the stage into the target: deletions first, so that what they held is free for the rows.
    pub(super) async fn merge(&self, connection: &mut PgConnection, rows: Range<usize>, deletions: bool) -> Result<(), sqlx::Error> {
        let statements = deletions.then_some(&self.delete).into_iter().chain([&self.insert]);
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
