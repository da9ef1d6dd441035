//! The statements that bring rows into a table, or take rows out of it.

use arrow::datatypes::FieldRef;

use crate::table::{Change, Target, quoted, quoted_list};
use crate::table_config::Mode;

/// How many values go into one statement. SQLite takes 32,766; more than some thousands make nothing faster.
const VALUES: usize = 4096;

/// The statements for the rows of one batch.
pub(super) enum Statements {
    /// One for many rows: what stands before the rows, how many columns each has, and what stands after them.
    Many { head: String, columns: usize, tail: String },
    /// Rows that lack columns, one at a time: those columns are left as they are, so an `UPDATE` comes first. Only where it
    /// finds no row is one inserted: a column that takes no null would refuse an `INSERT` even of a row that is there.
    Partial { update: String, insert: String },
}

impl Statements {
    /// For rows of these columns, into `table`.
    pub(super) fn of(target: &Target, table: &str, fields: &[FieldRef], change: Change) -> Self {
        let names: Vec<&str> = fields.iter().map(|field| field.name().as_str()).collect();
        let (columns, keyed) = (quoted_list(names.iter().copied()), target.table.mode.is_keyed());
        match change {
            Change::Deletions => {
                Self::Many { head: format!("DELETE FROM {table} WHERE ({columns}) IN (VALUES "), columns: names.len(), tail: ")".into() }
            }
            Change::Rows if target.table.mode == Mode::Mirror && names.len() < target.schema.arrow().fields().len() => {
                Self::partial(target, &names)
            }
            Change::Rows => Self::Many {
                head: format!("INSERT INTO {table} ({columns}) VALUES "),
                columns: names.len(),
                tail: if keyed { format!(" {}", target.on_conflict(&names)) } else { String::new() },
            },
        }
    }

    fn partial(target: &Target, names: &[&str]) -> Self {
        let (table, columns) = (&target.name, quoted_list(names.iter().copied()));
        let is_key = |name: &str| target.table.keys.iter().any(|key| key == name);
        let equal = |(number, name): (usize, &&str)| format!("{} = ?{}", quoted(name), number + 1);
        let same_key: Vec<String> = names.iter().enumerate().filter(|(_, name)| is_key(name)).map(equal).collect();
        let set: Vec<String> = names.iter().enumerate().map(equal).collect();
        let values: Vec<String> = (1..=names.len()).map(|number| format!("?{number}")).collect();
        Self::Partial {
            update: format!("UPDATE {table} SET {} WHERE {}", set.join(", "), same_key.join(" AND ")),
            insert: format!("INSERT INTO {table} ({columns}) VALUES ({})", values.join(", ")),
        }
    }

    /// How many rows one statement takes.
    pub(super) fn rows(&self) -> usize {
        match self {
            Self::Many { columns, .. } => (VALUES / columns.max(&1)).max(1),
            Self::Partial { .. } => 1,
        }
    }

    /// What is to be run for so many rows, one after the other, until it is done.
    pub(super) fn texts(&self, rows: usize) -> Vec<String> {
        match self {
            Self::Many { head, columns, tail } => {
                let row = format!("({})", vec!["?"; *columns].join(","));
                vec![format!("{head}{}{tail}", vec![row; rows].join(","))]
            }
            Self::Partial { update, insert } => vec![update.clone(), insert.clone()],
        }
    }
}
