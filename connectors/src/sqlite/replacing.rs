//! The tables of a replacement beside its target.

use millrace_model::Result;
use sqlx::AssertSqlSafe;
use sqlx::sqlite::SqliteConnection;

use super::fault::fault;
use super::target::{ColumnType, add, columns};
use crate::table::{Alignment, Existing, Replacing, Target, quoted};
use crate::table_config::Mode;

/// Makes what a replacement needs, where the target is replaced.
pub(super) async fn open(connection: &mut SqliteConnection, target: &Target) -> Result<Option<Replacing>> {
    if target.table.mode != Mode::Replace {
        return Ok(None);
    }
    Replacing::check(&target.schema)?;
    let replacing = Replacing::of(target, quoted);
    let columns: Vec<String> = target.columns()?.iter().map(|column| format!("{} {}", quoted(&column.name), column.sql_type)).collect();
    let loading = format!("CREATE TABLE IF NOT EXISTS {} ({}, {})", replacing.loading, columns.join(", "), Replacing::marks());
    let sql = format!("{}; {loading}", replacing.ends_definition("text").1);
    let made = sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await;
    made.map_err(|error| fault(&format!("making table {}", replacing.loading), error))?;
    Ok(Some(replacing))
}

/// Makes loading rows take what the target takes of the schema, in the transaction at hand. Their columns take null, and values of any type.
pub(super) async fn align(connection: &mut SqliteConnection, replacing: &Replacing, target: &Target) -> Result<()> {
    let (now, loading) = both(connection, target).await?;
    for needed in Replacing::alignment(&target.schema, &now, &loading, |_, _| true) {
        if let Alignment::Add(column) = needed {
            add(connection, &replacing.loading, &column.name, &column.declared.0).await?;
        }
    }
    Ok(())
}

/// The names of the columns that loading rows bring into the target.
pub(super) async fn carried(connection: &mut SqliteConnection, target: &Target) -> Result<Vec<String>> {
    let (now, loading) = both(connection, target).await?;
    Ok(Replacing::carried(&target.schema, &now, &loading))
}

type Columns = Vec<Existing<ColumnType>>;

/// The columns of the target, and those of loading rows.
async fn both(connection: &mut SqliteConnection, target: &Target) -> Result<(Columns, Columns)> {
    let now = columns(connection, &target.table.table).await?;
    Ok((now, columns(connection, &Replacing::loading_table(target)).await?))
}
