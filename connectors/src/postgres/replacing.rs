//! The tables of a replacement beside its target.

use millrace_model::Result;
use sqlx::postgres::PgConnection;

use super::config::Config;
use super::target::{Loaded, ensure};
use super::types::{Form, Limit};
use crate::table::{Replacing, Target, unfit};
use crate::table_config::Mode;

/// Makes what a replacement needs, where the target is replaced. What the target's columns require, those of loading rows do as well: a row
/// that breaks it is refused when it comes, not with its whole load.
pub(super) async fn open(connection: &mut PgConnection, config: &Config, target: &Target) -> Result<Option<Replacing>> {
    if target.table.mode != Mode::Replace {
        return Ok(None);
    }
    if let Some(taken) = Replacing::taken(&target.schema) {
        return Err(unfit(format!("a column can't be named {taken:?} in mode: replace: rename it")));
    }
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
    Ok(Some(replacing))
}

/// The columns of loading rows.
pub(super) fn with_marks(mut columns: Vec<Loaded>) -> Vec<Loaded> {
    let [partition, offset] = Replacing::mark_names();
    let mark = |name: &str, form| Loaded { name: name.to_owned(), form, limit: Limit::None, required: true };
    columns.extend([mark(partition, Form::Int4), mark(offset, Form::Int8)]);
    columns
}
