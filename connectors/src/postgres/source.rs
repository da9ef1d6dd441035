//! Queries as sources, read through a cursor of the server.

use async_trait::async_trait;
use millrace_model::{Code, Fault, Result};
use millrace_runtime::formats::{Cell, CellType};
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Column as _, Executor, Row as _, SqlSafeStr, Statement, TypeInfo, ValueRef};

use super::config::Config;
use super::connect::{Access, connect};
use super::decode::Binary;
use super::fault::fault;
use crate::query::database::{Database, Dialect, QueryColumn, refused};
use crate::query::rows::{Outlet, Row};
use crate::table::quoted;

const CURSOR: &str = "millrace_rows";
/// Fetches are small at first, and then as large as makes about so many bytes.
const FIRST_FETCH: usize = 100;
const FETCH_BYTES: usize = 4 << 20;

#[async_trait]
impl Database for Config {
    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    async fn columns(&self, sql: &str) -> Result<Vec<QueryColumn>> {
        let mut connection = session(self).await?;
        let preparing = async {
            let prepared = connection.prepare(AssertSqlSafe(sql).into_sql_str()).await;
            prepared.map_err(|error| refused(fault("preparing the query", error)))
        };
        let statement = self.link().step(preparing).await?;
        Ok(statement.columns().iter().map(|column| query_column(column.name(), column.type_info().name())).collect())
    }

    async fn read(&self, statement: &str, columns: &[QueryColumn], outlet: &mut Outlet) -> Result<()> {
        let mut connection = session(self).await?;
        self.link().step(declare(&mut connection, statement)).await?;
        let mut wanted = FIRST_FETCH.min(outlet.batch());
        loop {
            let rows = self.link().step(fetch(&mut connection, wanted)).await?;
            let ended = rows.len() < wanted;
            let bytes: usize = rows.iter().map(size).sum();
            for row in &rows {
                if outlet.push(cells(row, columns)?).await.is_err() {
                    return Ok(());
                }
            }
            if ended {
                return Ok(());
            }
            wanted = (FETCH_BYTES / (bytes / rows.len()).max(1)).clamp(1, outlet.batch());
        }
    }
}

/// A session in the connection's schema that can't write.
async fn session(config: &Config) -> Result<PgConnection> {
    let mut connection = connect(config, "query source", Access::Read).await?;
    let settings =
        format!("SET default_transaction_read_only = on; SET TimeZone = 'UTC'; SET search_path = {}, public", quoted(&config.schema));
    let preparing = async {
        let set = sqlx::raw_sql(AssertSqlSafe(settings)).execute(&mut connection).await;
        set.map_err(|error| fault("preparing a session", error))
    };
    config.link().step(preparing).await?;
    Ok(connection)
}

async fn declare(connection: &mut PgConnection, statement: &str) -> Result<()> {
    let sql = format!("BEGIN READ ONLY; DECLARE {CURSOR} NO SCROLL CURSOR FOR {statement}");
    let declared = sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await;
    declared.map(drop).map_err(|error| refused(fault("running the query", error)))
}

/// A type without a form here is read as the server writes it.
fn query_column(name: &str, of: &str) -> QueryColumn {
    let column = quoted(name);
    let (expression, cells) = match Binary::named(of) {
        Some(binary) => (column, binary.cells()),
        None if of.ends_with("[]") => (format!("{column}::text[]"), CellType::List(Box::new(CellType::Text))),
        None => (format!("{column}::text"), CellType::Text),
    };
    QueryColumn { name: name.to_owned(), expression, cells }
}

async fn fetch(connection: &mut PgConnection, rows: usize) -> Result<Vec<PgRow>> {
    // The extended protocol brings values in their binary form.
    let fetch = sqlx::query(AssertSqlSafe(format!("FETCH FORWARD {rows} FROM {CURSOR}"))).persistent(false);
    fetch.fetch_all(connection).await.map_err(|error| refused(fault("reading the query's rows", error)))
}

fn size(row: &PgRow) -> usize {
    (0..row.len()).filter_map(|column| row.try_get_raw(column).ok()?.as_bytes().ok().map(<[u8]>::len)).sum()
}

fn cells(row: &PgRow, columns: &[QueryColumn]) -> Result<Row> {
    let cell = |(number, column)| cell(row, number).ok_or_else(|| unlike(column));
    columns.iter().enumerate().map(cell).collect()
}

fn cell(row: &PgRow, number: usize) -> Option<Cell<'static>> {
    let value = row.try_get_raw(number).ok()?;
    if value.is_null() {
        return Some(Cell::Null);
    }
    Binary::named(value.type_info().name())?.cell(value.as_bytes().ok()?)
}

fn unlike(column: &QueryColumn) -> Fault {
    Fault::fatal(
        Code::Internal,
        format!("PostgreSQL: the column {:?} of the query has a value of another form than its type's", column.name),
    )
}
