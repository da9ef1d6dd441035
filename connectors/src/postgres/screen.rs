//! Which rows the target's CHECK constraints refuse, asked of all rows at once.
//!
//! A COPY that is refused says one row of many. To find the others by trying takes some statements for each, so what constraints say of single rows is looked for
//! first: the columns that they are about are copied into a temporary table, and the server evaluates the constraints there. What else the target may have against
//! a row is left to the search.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Error, Row as _};

use super::catalogue::Catalogue;
use super::copy::{Copy, Marks};
use super::stage::{DELETED, SEQUENCE};
use super::staged::Staged;
use crate::table::quoted_list;

const PROBE: &str = "pg_temp.millrace_probe";

/// The enforced CHECK constraints of a plain table, in the order in which the server evaluates them, with their columns. None where a trigger may change rows before
/// they are checked; none that is about whole rows.
const CONSTRAINTS: &str = "SELECT t.relname::text, c.conname::text, pg_get_expr(c.conbin, c.conrelid), \
     ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey)) \
     FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid \
     WHERE c.conrelid = to_regclass($1) AND c.contype = 'c' AND t.relkind = 'r' AND NOT 0 = ANY (c.conkey) \
     AND to_jsonb(c) ->> 'conenforced' IS DISTINCT FROM 'false' \
     AND NOT EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = c.conrelid AND g.tgtype & 7 = 7) ORDER BY c.conname";

/// What is asked of the rows of a round.
struct Screen {
    /// Makes the table that they are copied to.
    create: String,
    /// Their COPY, of numbers and of `columns`.
    copy: String,
    /// The places of these columns in the catalogue.
    columns: Vec<usize>,
    /// Answers numbers of rows, and for each what is said of it.
    select: String,
}

/// A CHECK constraint.
struct Constraint {
    relation: String,
    name: String,
    expression: String,
    columns: Vec<String>,
}

/// The rows of a round that constraints refuse, by their numbers, with the server's words. What it makes for that is the caller's to undo.
pub(super) async fn refused(
    connection: &mut PgConnection,
    catalogue: &Catalogue,
    staged: &[Staged],
) -> Result<Vec<(usize, String)>, Error> {
    let Some(screen) = Screen::of(connection, catalogue).await? else { return Ok(Vec::new()) };
    sqlx::raw_sql(AssertSqlSafe(screen.create.as_str())).execute(&mut *connection).await?;
    let mut copy = Copy::begin(connection, &screen.copy, Marks::Stage { next: 0, partial: false }).await?;
    for part in staged {
        let columns = catalogue.columns_of(&part.batch);
        let asked: Vec<_> = screen.columns.iter().map(|&place| columns[place]).collect();
        copy.send(part, &asked, 0..part.batch.len()).await?;
    }
    copy.finish().await?;
    screen.refused(connection).await
}

impl Constraint {
    fn refuses(&self) -> String {
        format!("({}) IS FALSE", self.expression)
    }

    /// What the server says of a row that it refuses, as a part of a CASE.
    fn case(&self) -> String {
        let said = format!("new row for relation \"{}\" violates check constraint \"{}\"", self.relation, self.name);
        format!("WHEN {} THEN '{}'", self.refuses(), said.replace('\'', "''"))
    }
}

impl Screen {
    /// What can be asked of rows that have the catalogue's columns; none where there is nothing to ask.
    async fn of(connection: &mut PgConnection, catalogue: &Catalogue) -> Result<Option<Self>, Error> {
        let rows = sqlx::query(CONSTRAINTS).bind(&catalogue.target.name).fetch_all(connection).await?;
        let constraint = |row: &sqlx::postgres::PgRow| {
            Ok(Constraint { relation: row.try_get(0)?, name: row.try_get(1)?, expression: row.try_get(2)?, columns: row.try_get(3)? })
        };
        let constraints = rows.iter().map(constraint).collect::<Result<Vec<_>, Error>>()?;
        let names: Vec<&str> = catalogue.columns.iter().map(|column| column.name.as_str()).collect();
        Ok(Self::with(&catalogue.target.name, &names, &constraints))
    }

    /// A constraint that is about a column which rows do not bring is left to the server: its default or a generated value is what counts.
    fn with(table: &str, names: &[&str], constraints: &[Constraint]) -> Option<Self> {
        let brought = |constraint: &&Constraint| constraint.columns.iter().all(|column| names.contains(&column.as_str()));
        let constraints: Vec<&Constraint> = constraints.iter().filter(brought).collect();
        let is_asked = |name: &str| constraints.iter().any(|constraint| constraint.columns.iter().any(|column| column == name));
        let columns: Vec<usize> = (0..names.len()).filter(|&place| is_asked(names[place])).collect();
        let list = quoted_list(columns.iter().map(|&place| names[place]));
        let cases: Vec<String> = constraints.iter().map(|constraint| constraint.case()).collect();
        let refused: Vec<String> = constraints.iter().map(|constraint| constraint.refuses()).collect();
        (!columns.is_empty()).then(|| Self {
            create: format!(
                "CREATE TEMPORARY TABLE millrace_probe AS SELECT 0::bigint AS {SEQUENCE}, false AS {DELETED}, {list} FROM {table} WITH NO DATA"
            ),
            copy: format!("COPY {PROBE} ({SEQUENCE}, {DELETED}, {list}) FROM STDIN (FORMAT binary)"),
            columns,
            select: format!("SELECT {SEQUENCE}, CASE {} END FROM {PROBE} WHERE {} ORDER BY {SEQUENCE}", cases.join(" "), refused.join(" OR ")),
        })
    }

    /// The rows that the constraints refuse, of those that have been copied, with the server's words.
    async fn refused(&self, connection: &mut PgConnection) -> Result<Vec<(usize, String)>, Error> {
        let rows = sqlx::query(AssertSqlSafe(self.select.as_str())).persistent(false).fetch_all(connection).await?;
        rows.iter().map(|row| Ok((row.try_get::<i64, _>(0)? as usize, row.try_get(1)?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn constraint(name: &str, expression: &str, columns: &[&str]) -> Constraint {
        let columns = columns.iter().map(|&column| column.to_owned()).collect();
        Constraint { relation: "orders".into(), name: name.into(), expression: expression.into(), columns }
    }

    #[test]
    fn only_the_columns_that_constraints_are_about_are_copied() {
        let positive = constraint("positive", "amount > 0", &["amount"]);
        let screen = Screen::with("shop.orders", &["id", "amount", "note"], &[positive]).expect("there is a constraint");
        assert_eq!(screen.columns, [1]);
        assert!(screen.copy.contains("(millrace_sequence, millrace_deleted, \"amount\")"), "{}", screen.copy);
    }

    #[test]
    fn a_constraint_about_what_rows_do_not_bring_is_left_to_the_server() {
        let total = constraint("total", "total > amount", &["amount", "total"]);
        assert!(Screen::with("shop.orders", &["id", "amount"], &[total]).is_none());
        assert!(Screen::with("shop.orders", &["id"], &[]).is_none());
    }

    #[test]
    fn a_quote_in_a_name_ends_no_literal() {
        let named = constraint("it's", "amount > 0", &["amount"]);
        let screen = Screen::with("orders", &["amount"], &[named]).expect("there is a constraint");
        assert!(screen.select.contains("violates check constraint \"it''s\"'"), "{}", screen.select);
    }
}
