//! The statements that bring rows into a table, or take rows out of it.

use std::sync::Arc;

use arrow::datatypes::FieldRef;

use crate::table::{Change, Target, quoted, quoted_list};
use crate::table_config::Mode;

/// How many values go into one statement. SQLite takes 32,766; more than some thousands make nothing faster.
const VALUES: usize = 4096;

/// The statements for rows of the same columns.
pub(super) struct Statements {
    of: Of,
    form: Form,
    /// What is run for as many rows as one statement takes: most of what is run, and long.
    whole: Vec<Arc<str>>,
}

/// What statements are for.
struct Of {
    table: String,
    columns: Vec<String>,
    change: Change,
}

enum Form {
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
        let of = Of { table: table.to_owned(), columns: names.iter().map(|&name| name.to_owned()).collect(), change };
        let form = Form::of(target, table, &names, change);
        let whole = form.texts(form.rows());
        Self { of, form, whole }
    }

    /// Whether they are those of such rows into that table, of a target that is as it was.
    pub(super) fn are_for(&self, table: &str, fields: &[FieldRef], change: Change) -> bool {
        let same = |(name, field): (&String, &FieldRef)| name == field.name();
        let Of { table: of_table, columns, change: of_change } = &self.of;
        of_table == table && *of_change == change && columns.len() == fields.len() && columns.iter().zip(fields).all(same)
    }

    /// How many rows one statement takes.
    pub(super) fn rows(&self) -> usize {
        self.form.rows()
    }

    /// What is to be run for so many rows, one after the other, until it is done.
    pub(super) fn texts(&self, rows: usize) -> Vec<Arc<str>> {
        if rows == self.rows() { self.whole.clone() } else { self.form.texts(rows) }
    }
}

impl Form {
    fn of(target: &Target, table: &str, names: &[&str], change: Change) -> Self {
        let (columns, keyed) = (quoted_list(names.iter().copied()), target.table.mode.is_keyed());
        match change {
            Change::Deletions => {
                Self::Many { head: format!("DELETE FROM {table} WHERE ({columns}) IN (VALUES "), columns: names.len(), tail: ")".into() }
            }
            Change::Rows if target.table.mode == Mode::Mirror && names.len() < target.schema.arrow().fields().len() => {
                Self::partial(target, names)
            }
            Change::Rows => Self::Many {
                head: format!("INSERT INTO {table} ({columns}) VALUES "),
                columns: names.len(),
                tail: if keyed { format!(" {}", target.on_conflict(names)) } else { String::new() },
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

    fn rows(&self) -> usize {
        match self {
            Self::Many { columns, .. } => (VALUES / columns.max(&1)).max(1),
            Self::Partial { .. } => 1,
        }
    }

    fn texts(&self, rows: usize) -> Vec<Arc<str>> {
        match self {
            Self::Many { head, columns, tail } => {
                let row = format!("({})", vec!["?"; *columns].join(","));
                vec![format!("{head}{}{tail}", vec![row; rows].join(",")).into()]
            }
            Self::Partial { update, insert } => vec![update.as_str().into(), insert.as_str().into()],
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, Field, Schema as ArrowSchema};
    use millrace_model::Schema;
    use serde_json::json;

    use super::*;
    use crate::sqlite::target::target;
    use crate::table_config::TableConfig;

    fn statements(change: Change) -> Statements {
        let columns = ["id", "amount"].map(|name| Field::new(name, DataType::Utf8, false)).to_vec();
        let schema = Schema::new(json!({ "type": "record", "name": "Order" }), Arc::new(ArrowSchema::new(columns)));
        let (pipeline, keys) = ("p.load".into(), vec!["id".into()]);
        let table = TableConfig { pipeline, table: "orders".into(), mode: Mode::Upsert, keys, partition_by: None, redis: None };
        let target = target(&table, &schema);
        Statements::of(&target, &target.name, &fields(if change == Change::Rows { &["id", "amount"] } else { &["id"] }), change)
    }

    fn fields(names: &[&str]) -> Vec<FieldRef> {
        names.iter().map(|name| Arc::new(Field::new(*name, DataType::Utf8, true))).collect()
    }

    #[test]
    fn what_is_run_for_whole_chunks_is_made_once() {
        let statements = statements(Change::Rows);
        assert_eq!(statements.rows(), VALUES / 2);
        let [first, again] = [0; 2].map(|_| statements.texts(VALUES / 2).remove(0));
        assert!(Arc::ptr_eq(&first, &again));
        assert_eq!(first.matches("(?,?)").count(), VALUES / 2);
        assert!(statements.texts(2)[0].starts_with("INSERT INTO \"orders\" (\"id\", \"amount\") VALUES (?,?),(?,?) ON CONFLICT"));
    }

    #[test]
    fn the_next_batch_has_the_same_statements_when_it_does_the_same_with_the_same_columns() {
        let statements = statements(Change::Deletions);
        assert!(statements.are_for("\"orders\"", &fields(&["id"]), Change::Deletions));
        assert!(!statements.are_for("\"orders\"", &fields(&["id"]), Change::Rows));
        assert!(!statements.are_for("\"others\"", &fields(&["id"]), Change::Deletions));
        assert!(!statements.are_for("\"orders\"", &fields(&["id", "amount"]), Change::Deletions));
        assert!(!statements.are_for("\"orders\"", &fields(&["key"]), Change::Deletions));
    }
}
