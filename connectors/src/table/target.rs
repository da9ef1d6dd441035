//! A table that rows are loaded into: how it is made, and how one that exists is compared with the schema.

use std::collections::BTreeSet;
use std::fmt::Display;

use arrow::datatypes::Field;
use millrace_model::{Result, Schema};
use sqlx::{ColumnIndex, Decode, FromRow, Row, Type};

use super::{Column, Kind, Misfit, MisfitKind, Quotes, check, part_of, partitioned, quoted, unfit};
use crate::table_config::{Capabilities, Mode, TableConfig};

/// A table, and the schema of the rows that it is to take.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) table: TableConfig,
    pub(crate) schema: Schema,
    /// The table's name as SQL has it, quoted.
    pub(crate) name: String,
    /// How the target quotes names.
    pub(crate) quotes: Quotes,
    /// The type that a new table gets for a kind of column.
    pub(crate) sql_type: fn(Kind, Role) -> String,
    pub(crate) capabilities: &'static Capabilities,
}

/// What a column is to its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// One of so many that make the primary key of a new table.
    Key {
        of: usize,
    },
    Plain,
}

/// A column as the catalogue has it. Its declared type shows as SQL writes it.
#[derive(Debug, Clone)]
pub(crate) struct Existing<T> {
    pub(crate) name: String,
    pub(crate) declared: T,
    /// Whether it takes no null.
    pub(crate) required: bool,
    pub(crate) has_default: bool,
    /// Whether the database computes its values.
    pub(crate) generated: bool,
}

impl<'r, R, T> FromRow<'r, R> for Existing<T>
where
    R: Row,
    T: FromRow<'r, R>,
    &'static str: ColumnIndex<R>,
    String: Decode<'r, R::Database> + Type<R::Database>,
    bool: Decode<'r, R::Database> + Type<R::Database>,
{
    fn from_row(row: &'r R) -> Result<Self, sqlx::Error> {
        Ok(Self {
            name: row.try_get("name")?,
            declared: T::from_row(row)?,
            required: row.try_get("required")?,
            has_default: row.try_get("has_default")?,
            generated: row.try_get("generated")?,
        })
    }
}

impl Target {
    /// The columns that a new table gets.
    pub(crate) fn columns(&self) -> Result<Vec<Column>> {
        check(&self.table, &self.schema, self.capabilities, |name, kind| (self.sql_type)(kind, self.role(name)))
    }

    /// The quoted key columns.
    pub(crate) fn keys(&self) -> String {
        self.quotes.list(self.table.keys.iter().map(String::as_str))
    }

    /// Whether a new table has a primary key.
    pub(crate) fn has_primary_key(&self) -> bool {
        self.table.mode != Mode::Append && !self.table.keys.is_empty()
    }

    fn role(&self, column: &str) -> Role {
        if self.has_primary_key() && self.is_key(column) { Role::Key { of: self.table.keys.len() } } else { Role::Plain }
    }

    /// Whether the column is one of the keys.
    pub(crate) fn is_key(&self, column: &str) -> bool {
        self.table.keys.iter().any(|key| key == column)
    }

    /// The columns of the schema that a table which exists does not have, and may be given: a key tells rows apart that are there already.
    pub(crate) fn additions<T>(&self, existing: &[Existing<T>]) -> Result<Vec<Column>> {
        let mut columns = self.columns()?;
        columns.retain(|column| !self.is_key(&column.name) && existing.iter().all(|found| found.name != column.name));
        Ok(columns)
    }

    /// The same for rows of the columns alone that a table which exists has. Keys are never left out.
    pub(crate) fn present<T>(&self, existing: &[Existing<T>]) -> Self {
        let keeps = |name: &str| self.is_key(name) || existing.iter().any(|column| column.name == name);
        Self { schema: part_of(&self.schema, keeps), ..self.clone() }
    }

    /// The statement that makes the table.
    pub(crate) fn definition(&self) -> Result<String> {
        let columns = self.columns()?.into_iter().map(|column| {
            let null = if column.nullable { "" } else { " NOT NULL" };
            format!("{} {}{null}", self.quotes.name(&column.name), column.sql_type)
        });
        let mut parts: Vec<String> = columns.collect();
        if self.has_primary_key() {
            parts.push(format!("PRIMARY KEY ({})", self.keys()));
        }
        Ok(format!("CREATE TABLE IF NOT EXISTS {} ({}){}", self.name, parts.join(", "), partitioned::clause(&self.table)))
    }

    /// What an `INSERT` of these columns does with a row whose key is there already: the later one wins, or the one that is there stays.
    pub(crate) fn on_conflict(&self, columns: &[&str]) -> String {
        if self.table.mode == Mode::InsertIgnore {
            return format!("ON CONFLICT ({}) DO NOTHING", self.keys());
        }
        let others = columns.iter().filter(|name| !self.table.keys.iter().any(|key| key == *name));
        let set: Vec<String> = others.map(|name| format!("{0} = excluded.{0}", quoted(name))).collect();
        let action = if set.is_empty() { "NOTHING".into() } else { format!("UPDATE SET {}", set.join(", ")) };
        format!("ON CONFLICT ({}) DO {action}", self.keys())
    }

    /// Compares the columns and the unique indexes that exist with the schema. Returns for each of the schema's columns how the
    /// existing one takes it, as `fit` says.
    pub(crate) fn compare<T: Display, F>(
        &self,
        existing: &[Existing<T>],
        unique: &[BTreeSet<String>],
        fit: impl Fn(Kind, &Existing<T>) -> Option<F>,
    ) -> Result<Vec<F>> {
        if let Some(misfit) = self.table_misfits(existing, unique).first() {
            return Err(misfit.into());
        }
        let fields = self.schema.arrow().fields().iter();
        fields.map(|field| self.column(field, existing, &fit)?.map_err(|misfit| (&misfit).into())).collect()
    }

    /// All that does not fit.
    pub(crate) fn misfits<T: Display, F>(
        &self,
        existing: &[Existing<T>],
        unique: &[BTreeSet<String>],
        fit: impl Fn(Kind, &Existing<T>) -> Option<F>,
    ) -> Result<Vec<Misfit>> {
        let mut misfits = self.table_misfits(existing, unique);
        for field in self.schema.arrow().fields() {
            misfits.extend(self.column(field, existing, &fit)?.err());
        }
        Ok(misfits)
    }

    /// How the existing column takes a column of the schema.
    fn column<T: Display, F>(
        &self,
        field: &Field,
        existing: &[Existing<T>],
        fit: impl Fn(Kind, &Existing<T>) -> Option<F>,
    ) -> Result<Result<F, Misfit>> {
        let kind = Kind::of(field)
            .ok_or_else(|| unfit(format!("column {:?} is of a type that no table holds ({})", field.name(), field.data_type())))?;
        let (column, wanted) = (field.name().clone(), (self.sql_type)(kind, self.role(field.name())));
        let Some(found) = existing.iter().find(|found| found.name == column) else {
            return Ok(Err(self.misfit(MisfitKind::Missing { column, sql_type: wanted })));
        };
        if found.generated {
            return Ok(Err(self.misfit(MisfitKind::Generated { column })));
        }
        let declared = || found.declared.to_string();
        Ok(fit(kind, found).ok_or_else(|| self.misfit(MisfitKind::Type { column, declared: declared(), wanted })))
    }

    fn table_misfits<T>(&self, existing: &[Existing<T>], unique: &[BTreeSet<String>]) -> Vec<Misfit> {
        self.keys_misfit(unique).into_iter().chain(self.unfilled(existing)).collect()
    }

    /// Columns that the pipeline does not fill must fill themselves.
    fn unfilled<T>(&self, existing: &[Existing<T>]) -> impl Iterator<Item = Misfit> {
        let loads = |column: &Existing<T>| self.schema.arrow().field_with_name(&column.name).is_ok();
        let unfilled = existing.iter().filter(move |column| column.required && !column.has_default && !column.generated && !loads(column));
        unfilled.map(|column| self.misfit(MisfitKind::Unfilled { column: column.name.clone() }))
    }

    /// `ON CONFLICT` goes by a unique index on exactly the keys.
    fn keys_misfit(&self, unique: &[BTreeSet<String>]) -> Option<Misfit> {
        let wanted: BTreeSet<String> = self.table.keys.iter().cloned().collect();
        let fits = !self.table.mode.is_keyed() || unique.contains(&wanted);
        (!fits).then(|| self.misfit(MisfitKind::Keys { table: self.table.table.clone(), keys: self.table.keys.clone() }))
    }

    fn misfit(&self, kind: MisfitKind) -> Misfit {
        Misfit { table: self.name.clone(), kind, quotes: self.quotes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Partitioning;
    use arrow::datatypes::{DataType, Schema as ArrowSchema};
    use serde_json::json;
    use std::sync::Arc;

    fn target(mode: Mode) -> Target {
        let fields = vec![Field::new("id", DataType::Int64, false), Field::new("note", DataType::Utf8, true)];
        let schema = Schema::new(json!({"type": "record", "name": "note"}), Arc::new(ArrowSchema::new(fields)));
        let table = TableConfig {
            pipeline: "p.load".into(),
            table: "notes".into(),
            mode,
            keys: vec!["id".into()],
            partition_by: None,
            redis: None,
        };
        let sql_type = |kind, _| if kind == Kind::Text { "text".into() } else { "bigint".into() };
        let capabilities = &Capabilities {
            name: "test",
            modes: &[Mode::Append, Mode::Upsert, Mode::InsertIgnore],
            partitions: Partitioning::ALL,
            columns: 2,
            columns_of_stage: 0,
            columns_of_loading: 2,
            grows: true,
        };
        Target { table, schema, name: quoted("notes"), quotes: Quotes::Double, sql_type, capabilities }
    }

    fn column(name: &str, declared: &'static str) -> Existing<&'static str> {
        Existing { name: name.into(), declared, required: false, has_default: false, generated: false }
    }

    fn compare(existing: &[Existing<&'static str>], unique: &[&[&str]]) -> Result<Vec<String>, String> {
        let unique: Vec<BTreeSet<String>> = unique.iter().map(|keys| keys.iter().map(|&key| key.to_owned()).collect()).collect();
        let fit = |kind, column: &Existing<&str>| {
            (kind != Kind::Text || column.declared == "text").then(|| format!("{} as {}", column.name, column.declared))
        };
        target(Mode::Upsert).compare(existing, &unique, fit).map_err(|fault| fault.message().to_owned())
    }

    #[test]
    fn a_new_table_has_the_columns_of_the_schema_and_the_key_of_an_upsert() {
        let columns = r#"CREATE TABLE IF NOT EXISTS "notes" ("id" bigint NOT NULL, "note" text"#;
        assert_eq!(target(Mode::Append).definition().expect("fits"), format!("{columns})"));
        assert_eq!(target(Mode::Upsert).definition().expect("fits"), format!(r#"{columns}, PRIMARY KEY ("id"))"#));
    }

    #[test]
    fn the_later_row_of_a_key_wins() {
        let target = target(Mode::Upsert);
        assert_eq!(target.on_conflict(&["id", "note"]), r#"ON CONFLICT ("id") DO UPDATE SET "note" = excluded."note""#);
        assert_eq!(target.on_conflict(&["id"]), r#"ON CONFLICT ("id") DO NOTHING"#);
    }

    #[test]
    fn the_first_row_of_a_key_stays_where_later_ones_are_ignored() {
        assert_eq!(target(Mode::InsertIgnore).on_conflict(&["id", "note"]), r#"ON CONFLICT ("id") DO NOTHING"#);
    }

    #[test]
    fn columns_are_compared_by_name_in_the_order_of_the_schema() {
        let existing = [column("more", "text"), column("note", "text"), column("id", "int8")];
        assert_eq!(compare(&existing, &[&["note"], &["id"]]).expect("fits"), ["id as int8", "note as text"]);
    }

    #[test]
    fn all_that_does_not_fit_is_told_at_once() {
        let existing = [column("id", "int8"), Existing { required: true, ..column("more", "text") }];
        let misfits = target(Mode::Upsert).misfits(&existing, &[], |_, _| Some(())).expect("is storable");
        let kinds: Vec<_> = misfits.into_iter().map(|misfit| misfit.kind).collect();
        assert_eq!(
            kinds,
            [
                MisfitKind::Keys { table: "notes".into(), keys: vec!["id".into()] },
                MisfitKind::Unfilled { column: "more".into() },
                MisfitKind::Missing { column: "note".into(), sql_type: "text".into() },
            ]
        );
    }

    #[test]
    fn what_does_not_fit_says_what_to_do() {
        let (id, note) = (column("id", "int8"), column("note", "text"));
        let told = |existing: &[Existing<&'static str>], unique: &[&[&str]], what: &str| {
            let message = compare(existing, unique).expect_err("does not fit");
            assert!(message.contains(what), "{message}");
        };
        let fits = [id.clone(), note.clone()];
        told(&fits, &[&["id", "note"]], r#"CREATE UNIQUE INDEX "notes_keys" ON "notes" ("id")"#);
        told(&[column("id", "int8")], &[&["id"]], r#"ALTER TABLE "notes" ADD COLUMN "note" text"#);
        told(&[id.clone(), column("note", "point")], &[&["id"]], "is point, and the schema's values need text");
        told(&[id.clone(), Existing { generated: true, ..note.clone() }], &[&["id"]], "is generated");
        told(&[id, note, Existing { required: true, ..column("more", "text") }], &[&["id"]], r#"column "more""#);
    }
}
