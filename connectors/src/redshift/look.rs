//! What people ask of a cluster, and the making of tables.

use millrace_model::Result;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Column as _, Row as _};

use super::config::Config;
use super::connect::connect;
use super::fault::fault;
use super::session::{as_texts, execute, texts};
use super::target::misfits;
use super::{holders, literal, positions};
use crate::table::{Definition, Examined, QueryResult, Target, quoted};

/// Runs SQL that reads: whatever it does is rolled back.
pub(super) async fn query(config: &Config, sql: &str) -> Result<QueryResult> {
    let (mut connection, doing) = (connect(config, "query").await?, "running the query");
    execute(&mut connection, doing, "BEGIN READ ONLY").await?;
    let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(&mut connection).await.map_err(|error| fault(doing, error))?;
    let columns = rows.first().map(|row| row.columns().iter().map(|column| column.name().to_owned()).collect()).unwrap_or_default();
    let rows = as_texts(&rows).map_err(|error| fault(doing, error))?;
    execute(&mut connection, doing, "ROLLBACK").await?;
    Ok(QueryResult { columns, rows })
}

/// Compares the database with what a pipeline needs.
pub(super) async fn examine(config: &Config, target: &Target) -> Result<Examined> {
    let mut connection = connect(config, &target.table.pipeline).await?;
    let mut examined = Examined { table: target.name.clone(), ..Examined::default() };
    for (table, sql) in [(positions::TABLE, positions::DEFINITION), (holders::TABLE, holders::DEFINITION)] {
        if !exists(&mut connection, table).await? {
            examined.missing.push(Definition { kind: "table", name: quoted(table), sql: sql.to_owned() });
        }
    }
    if exists(&mut connection, positions::TABLE).await? && positions::lacks_ids(&mut connection).await? {
        examined.missing.push(Definition {
            kind: "column",
            name: format!("{}.topic_id", quoted(positions::TABLE)),
            sql: positions::ADD_IDS.to_owned(),
        });
    }
    if exists(&mut connection, &target.table.table).await? {
        examined.misfits = misfits(&mut connection, target).await?;
    } else {
        examined.missing.push(Definition { kind: "table", name: target.name.clone(), sql: target.definition()? });
    }
    Ok(examined)
}

async fn exists(connection: &mut PgConnection, table: &str) -> Result<bool> {
    let table = literal(table);
    let sql = format!(
        "SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = current_schema() AND c.relname = {table}"
    );
    Ok(!texts(connection, "looking for tables", &sql).await?.is_empty())
}

/// Runs statements in one transaction.
pub(super) async fn define(config: &Config, statements: &[String]) -> Result<()> {
    let (mut connection, doing) = (connect(config, "apply").await?, "defining tables");
    execute(&mut connection, doing, "BEGIN").await?;
    for statement in statements {
        execute(&mut connection, doing, statement).await?;
    }
    execute(&mut connection, doing, "COMMIT").await.map(drop)
}
