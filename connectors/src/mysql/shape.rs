//! Whether a table is what it was when a session looked at it.

use millrace_model::Result;
use sqlx::mysql::{MySqlConnection, MySqlRow};
use sqlx::{AssertSqlSafe, Row};

use super::fault::fault;
use super::target::Loaded;
use crate::table::{Quotes, literal};

/// A table's columns and unique indexes as one text, and the statements that begin a round and tell it.
///
/// A round holds the table's lock against changes of its definition from its beginning on; what another loader, or an owner, has changed before
/// that is told in the same answer.
#[derive(Debug)]
pub(super) struct Shape {
    table: String,
    begin: String,
    seen: String,
}

impl Shape {
    /// That of a table whose columns these are. It counts as changed until it has been read.
    pub(super) fn of(table: &str, columns: &[Loaded]) -> Self {
        let name = literal(table);
        let of_table = format!("WHERE table_schema = DATABASE() AND table_name = {name}");
        let columns_now = format!(
            "SELECT GROUP_CONCAT(CONCAT_WS(' ', column_name, column_type, collation_name, is_nullable, extra) ORDER BY ordinal_position) \
             FROM information_schema.columns {of_table}"
        );
        let indexes_now = format!(
            "SELECT GROUP_CONCAT(CONCAT_WS(' ', index_name, column_name, sub_part) ORDER BY index_name, seq_in_index) \
             FROM information_schema.statistics {of_table} AND non_unique = 0"
        );
        let names = Quotes::Back.list(columns.iter().map(|column| column.name.as_str()));
        let nulls = vec!["NULL"; columns.len()].join(", ");
        let begin = format!(
            "START TRANSACTION READ WRITE; INSERT INTO {} ({names}) SELECT {nulls} FROM DUAL WHERE FALSE; \
             SELECT CAST(CONCAT_WS(';', ({columns_now}), ({indexes_now})) AS CHAR)",
            Quotes::Back.name(table)
        );
        Self { table: table.to_owned(), begin, seen: String::new() }
    }

    /// Begins a transaction that holds the table's lock; returns whether the table is another than it was.
    pub(super) async fn changed(&mut self, connection: &mut MySqlConnection) -> Result<bool> {
        let answer = sqlx::raw_sql(AssertSqlSafe(self.begin.as_str())).fetch_all(connection).await;
        let now = answer.and_then(|rows: Vec<MySqlRow>| rows.last().ok_or(sqlx::Error::RowNotFound)?.try_get(0));
        let now: String = now.map_err(|error| fault(&format!("reading the columns of {}", Quotes::Back.name(&self.table)), error))?;
        let changed = now != self.seen;
        self.seen = now;
        Ok(changed)
    }
}
