//! The statements that read a query by its cursor.

use super::database::{Dialect, QueryColumn};
use super::position::CursorValue;

/// What the statements are made of.
#[derive(Debug)]
pub(super) struct Select {
    dialect: Dialect,
    /// `SELECT …` and `FROM (…)`.
    from: String,
    /// The columns of the cursor, quoted.
    cursor: Vec<String>,
}

impl Select {
    /// Of the columns of `sql`, by `cursor`.
    pub(super) fn new(dialect: Dialect, sql: &str, columns: &[QueryColumn], cursor: &[String]) -> Self {
        let list = columns.iter().map(|column| format!("{} AS {}", column.expression, dialect.quoted(&column.name)));
        // The statement has lines of its own: it may end with a comment.
        let from = format!("SELECT {} FROM (\n{sql}\n) AS millrace_query", list.collect::<Vec<_>>().join(", "));
        Self { dialect, from, cursor: cursor.iter().map(|column| dialect.quoted(column)).collect() }
    }

    /// The rows after `after` and up to `to`, in the order of the cursor.
    pub(super) fn rows(&self, after: Option<&[CursorValue]>, to: Option<&[CursorValue]>) -> String {
        let mut conditions = self.each("IS NOT NULL");
        conditions.extend(after.map(|last| self.beyond(last, ">", false)));
        conditions.extend(to.map(|bound| self.beyond(bound, "<", true)));
        format!("{} WHERE {} ORDER BY {}", self.from, conditions.join(" AND "), self.cursor.join(", "))
    }

    /// The last row by the cursor.
    pub(super) fn last(&self) -> String {
        let order: Vec<String> = self.each("DESC");
        format!("{} WHERE {} ORDER BY {} LIMIT 1", self.from, self.each("IS NOT NULL").join(" AND "), order.join(", "))
    }

    /// The rows that have no cursor, at most `limit`.
    pub(super) fn without_cursor(&self, limit: usize) -> String {
        format!("{} WHERE {} LIMIT {limit}", self.from, self.each("IS NULL").join(" OR "))
    }

    fn each(&self, what: &str) -> Vec<String> {
        self.cursor.iter().map(|column| format!("{column} {what}")).collect()
    }

    /// That a row is beyond these values: by the first column, or there equal and by the next. The first column is compared by itself
    /// too, which every planner finds an index for. (Few compare rows by an index, and one that compares them does it for NOT NULL only.)
    fn beyond(&self, values: &[CursorValue], by: &str, or_equal: bool) -> String {
        let pairs: Vec<(&String, String)> =
            self.cursor.iter().zip(values).map(|(column, value)| (column, self.dialect.literal(value))).collect();
        let mut condition = String::new();
        for (column, value) in pairs.iter().rev() {
            condition = match condition.as_str() {
                "" if or_equal => format!("{column} {by}= {value}"),
                "" => format!("{column} {by} {value}"),
                rest => format!("({column} {by}= {value} AND ({column} {by} {value} OR {rest}))"),
            };
        }
        condition
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millrace_runtime::formats::CellType;

    fn select(cursor: &[&str]) -> Select {
        let columns = [QueryColumn { name: "a".into(), expression: "\"a\"".into(), cells: CellType::Integer }];
        let cursor: Vec<String> = cursor.iter().map(|&column| column.to_owned()).collect();
        Select::new(Dialect::Sqlite, "SELECT a FROM t -- all", &columns, &cursor)
    }

    fn number(value: i64) -> CursorValue {
        CursorValue::Number(value.to_string())
    }

    #[test]
    fn rows_come_in_the_order_of_the_cursor_after_the_last_one() {
        let from = "SELECT \"a\" AS \"a\" FROM (\nSELECT a FROM t -- all\n) AS millrace_query";
        assert_eq!(select(&["a"]).rows(None, None), format!("{from} WHERE \"a\" IS NOT NULL ORDER BY \"a\""));
        assert_eq!(select(&["a"]).rows(Some(&[number(7)]), None), format!("{from} WHERE \"a\" IS NOT NULL AND \"a\" > 7 ORDER BY \"a\""));
    }

    #[test]
    fn equal_values_of_one_column_are_told_apart_by_the_next() {
        let both = [number(7), CursorValue::Text("x'y".into())];
        assert!(select(&["a", "b"]).rows(Some(&both), None).contains("(\"a\" >= 7 AND (\"a\" > 7 OR \"b\" > 'x''y'))"));
        assert!(select(&["a", "b"]).rows(None, Some(&both)).contains("(\"a\" <= 7 AND (\"a\" < 7 OR \"b\" <= 'x''y'))"));
    }

    #[test]
    fn the_last_row_and_those_without_a_cursor_are_asked_for() {
        assert!(select(&["a", "b"]).last().ends_with("ORDER BY \"a\" DESC, \"b\" DESC LIMIT 1"));
        assert!(select(&["a", "b"]).without_cursor(5).ends_with("WHERE \"a\" IS NULL OR \"b\" IS NULL LIMIT 5"));
    }
}
