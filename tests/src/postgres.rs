//! Tables as any other PostgreSQL client sees them.

use sqlx::postgres::{PgConnectOptions, PgPool};
use sqlx::{AssertSqlSafe, Row as _};

use crate::{Project, Servers};

/// The database, looked at by a test: the schema of the project, which is made here.
#[derive(Debug, Clone)]
pub struct Warehouse {
    pool: PgPool,
    schema: String,
}

impl Warehouse {
    /// The project's schema, empty.
    pub async fn of(servers: &Servers, project: &Project) -> Self {
        let options: PgConnectOptions = servers.postgres.as_str().parse().expect("a database URL");
        let pool = PgPool::connect_with(options.options([("timezone", "UTC")])).await.expect("PostgreSQL answers");
        let warehouse = Self { pool, schema: project.name().to_owned() };
        warehouse.execute(&format!("CREATE SCHEMA {}", warehouse.schema)).await;
        warehouse
    }

    /// Runs a statement.
    pub async fn execute(&self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&self.pool).await.expect("the statement runs");
    }

    /// How many rows the table has; 0 while there is none.
    pub async fn count(&self, table: &str) -> i64 {
        let sql = format!("SELECT count(*) FROM {}.{table}", self.schema);
        sqlx::query(AssertSqlSafe(sql)).fetch_one(&self.pool).await.map_or(0, |row| row.get(0))
    }

    /// All rows of the table in a fixed order; each is the texts of the columns (or expressions) joined by `|`, null is empty.
    pub async fn rows(&self, table: &str, columns: &[&str]) -> Vec<String> {
        self.select(table, columns).await.expect("the table can be read")
    }

    /// The same; `None` while there is no such table, or not with these columns.
    pub async fn rows_if_any(&self, table: &str, columns: &[&str]) -> Option<Vec<String>> {
        self.select(table, columns).await.ok()
    }

    async fn select(&self, table: &str, columns: &[&str]) -> sqlx::Result<Vec<String>> {
        let texts = columns.iter().map(|column| format!("coalesce(({column})::text, '')")).collect::<Vec<_>>().join(", ");
        let sql = format!("SELECT concat_ws('|', {texts}) FROM {}.{table}", self.schema);
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&self.pool).await?;
        let mut rows: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        rows.sort_unstable();
        Ok(rows)
    }
}
