//! What the database has of what a pipeline needs, and the making of what it lacks.

use std::fs;
use std::path::Path;

use millrace_model::Result;
use sqlx::AssertSqlSafe;
use sqlx::sqlite::SqliteConnection;

use super::config::Config;
use super::connect::{connect, connect_read_only};
use super::fault::fault;
use super::positions;
use super::target::misfits;
use crate::table::{Definition, Examined, Target, quoted};

/// Compares the database with what the pipeline needs. Changes nothing, and makes no file.
pub(super) async fn examine(config: &Config, target: &Target) -> Result<Examined> {
    let mut examined = Examined { table: target.name.clone(), denied: denied(&config.path), ..Examined::default() };
    let needed = [(positions::TABLE, positions::DEFINITION.to_owned()), (&target.table.table, target.definition()?)];
    let mut connection = if config.path.exists() { Some(connect_read_only(config).await?) } else { None };
    for (table, sql) in needed {
        let exists = match &mut connection {
            Some(connection) => has_table(connection, table).await?,
            None => false,
        };
        if !exists {
            examined.missing.push(Definition { kind: "table", name: quoted(table), sql });
        } else if let Some(connection) = &mut connection {
            if table == target.table.table {
                examined.misfits = misfits(connection, target).await?;
            } else if positions::lacks_ids(connection).await? {
                let name = format!("{}.topic_id", quoted(table));
                examined.missing.push(Definition { kind: "column", name, sql: positions::ADD_IDS.to_owned() });
            }
        }
    }
    Ok(examined)
}

/// A file that is read-only takes no rows.
fn denied(file: &Path) -> Vec<String> {
    let read_only = fs::metadata(file).is_ok_and(|found| found.permissions().readonly());
    if read_only { vec![format!("writing to the file {}", file.display())] } else { Vec::new() }
}

async fn has_table(connection: &mut SqliteConnection, table: &str) -> Result<bool> {
    let found = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM pragma_table_info(?))").bind(table).fetch_one(connection).await;
    found.map_err(|error| fault(&format!("looking for table {}", quoted(table)), error))
}

/// Runs definitions, all or none.
pub(super) async fn define(config: &Config, statements: &[String]) -> Result<()> {
    let mut connection = connect(config).await?;
    let sql = format!("BEGIN IMMEDIATE; {}; COMMIT", statements.join("; "));
    // A connection that is closed in mid-transaction rolls back.
    let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await;
    done.map(drop).map_err(|error| fault("changing tables", error))
}

/// Drops a table with its rows.
pub(super) async fn drop_table(config: &Config, table: &str) -> Result<()> {
    define(config, &[format!("DROP TABLE {}", quoted(table))]).await
}
