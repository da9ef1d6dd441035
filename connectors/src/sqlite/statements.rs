//! The statements that bring rows into a table, or take rows out of it.

use std::sync::Arc;

use arrow::datatypes::FieldRef;

use crate::table::{Change, Target, quoted, quoted_list};
use crate::table_config::Mode;

/// The statements for rows of the same columns.
pub(super) struct Statements {
    of: Of,
    texts: Vec<Arc<str>>,
}

/// What statements are for.
struct Of {
    table: String,
    columns: Vec<String>,
    change: Change,
}

impl Statements {
    /// For rows of these columns, into `table`.
    pub(super) fn of(target: &Target, table: &str, fields: &[FieldRef], change: Change) -> Self {
        let names: Vec<&str> = fields.iter().map(|field| field.name().as_str()).collect();
        let of = Of { table: table.to_owned(), columns: names.iter().map(|&name| name.to_owned()).collect(), change };
        Self { of, texts: texts(target, table, &names, change) }
    }

    /// Whether they are those of such rows into that table, of a target that is as it was.
    pub(super) fn are_for(&self, table: &str, fields: &[FieldRef], change: Change) -> bool {
        let same = |(name, field): (&String, &FieldRef)| name == field.name();
        let Of { table: of_table, columns, change: of_change } = &self.of;
        of_table == table && *of_change == change && columns.len() == fields.len() && columns.iter().zip(fields).all(same)
    }

    /// What is to be run for a row, one after the other, until one has changed something.
    pub(super) fn texts(&self) -> &[Arc<str>] {
        &self.texts
    }
}

fn texts(target: &Target, table: &str, names: &[&str], change: Change) -> Vec<Arc<str>> {
    let (columns, values) = (quoted_list(names.iter().copied()), (1..=names.len()).map(|number| format!("?{number}")).collect::<Vec<_>>());
    let insert = format!("INSERT INTO {table} ({columns}) VALUES ({})", values.join(", "));
    match change {
        Change::Deletions => vec![format!("DELETE FROM {table} WHERE ({columns}) IN (VALUES ({}))", values.join(", ")).into()],
        Change::Rows if target.table.mode == Mode::Mirror && names.len() < target.schema.arrow().fields().len() => {
            vec![update(target, names).into(), insert.into()]
        }
        Change::Rows if target.table.mode.is_keyed() => vec![format!("{insert} {}", target.on_conflict(names)).into()],
        Change::Rows => vec![insert.into()],
    }
}

/// Of rows that lack columns, which are left as they are. Only where it finds no row is one inserted: a column that takes no null would refuse an
/// `INSERT` even of a row that is there.
fn update(target: &Target, names: &[&str]) -> String {
    let is_key = |name: &str| target.table.keys.iter().any(|key| key == name);
    let equal = |(number, name): (usize, &&str)| format!("{} = ?{}", quoted(name), number + 1);
    let same_key: Vec<String> = names.iter().enumerate().filter(|(_, name)| is_key(name)).map(equal).collect();
    let set: Vec<String> = names.iter().enumerate().map(equal).collect();
    format!("UPDATE {} SET {} WHERE {}", target.name, set.join(", "), same_key.join(" AND "))
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
    fn a_row_is_inserted_or_takes_the_place_of_its_keys_row() {
        let texts = statements(Change::Rows);
        let [insert] = texts.texts() else { panic!("one statement") };
        assert!(insert.starts_with("INSERT INTO \"orders\" (\"id\", \"amount\") VALUES (?1, ?2) ON CONFLICT"), "{insert}");
        let texts = statements(Change::Deletions);
        assert_eq!(*texts.texts()[0], *"DELETE FROM \"orders\" WHERE (\"id\") IN (VALUES (?1))");
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
