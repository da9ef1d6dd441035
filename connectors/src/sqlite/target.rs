//! The target table in the catalogue.

use std::collections::BTreeSet;
use std::fmt;

use millrace_model::{Result, Schema};
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, FromRow, Row};

use super::CAPABILITIES;
use super::fault::fault;
use super::types::{keeps, sql_type};
use crate::table::{Column, Existing, Kind, Misfit, Quotes, Target, quoted};
use crate::table_config::TableConfig;

/// A column's declared type.
#[derive(Debug)]
pub(super) struct ColumnType(pub(super) String);

impl FromRow<'_, SqliteRow> for ColumnType {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        row.try_get("declared").map(Self)
    }
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A column that is the rowid fills itself.
const COLUMNS: &str = "SELECT name, type AS declared, (\"notnull\" <> 0 OR pk > 0) AS required, \
     (dflt_value IS NOT NULL OR (pk = 1 AND upper(type) = 'INTEGER')) AS has_default, hidden IN (2, 3) AS generated \
     FROM pragma_table_xinfo(?) WHERE hidden <> 1";

const UNIQUE: &str = "SELECT group_concat(i.name, char(31)) FROM pragma_index_list(?1) l JOIN pragma_index_info(l.name) i \
     WHERE l.\"unique\" = 1 AND l.partial = 0 GROUP BY l.name \
     UNION ALL SELECT group_concat(name, char(31)) FROM pragma_table_info(?1) WHERE pk > 0";

/// Triggers of a table, and what is a table in name only.
const MORE: &str = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE tbl_name = ?1 COLLATE NOCASE \
     AND (type IN ('trigger', 'view') OR sql LIKE 'CREATE VIRTUAL%'))";

/// The table that rows are loaded into.
pub(super) fn target(table: &TableConfig, schema: &Schema) -> Target {
    Target {
        table: table.clone(),
        schema: schema.clone(),
        name: quoted(&table.table),
        quotes: Quotes::Double,
        sql_type: |kind, _| sql_type(kind),
        capabilities: &CAPABILITIES,
    }
}

/// Whether the table does more with a row than keep it, so that of a row which it refuses something may be left.
pub(super) async fn does_more(connection: &mut SqliteConnection, table: &str) -> Result<bool> {
    let more = sqlx::query_scalar(MORE).bind(table).fetch_one(connection).await;
    more.map_err(|error| fault(&format!("reading the triggers of {}", quoted(table)), error))
}

/// Makes the table when it does not exist.
pub(super) async fn ensure(connection: &mut SqliteConnection, target: &Target) -> Result<()> {
    let made = sqlx::raw_sql(AssertSqlSafe(target.definition()?)).execute(connection).await;
    made.map(drop).map_err(|error| fault(&format!("making table {}", target.name), error))
}

/// The target for rows of the columns alone that the table has.
pub(super) async fn present(connection: &mut SqliteConnection, target: &Target) -> Result<Target> {
    Ok(target.present(&columns(connection, &target.table.table).await?))
}

/// Compares the table in the database with the schema; returns the names of the columns that take no null.
pub(super) async fn compare(connection: &mut SqliteConnection, target: &Target) -> Result<BTreeSet<String>> {
    let (existing, unique) = read(connection, target).await?;
    target.compare(&existing, &unique, fit)?;
    Ok(existing.into_iter().filter(|column| column.required).map(|column| column.name).collect())
}

/// The same where the columns that the table lacks are going to be added.
pub(super) async fn compare_grown(connection: &mut SqliteConnection, target: &Target) -> Result<BTreeSet<String>> {
    let (mut existing, unique) = read(connection, target).await?;
    let added = target.additions(&existing)?.into_iter().map(|column| {
        let Column { name, sql_type, .. } = column;
        Existing { name, declared: ColumnType(sql_type), required: false, has_default: false, generated: false }
    });
    existing.extend(added);
    target.compare(&existing, &unique, fit)?;
    Ok(existing.into_iter().filter(|column| column.required).map(|column| column.name).collect())
}

/// Adds the columns that the table lacks.
pub(super) async fn grow(connection: &mut SqliteConnection, target: &Target) -> Result<()> {
    let (existing, _) = read(connection, target).await?;
    for Column { name, sql_type, .. } in target.additions(&existing)? {
        add(connection, &target.name, &name, &sql_type).await?;
    }
    Ok(())
}

/// Adds a column to the table of that quoted name.
pub(super) async fn add(connection: &mut SqliteConnection, table: &str, name: &str, sql_type: &str) -> Result<()> {
    let sql = format!("ALTER TABLE {table} ADD COLUMN {} {sql_type}", quoted(name));
    let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await;
    done.map(drop).map_err(|error| fault(&format!("adding a column to {table}"), error))
}

/// All that does not fit.
pub(super) async fn misfits(connection: &mut SqliteConnection, target: &Target) -> Result<Vec<Misfit>> {
    let (existing, unique) = read(connection, target).await?;
    target.misfits(&existing, &unique, fit)
}

fn fit(kind: Kind, column: &Existing<ColumnType>) -> Option<()> {
    keeps(&column.declared.0, kind).then_some(())
}

/// The columns of the table, and the columns of its unique indexes.
async fn read(connection: &mut SqliteConnection, target: &Target) -> Result<(Vec<Existing<ColumnType>>, Vec<BTreeSet<String>>)> {
    let (table, failed) = (&target.table.table, |error| fault(&format!("reading the indexes of {}", target.name), error));
    let existing = columns(connection, table).await?;
    let unique: Vec<(Option<String>,)> = sqlx::query_as(UNIQUE).bind(table).fetch_all(connection).await.map_err(failed)?;
    Ok((existing, unique.into_iter().filter_map(|(columns,)| columns.as_deref().map(names)).collect()))
}

/// The columns of the table of that name.
pub(super) async fn columns(connection: &mut SqliteConnection, table: &str) -> Result<Vec<Existing<ColumnType>>> {
    let columns = sqlx::query_as(COLUMNS).bind(table).fetch_all(connection).await;
    columns.map_err(|error| fault(&format!("reading the columns of {}", quoted(table)), error))
}

fn names(joined: &str) -> BTreeSet<String> {
    joined.split('\u{1f}').map(str::to_owned).collect()
}
