//! What the database has of what a pipeline needs, and the making of what it lacks.

use millrace_model::Result;
use sqlx::mysql::MySqlConnection;
use sqlx::{AssertSqlSafe, Executor, SqlSafeStr};

use super::config::Config;
use super::connect::connect_to_load;
use super::fault::{fault, is_denied};
use super::positions;
use super::server::Server;
use super::target::{definition, has_table, misfits};
use crate::table::{Definition, Examined, Quotes, Target};
use crate::table_config::Mode;

/// What a user has to be able to do with the table of positions.
const TO_POSITIONS: &[&str] = &["SELECT", "INSERT", "UPDATE"];

/// Compares the database with what the pipeline needs. Changes nothing: statements that tell what is allowed are prepared and not run.
pub(super) async fn examine(config: &Config, target: &Target) -> Result<Examined> {
    let mut connection = connect_to_load(config).await?;
    let server = Server::ask(&mut connection).await?;
    let mut examined = Examined { table: target.name.clone(), ..Examined::default() };
    let any = target.schema.arrow().fields().first().map(|field| field.name().as_str());
    let needed = [
        (positions::TABLE, positions::DEFINITION.to_owned(), TO_POSITIONS, Some("position")),
        (&target.table.table, definition(target, &server)?, to_table(target.table.mode), any),
    ];
    for (table, sql, rights, column) in needed {
        let name = Quotes::Back.name(table);
        if has_table(&mut connection, table).await? {
            examined.denied.extend(denied(&mut connection, &name, rights, column.unwrap_or_default()).await?);
            if table == positions::TABLE && positions::lacks_ids(&mut connection).await? {
                examined.missing.push(Definition { kind: "column", name: format!("{name}.topic_id"), sql: positions::ADD_IDS.to_owned() });
            }
        } else {
            examined.denied.extend(denied_to_make(&mut connection, &name).await?);
            examined.missing.push(Definition { kind: "table", name, sql });
        }
    }
    if examined.missing.iter().all(|definition| definition.name != target.name) {
        examined.misfits = misfits(&mut connection, target).await?;
    }
    Ok(examined)
}

/// What a user has to be able to do with the table.
fn to_table(mode: Mode) -> &'static [&'static str] {
    match mode {
        Mode::Append => &["INSERT"],
        Mode::InsertIgnore => &["SELECT", "INSERT", "UPDATE"],
        Mode::Replace => &["INSERT", "DELETE"],
        Mode::Upsert | Mode::Mirror => &["SELECT", "INSERT", "UPDATE", "DELETE"],
    }
}

/// Those of the rights that the user has not.
async fn denied(connection: &mut MySqlConnection, table: &str, rights: &[&str], column: &str) -> Result<Vec<String>> {
    let column = Quotes::Back.name(column);
    let mut denied = Vec::new();
    for right in rights {
        let sql = match *right {
            "INSERT" => format!("INSERT INTO {table} () VALUES ()"),
            "UPDATE" => format!("UPDATE {table} SET {column} = NULL WHERE FALSE"),
            "DELETE" => format!("DELETE FROM {table} WHERE FALSE"),
            _ => format!("SELECT 1 FROM {table}"),
        };
        if is_refused(connection, sql).await? {
            denied.push(format!("{right} ON {table}"));
        }
    }
    Ok(denied)
}

async fn denied_to_make(connection: &mut MySqlConnection, table: &str) -> Result<Option<String>> {
    let refused = is_refused(connection, format!("CREATE TABLE {table} (id int)")).await?;
    Ok(refused.then(|| format!("CREATE ON {table}")))
}

/// Whether the user may not run a statement: the server looks at that when it prepares one.
async fn is_refused(connection: &mut MySqlConnection, sql: String) -> Result<bool> {
    match connection.prepare(AssertSqlSafe(sql).into_sql_str()).await {
        Ok(_) => Ok(false),
        // What else there is against it is no matter of rights.
        Err(error @ sqlx::Error::Database(_)) => Ok(is_denied(&error)),
        Err(error) => Err(fault("asking for the user's rights", error)),
    }
}

/// Runs definitions one after the other: each commits by itself, and what has been done when one fails stays done.
pub(super) async fn define(config: &Config, statements: &[String]) -> Result<()> {
    let mut connection = connect_to_load(config).await?;
    for (done, sql) in statements.iter().enumerate() {
        let doing = || format!("changing tables, after {done} of {} statements", statements.len());
        sqlx::raw_sql(AssertSqlSafe(sql.as_str())).execute(&mut connection).await.map_err(|error| fault(&doing(), error))?;
    }
    Ok(())
}

/// Drops a table with its rows.
pub(super) async fn drop_table(config: &Config, table: &str) -> Result<()> {
    define(config, &[format!("DROP TABLE {}", Quotes::Back.name(table))]).await
}
