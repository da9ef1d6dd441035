//! The target table: made from the schema when it does not exist, else read from the catalogue and compared with it.

use std::collections::BTreeSet;

use millrace_model::{Result, Schema};
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, FromRow, Row};

use super::fault::fault;
use super::types::{Declared, Form, Limit, fit, sql_type};
use crate::config::{Mode, TableConfig};
use crate::table::{Column, Kind, check, quoted, quoted_list, unfit};

/// A table that rows are loaded into.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) table: TableConfig,
    pub(super) schema: Schema,
    /// The database's schema that table and positions are in.
    pub(super) namespace: String,
}

/// How one column of the schema goes into the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Loaded {
    pub(super) name: String,
    pub(super) form: Form,
    pub(super) limit: Limit,
    /// Whether the target takes no null here.
    pub(super) required: bool,
}

/// A column as the catalogue has it.
#[derive(Debug, Clone)]
struct Existing {
    name: String,
    type_name: String,
    type_class: String,
    modifier: i32,
    /// The type as SQL writes it.
    shown: String,
    required: bool,
    has_default: bool,
    generated: bool,
}

impl FromRow<'_, PgRow> for Existing {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            name: row.try_get("name")?,
            type_name: row.try_get("type_name")?,
            type_class: row.try_get("type_class")?,
            modifier: row.try_get("modifier")?,
            shown: row.try_get("shown")?,
            required: row.try_get("required")?,
            has_default: row.try_get("has_default")?,
            generated: row.try_get("generated")?,
        })
    }
}

/// Types of domains are those of their base: that is what their receive function takes.
const COLUMNS: &str = "SELECT a.attname::text AS name, b.typname::text AS type_name, b.typtype::text AS type_class, \
     CASE WHEN t.typtype = 'd' THEN t.typtypmod ELSE a.atttypmod END AS modifier, format_type(a.atttypid, a.atttypmod) AS shown, \
     a.attnotnull AS required, (a.atthasdef OR a.attidentity <> '') AS has_default, (a.attgenerated <> '') AS generated \
     FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid \
     JOIN pg_type b ON b.oid = CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END \
     WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum";

/// The column sets of the indexes that ON CONFLICT can go by.
const UNIQUE: &str = "SELECT array_agg(a.attname::text) FROM pg_index i \
     JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey[0:i.indnkeyatts - 1]) \
     WHERE i.indrelid = to_regclass($1) AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL \
     GROUP BY i.indexrelid";

impl Target {
    /// The columns that a new table gets.
    pub(super) fn columns(&self) -> Result<Vec<Column>> {
        check(&self.table, &self.schema, sql_type)
    }

    /// The table's quoted name.
    pub(super) fn name(&self) -> String {
        self.qualified(&self.table.table)
    }

    /// The quoted name of a table beside it.
    pub(super) fn qualified(&self, table: &str) -> String {
        format!("{}.{}", quoted(&self.namespace), quoted(table))
    }

    /// The quoted key columns.
    pub(super) fn keys(&self) -> String {
        quoted_list(self.table.keys.iter().map(String::as_str))
    }

    /// The statement that makes the table.
    pub(super) fn definition(&self) -> Result<String> {
        let columns = self.columns()?.into_iter().map(|column| {
            let null = if column.nullable { "" } else { " NOT NULL" };
            format!("{} {}{null}", quoted(&column.name), column.sql_type)
        });
        let mut parts: Vec<String> = columns.collect();
        if self.table.mode == Mode::Upsert {
            parts.push(format!("PRIMARY KEY ({})", self.keys()));
        }
        Ok(format!("CREATE TABLE IF NOT EXISTS {} ({})", self.name(), parts.join(", ")))
    }

    /// Compares the table in the database with the schema, and says how each column goes into it.
    pub(super) async fn compare(&self, connection: &mut PgConnection) -> Result<Vec<Loaded>> {
        let doing = format!("reading the columns of {}", self.name());
        let existing: Vec<Existing> =
            sqlx::query_as(COLUMNS).bind(self.name()).fetch_all(&mut *connection).await.map_err(|error| fault(&doing, error))?;
        let unique: Vec<(Vec<String>,)> =
            sqlx::query_as(UNIQUE).bind(self.name()).fetch_all(connection).await.map_err(|error| fault(&doing, error))?;
        self.check_unique(unique.into_iter().map(|(columns,)| columns))?;
        self.check_others(&existing)?;
        self.schema.arrow().fields().iter().map(|field| self.column(field, &existing)).collect()
    }

    fn column(&self, field: &arrow::datatypes::Field, existing: &[Existing]) -> Result<Loaded> {
        let (table, name) = (self.name(), field.name());
        let kind =
            Kind::of(field).ok_or_else(|| unfit(format!("column {name:?} is of a type that no table holds ({})", field.data_type())))?;
        let wanted = sql_type(kind);
        let Some(column) = existing.iter().find(|column| column.name == *name) else {
            return Err(unfit(format!("table {table} has no column {name:?}: ALTER TABLE {table} ADD COLUMN {} {wanted}", quoted(name))));
        };
        if column.generated {
            return Err(unfit(format!(
                "column {name:?} of {table} is generated by the database: drop it there, or leave it out of the pipeline's schema"
            )));
        }
        let declared = Declared { name: &column.type_name, class: &column.type_class, modifier: column.modifier };
        let (form, limit) = fit(kind, declared).ok_or_else(|| {
            unfit(format!(
                "column {name:?} of {table} is {}, and the schema's values need {wanted}: change the column or the schema",
                column.shown
            ))
        })?;
        Ok(Loaded { name: name.clone(), form, limit, required: column.required })
    }

    /// Columns that the pipeline does not fill must fill themselves.
    fn check_others(&self, existing: &[Existing]) -> Result<()> {
        let loads = |column: &&Existing| self.schema.arrow().field_with_name(&column.name).is_ok();
        match existing.iter().filter(|column| !loads(column)).find(|column| column.required && !column.has_default && !column.generated) {
            Some(column) => Err(unfit(format!(
                "column {:?} of {} takes no null, has no default, and is not in the schema: give it a default, or load it",
                column.name,
                self.name()
            ))),
            None => Ok(()),
        }
    }

    fn check_unique(&self, mut unique: impl Iterator<Item = Vec<String>>) -> Result<()> {
        let keys: BTreeSet<&String> = self.table.keys.iter().collect();
        if self.table.mode == Mode::Append || unique.any(|columns| columns.iter().collect::<BTreeSet<_>>() == keys) {
            return Ok(());
        }
        let (table, keys) = (self.name(), self.keys());
        Err(unfit(format!("table {table} has no unique index on its keys ({keys}): CREATE UNIQUE INDEX ON {table} ({keys})")))
    }
}

/// Makes what is missing, without troubling the catalogue or the user's rights when nothing is.
///
/// An advisory lock keeps two that start at once from making the same table, which `IF NOT EXISTS` alone does not.
pub(super) async fn ensure(connection: &mut PgConnection, name: &str, definition: &str) -> Result<()> {
    let doing = format!("making table {name}");
    let exists: bool = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
        .bind(name)
        .fetch_one(&mut *connection)
        .await
        .map_err(|error| fault(&doing, error))?;
    if exists {
        return Ok(());
    }
    let sql = format!("BEGIN; SELECT pg_advisory_xact_lock(hashtextextended('millrace', 0)); {definition}; COMMIT");
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.map(drop).map_err(|error| fault(&doing, error))
}
