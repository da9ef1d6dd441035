//! The tables of a replacement beside its target.

use millrace_model::Result;
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

use super::config::Config;
use super::fault::fault;
use super::target::{ColumnType, LOCK, Loaded, columns, ensure};
use super::types::{Form, Limit};
use crate::table::{Alignment, Replacing, Target, quoted};
use crate::table_config::Mode;

/// Makes what a replacement needs, where the target is replaced. What the target's columns require, those of loading rows do as well: a row
/// that breaks it is refused when it comes, not with its whole load.
pub(super) async fn open(connection: &mut PgConnection, config: &Config, target: &Target) -> Result<Option<Replacing>> {
    if target.table.mode != Mode::Replace {
        return Ok(None);
    }
    Replacing::check(&target.schema)?;
    let replacing = Replacing::of(target, |table| config.qualified(table));
    let (ends, definition) = replacing.ends_definition("text");
    ensure(connection, &ends, &definition).await?;
    let loading = format!(
        "CREATE TABLE IF NOT EXISTS {} (LIKE {} INCLUDING CONSTRAINTS INCLUDING DEFAULTS INCLUDING STORAGE, {})",
        replacing.loading,
        target.name,
        Replacing::marks()
    );
    ensure(connection, &replacing.loading, &loading).await?;
    if let Some(sql) = alignment(connection, &replacing, target).await? {
        run(connection, &replacing, format!("BEGIN; {LOCK}; {sql}; COMMIT")).await?;
    }
    Ok(Some(replacing))
}

/// Makes loading rows take what the target takes of the schema, in the transaction at hand.
pub(super) async fn align(connection: &mut PgConnection, replacing: &Replacing, target: &Target) -> Result<()> {
    match alignment(connection, replacing, target).await? {
        Some(sql) => run(connection, replacing, sql).await,
        None => Ok(()),
    }
}

/// The names of the columns that loading rows bring into the target.
pub(super) async fn carried(connection: &mut PgConnection, replacing: &Replacing, target: &Target) -> Result<Vec<String>> {
    let (now, loading) = (columns(connection, &target.name).await?, columns(connection, &replacing.loading).await?);
    Ok(Replacing::carried(&target.schema, &now, &loading))
}

async fn alignment(connection: &mut PgConnection, replacing: &Replacing, target: &Target) -> Result<Option<String>> {
    let (now, loading) = (columns(connection, &target.name).await?, columns(connection, &replacing.loading).await?);
    let same = |one: &ColumnType, other: &ColumnType| one.shown == other.shown;
    let needed = Replacing::alignment(&target.schema, &now, &loading, same);
    let actions: Vec<String> = needed.iter().map(action).collect();
    Ok((!actions.is_empty()).then(|| format!("ALTER TABLE {} {}", replacing.loading, actions.join(", "))))
}

fn action(needed: &Alignment<'_, ColumnType>) -> String {
    match needed {
        Alignment::Add(column) => format!("ADD COLUMN IF NOT EXISTS {} {}", quoted(&column.name), column.declared.shown),
        Alignment::Retype(column) => {
            let (name, declared) = (quoted(&column.name), &column.declared.shown);
            format!("ALTER COLUMN {name} TYPE {declared} USING {name}::{declared}, ALTER COLUMN {name} DROP NOT NULL")
        }
        Alignment::TakeNull(column) => format!("ALTER COLUMN {} DROP NOT NULL", quoted(&column.name)),
    }
}

async fn run(connection: &mut PgConnection, replacing: &Replacing, sql: String) -> Result<()> {
    let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await;
    done.map(drop).map_err(|error| fault(&format!("changing the columns of {}", replacing.loading), error))
}

/// The columns of loading rows.
pub(super) fn with_marks(mut columns: Vec<Loaded>) -> Vec<Loaded> {
    let [partition, offset] = Replacing::mark_names();
    let mark = |name: &str, form| Loaded { name: name.to_owned(), form, limit: Limit::None, required: true };
    columns.extend([mark(partition, Form::Int4), mark(offset, Form::Int8)]);
    columns
}
