//! The target table in the catalogue.

use std::collections::BTreeSet;

use millrace_model::{Result, Schema};
use sqlx::postgres::PgConnection;

use super::config::Config;
use super::session::texts;
use super::types::{Longest, fit, sql_type};
use super::{CAPABILITIES, literal};
use crate::table::{Existing, Kind, Misfit, Quotes, Target, quoted};
use crate::table_config::TableConfig;

/// How one column of the schema goes into the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Loaded {
    pub(super) name: String,
    pub(super) longest: Longest,
    /// Whether the target takes no null here.
    pub(super) required: bool,
}

impl Config {
    /// The table of the connection's schema that rows are loaded into.
    pub(super) fn target(&self, table: &TableConfig, schema: &Schema) -> Target {
        let name = format!("{}.{}", quoted(&self.schema), quoted(&table.table));
        Target {
            table: table.clone(),
            schema: schema.clone(),
            name,
            quotes: Quotes::Double,
            sql_type: |kind, _| sql_type(kind),
            capabilities: &CAPABILITIES,
        }
    }
}

/// Compares the table in the database with the schema, and says how each column goes into it. Keys are not enforced by Redshift: no unique
/// index is asked for.
pub(super) async fn compare(connection: &mut PgConnection, target: &Target) -> Result<Vec<Loaded>> {
    let existing = existing(connection, target).await?;
    target.compare(&existing, &[keys(target)], loaded)
}

/// Everything that does not fit.
pub(super) async fn misfits(connection: &mut PgConnection, target: &Target) -> Result<Vec<Misfit>> {
    let existing = existing(connection, target).await?;
    target.misfits(&existing, &[keys(target)], loaded)
}

fn keys(target: &Target) -> BTreeSet<String> {
    target.table.keys.iter().cloned().collect()
}

async fn existing(connection: &mut PgConnection, target: &Target) -> Result<Vec<Existing<String>>> {
    let table = literal(&target.table.table);
    let sql = format!(
        "SELECT a.attname::varchar, format_type(a.atttypid, a.atttypmod)::varchar, a.attnotnull::varchar, a.atthasdef::varchar \
         FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname = current_schema() AND c.relname = {table} AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"
    );
    let rows = texts(connection, &format!("reading the columns of {}", target.name), &sql).await?;
    Ok(rows.into_iter().filter_map(column).collect())
}

fn column(row: Vec<Option<String>>) -> Option<Existing<String>> {
    let [Some(name), Some(declared), Some(required), Some(default)] = <[_; 4]>::try_from(row).ok()? else { return None };
    let is_true = |text: &str| text.starts_with('t');
    Some(Existing { name, declared, required: is_true(&required), has_default: is_true(&default), generated: false })
}

fn loaded(kind: Kind, column: &Existing<String>) -> Option<Loaded> {
    let longest = fit(kind, &column.declared)?;
    Some(Loaded { name: column.name.clone(), longest, required: column.required })
}
