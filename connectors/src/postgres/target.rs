//! The target table in the catalogue.

use std::collections::BTreeSet;
use std::fmt;

use millrace_model::{Result, Schema};
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, FromRow, Row};

use super::CAPABILITIES;
use super::config::Config;
use super::fault::fault;
use super::growth;
use super::types::{Declared, Form, Limit, fit, sql_type};
use crate::table::{Existing, Kind, Misfit, Quotes, Target, quoted};
use crate::table_config::TableConfig;

/// How one column of the schema goes into the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Loaded {
    pub(super) name: String,
    pub(super) form: Form,
    pub(super) limit: Limit,
    /// Whether the target takes no null here.
    pub(super) required: bool,
}

/// A column's declared type: that of the domain's base where it is of a domain.
#[derive(Debug)]
pub(super) struct ColumnType {
    name: String,
    class: String,
    modifier: i32,
    /// The type as SQL writes it.
    pub(super) shown: String,
}

impl FromRow<'_, PgRow> for ColumnType {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            name: row.try_get("type_name")?,
            class: row.try_get("type_class")?,
            modifier: row.try_get("modifier")?,
            shown: row.try_get("shown")?,
        })
    }
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
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

impl Config {
    /// The table of the connection's schema that rows are loaded into.
    pub(super) fn target(&self, table: &TableConfig, schema: &Schema) -> Target {
        Target {
            table: table.clone(),
            schema: schema.clone(),
            name: self.qualified(&table.table),
            quotes: Quotes::Double,
            sql_type: |kind, _| sql_type(kind),
            capabilities: &CAPABILITIES,
        }
    }

    /// The quoted name of a table of the connection's schema.
    pub(super) fn qualified(&self, table: &str) -> String {
        format!("{}.{}", quoted(&self.schema), quoted(table))
    }
}

/// What keeps two that start at once from making the same table, which `IF NOT EXISTS` alone does not.
pub(super) const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtextextended('millrace', 0))";

/// Compares the table in the database with the schema, and says how each column goes into it.
pub(super) async fn compare(connection: &mut PgConnection, target: &Target) -> Result<Vec<Loaded>> {
    let (existing, unique) = read(connection, target).await?;
    let mut columns = target.compare(&existing, &unique, loaded)?;
    if let Some(by) = &target.table.partition_by {
        // No partition takes a null.
        columns.iter_mut().filter(|column| column.name == by.column).for_each(|column| column.required = true);
    }
    Ok(columns)
}

/// The target for rows of the columns alone that the table has.
pub(super) async fn present(connection: &mut PgConnection, target: &Target) -> Result<Target> {
    Ok(target.present(&columns(connection, &target.name).await?))
}

/// The statements that make the table take rows of `after` where it took those of `before`.
pub(super) async fn growth(connection: &mut PgConnection, before: &Target, after: &Target) -> Result<Vec<String>> {
    let (existing, _) = read(connection, after).await?;
    Ok(growth::statements(before, after, &existing))
}

/// All that does not fit.
pub(super) async fn misfits(connection: &mut PgConnection, target: &Target) -> Result<Vec<Misfit>> {
    let (existing, unique) = read(connection, target).await?;
    target.misfits(&existing, &unique, loaded)
}

/// The columns of the table, and the columns of its unique indexes.
async fn read(connection: &mut PgConnection, target: &Target) -> Result<(Vec<Existing<ColumnType>>, Vec<BTreeSet<String>>)> {
    let failed = |error| fault(&format!("reading the indexes of {}", target.name), error);
    let existing = columns(connection, &target.name).await?;
    let unique: Vec<(Vec<String>,)> = sqlx::query_as(UNIQUE).bind(&target.name).fetch_all(connection).await.map_err(failed)?;
    Ok((existing, unique.into_iter().map(|(columns,)| columns.into_iter().collect()).collect()))
}

/// The columns of the table of that quoted name.
pub(super) async fn columns(connection: &mut PgConnection, name: &str) -> Result<Vec<Existing<ColumnType>>> {
    let columns = sqlx::query_as(COLUMNS).bind(name).fetch_all(connection).await;
    columns.map_err(|error| fault(&format!("reading the columns of {name}"), error))
}

fn loaded(kind: Kind, column: &Existing<ColumnType>) -> Option<Loaded> {
    let ColumnType { name, class, modifier, .. } = &column.declared;
    let (form, limit) = fit(kind, Declared { name, class, modifier: *modifier })?;
    Some(Loaded { name: column.name.clone(), form, limit, required: column.required })
}

/// Makes what is missing, without troubling the catalogue or the user's rights when nothing is.
///
/// Two that start at once wait for each other.
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
    let sql = format!("BEGIN; {LOCK}; {definition}; COMMIT");
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.map(drop).map_err(|error| fault(&doing, error))
}
