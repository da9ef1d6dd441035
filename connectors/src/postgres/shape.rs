//! Whether the table's columns are what they were when a session looked at them.

use millrace_model::Result;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Row};

use super::fault::fault;
use crate::table::{Target, literal};

/// A table's columns as one text, and the statement that begins a round and tells it.
///
/// A round holds the table's lock against changes of its columns from its beginning on; what another loader, or an owner, has changed before
/// that is told in the same answer.
#[derive(Debug)]
pub(super) struct Shape {
    columns: String,
}

/// What a round does to a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TableLock {
    /// It writes rows, beside other rounds.
    Rows,
    /// It changes the columns first. The lock for that is taken at once: two rounds that both had the other one would wait for each other.
    Columns,
}

impl TableLock {
    /// The statement that takes it, to stand before others.
    pub(super) fn statement(self, table: &str) -> String {
        match self {
            Self::Rows => format!("LOCK TABLE {table} IN ROW EXCLUSIVE MODE; "),
            Self::Columns => format!("LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE; "),
        }
    }
}

impl Shape {
    /// That of the target's table.
    pub(super) async fn read(connection: &mut PgConnection, target: &Target) -> Result<Self> {
        Ok(Self { columns: ask(connection, &columns_of(target), target).await? })
    }

    /// Forgets what the columns were: they count as changed.
    pub(super) fn forget(&mut self) {
        self.columns.clear();
    }

    /// Begins a transaction that takes locks first; returns whether the columns are others than they were.
    pub(super) async fn changed(&mut self, connection: &mut PgConnection, target: &Target, locks: &str) -> Result<bool> {
        // Constraints that are deferred to the commit would refuse rows when nobody can be told which.
        let begin = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET CONSTRAINTS ALL IMMEDIATE";
        let sql = format!("{begin}; {locks}{}", columns_of(target));
        let columns = ask(connection, &sql, target).await?;
        let changed = columns != self.columns;
        self.columns = columns;
        Ok(changed)
    }
}

fn columns_of(target: &Target) -> String {
    let name = literal(&target.name);
    format!(
        "SELECT coalesce(string_agg(concat_ws(' ', attname, atttypid, atttypmod, attnotnull, attgenerated), ',' ORDER BY attnum), '') \
         FROM pg_attribute WHERE attrelid = to_regclass({name}) AND attnum > 0 AND NOT attisdropped"
    )
}

async fn ask(connection: &mut PgConnection, sql: &str, target: &Target) -> Result<String> {
    let answer = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).fetch_all(connection).await;
    let text = answer.and_then(|rows: Vec<PgRow>| rows.last().ok_or(sqlx::Error::RowNotFound)?.try_get(0));
    text.map_err(|error| fault(&format!("reading the columns of {}", target.name), error))
}
