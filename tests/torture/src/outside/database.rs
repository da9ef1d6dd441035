//! PostgreSQL as its administrator sees it, and as a rival of the load.

use std::time::Duration;

use millrace_tests::Project;
use reqwest::Url;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};

use super::scripts::run;

const SCRIPT: &str = "postgres.sh";
const PATIENCE: Duration = Duration::from_secs(20);

/// The password of the services' user.
pub(crate) const PASSWORD: &str = "torture";

/// The database of this run.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    pub(crate) url: Url,
    options: PgConnectOptions,
    pool: PgPool,
}

impl Database {
    pub(crate) async fn of_this_run() -> Self {
        let url: Url = run(SCRIPT, &["url"]).await.parse().expect("the database's URL");
        let options: PgConnectOptions = url.as_str().parse().expect("a database URL");
        let pool = PgPoolOptions::new().max_connections(4).acquire_timeout(PATIENCE).connect_with(options.clone()).await;
        Self { url, options, pool: pool.expect("PostgreSQL answers") }
    }

    /// A schema of the project's name, and a user of that name who owns it and is no superuser.
    pub(crate) async fn welcome(&self, project: &Project) {
        let name = project.name();
        self.execute(&format!("CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'; CREATE SCHEMA {name} AUTHORIZATION {name}")).await;
    }

    /// Removes them, with all that is in the schema.
    pub(crate) async fn dismiss(&self, project: &Project) {
        let name = project.name();
        self.execute(&format!("DROP SCHEMA {name} CASCADE; DROP OWNED BY {name}; DROP ROLE {name}")).await;
    }

    /// Ends the server without a shutdown (`pg_ctl -m immediate`).
    pub(crate) async fn crash(&self) {
        run(SCRIPT, &["crash"]).await;
    }

    pub(crate) async fn start(&self) {
        run(SCRIPT, &["start"]).await;
    }

    /// Runs statements, each on its own.
    pub(crate) async fn execute(&self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&self.pool).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// The same; whether they did well.
    pub(crate) async fn attempt(&self, sql: &str) -> bool {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&self.pool).await.is_ok()
    }

    /// Rows of texts; `None` while the server or a table is not there.
    pub(crate) async fn rows(&self, sql: &str) -> Option<Vec<Vec<String>>> {
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&self.pool).await.ok()?;
        let texts =
            |row: &sqlx::postgres::PgRow| (0..row.len()).map(|place| row.get::<Option<String>, _>(place).unwrap_or_default()).collect();
        Some(rows.iter().map(texts).collect())
    }

    /// A number; `None` while there is none.
    pub(crate) async fn number(&self, sql: &str) -> Option<i64> {
        sqlx::query(AssertSqlSafe(sql)).fetch_one(&self.pool).await.ok().map(|row| row.get(0))
    }

    /// A session of its own.
    pub(crate) async fn session(&self) -> PgConnection {
        PgConnection::connect_with(&self.options).await.expect("PostgreSQL answers")
    }

    /// Ends all sessions of a user; returns how many.
    pub(crate) async fn end_sessions(&self, user: &str) -> i64 {
        let sql = format!("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = '{user}'");
        self.number(&sql).await.expect("PostgreSQL answers")
    }
}

/// Runs statements in a session.
pub(crate) async fn execute(session: &mut PgConnection, sql: &str) -> sqlx::Result<()> {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(session).await.map(|_| ())
}
