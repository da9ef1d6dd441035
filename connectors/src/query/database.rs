//! What a database does for its queries to be a source.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::SignedDuration;
use jiff::civil::{Date, DateTime};
use millrace_model::{Code, Fault, Result};
use millrace_runtime::formats::CellType;

use super::position::CursorValue;
use super::rows::Outlet;
use crate::config::Connection;
use crate::table::{Quotes, literal, quoted};

/// A database, shared with the tasks that read from it.
pub(crate) type Shared = Arc<dyn Database>;

/// The database of a connection; none where its queries can't be read.
pub(super) fn of(connection: &Connection) -> Option<Shared> {
    match connection {
        Connection::Postgres(config) => Some(Arc::new(config.clone())),
        Connection::Mysql(config) => Some(Arc::new(config.clone())),
        Connection::Redshift(_) | Connection::Lake(_) | Connection::Redis(_) => None,
        Connection::Sqlite(config) => Some(Arc::new(config.clone())),
    }
}

/// A database whose queries can be read.
#[async_trait]
pub(crate) trait Database: Send + Sync {
    /// How it writes names and values.
    fn dialect(&self) -> Dialect;

    /// The columns of a statement. Runs nothing.
    async fn columns(&self, sql: &str) -> Result<Vec<QueryColumn>>;

    /// Runs a statement in a session of its own and hands out its rows, in their order and as they come: never all of them at once.
    /// Their cells are of `columns`. Returns when there are no more rows, or nobody takes them.
    async fn read(&self, statement: &str, columns: &[QueryColumn], outlet: &mut Outlet) -> Result<()>;
}

/// A column of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct QueryColumn {
    /// Its name.
    pub(crate) name: String,
    /// What reads it out of the query: its name, or a cast to what has a form here.
    pub(crate) expression: String,
    /// What its cells are.
    pub(crate) cells: CellType,
}

/// How a database writes names and values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Postgres,
    Mysql,
    Sqlite,
}

impl Dialect {
    /// A name as it is, whatever letters it has.
    pub(crate) fn quoted(self, name: &str) -> String {
        match self {
            Self::Postgres | Self::Sqlite => quoted(name),
            Self::Mysql => Quotes::Back.name(name),
        }
    }

    /// A value as a statement has it. Quoted ones take the type of the column that they are compared with.
    pub(super) fn literal(self, value: &CursorValue) -> String {
        match value {
            CursorValue::Number(number) if is_plain(number) => number.clone(),
            CursorValue::Number(text) | CursorValue::Text(text) => self.text(text),
            CursorValue::Date(days) => date(*days).map_or_else(|| self.text("infinity"), |date| self.text(&date.to_string())),
            CursorValue::Timestamp(micros) if self == Self::Postgres => self.text(&format!("{}+00", time(*micros))),
            CursorValue::Timestamp(micros) | CursorValue::LocalTimestamp(micros) => self.text(&time(*micros)),
        }
    }

    fn text(self, text: &str) -> String {
        match self {
            // Whether a backslash escapes is a setting of the session: bytes have no such doubt.
            Self::Mysql => format!("_utf8mb4 X'{}'", text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>()),
            Self::Postgres | Self::Sqlite => literal(text),
        }
    }
}

/// Whether a number's text is digits, sign, point and exponent only.
fn is_plain(number: &str) -> bool {
    number.starts_with(|c: char| c.is_ascii_digit() || c == '-')
        && number.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte))
}

fn date(days: i32) -> Option<Date> {
    Date::constant(1970, 1, 1).checked_add(SignedDuration::from_hours(24 * i64::from(days))).ok()
}

/// A time to the microsecond. What is outside the calendar is no row's: sources reject such rows.
fn time(micros: i64) -> String {
    let time = DateTime::constant(1970, 1, 1, 0, 0, 0, 0).checked_add(SignedDuration::from_micros(micros)).unwrap_or(DateTime::MAX);
    format!("{} {:.6}", time.date(), time.time())
}

/// The fault of a statement that the database refuses.
pub(crate) fn refused(fault: Fault) -> Fault {
    match fault.code() {
        // What is a target elsewhere is a query here.
        Code::TargetSchema => Fault::operator(Code::QueryInvalid, "the query can't be run as it is").because(fault),
        _ => fault,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_written_so_that_nothing_in_it_is_taken_for_sql() {
        assert_eq!(Dialect::Postgres.literal(&CursorValue::Text("it's \\".into())), "'it''s \\'");
        assert_eq!(Dialect::Mysql.literal(&CursorValue::Text("a'\\".into())), "_utf8mb4 X'61275c'");
        assert_eq!(Dialect::Sqlite.literal(&CursorValue::Number("-12.50".into())), "-12.50");
        assert_eq!(Dialect::Sqlite.literal(&CursorValue::Number("1; DROP TABLE t".into())), "'1; DROP TABLE t'");
    }

    #[test]
    fn times_keep_their_microseconds() {
        assert_eq!(Dialect::Postgres.literal(&CursorValue::Timestamp(1_000_001)), "'1970-01-01 00:00:01.000001+00'");
        assert_eq!(Dialect::Postgres.literal(&CursorValue::LocalTimestamp(-1)), "'1969-12-31 23:59:59.999999'");
        assert_eq!(Dialect::Postgres.literal(&CursorValue::Date(1)), "'1970-01-02'");
    }

    #[test]
    fn names_are_quoted() {
        assert_eq!(Dialect::Mysql.quoted("a`b"), "`a``b`");
        assert_eq!(Dialect::Postgres.quoted("a\"b"), "\"a\"\"b\"");
    }
}
