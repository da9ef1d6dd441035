//! PostgreSQL as its administrator sees it, and as a rival of the load.

use std::time::Duration;

use millrace_tests::Project;
use millrace_tests::service::free_address;
use reqwest::Url;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};

use super::scripts::run_with;

const SCRIPT: &str = "postgres.sh";
/// How long it is waited for a server that may be away.
const PATIENCE: Duration = Duration::from_secs(3);

/// The password of the services' user.
pub(crate) const PASSWORD: &str = "torture";

/// The database of this run: a server, and the place of a second one that can take its place.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    servers: [Server; 2],
    present: usize,
}

/// A server, or the place for one.
#[derive(Debug, Clone)]
struct Server {
    /// What tells the script which one is meant.
    variables: [(&'static str, String); 2],
    url: Url,
    options: PgConnectOptions,
    pool: PgPool,
}

impl Server {
    async fn new(state: String, port: String) -> Self {
        let variables = [("POSTGRES_STATE", state), ("POSTGRES_PORT", port)];
        let url: Url = run_with(SCRIPT, &["url"], &variables).await.parse().expect("the database's URL");
        let options: PgConnectOptions = url.as_str().parse().expect("a database URL");
        // A table may be locked by a fault of this run, which would wait for itself.
        let looking = options.clone().options([("lock_timeout", PATIENCE.as_millis())]);
        // The server does not wait for its disk. What ends a fault must not be forgotten by one that crashes right after.
        let pool = PgPoolOptions::new()
            .max_connections(4)
            .acquire_timeout(PATIENCE)
            .connect_lazy_with(looking.options([("synchronous_commit", "on")]));
        Self { variables, url, options, pool }
    }

    async fn run(&self, words: &[&str]) {
        run_with(SCRIPT, words, &self.variables).await;
    }
}

impl Database {
    pub(crate) async fn of_this_run() -> Self {
        let variable = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: scripts/torture.sh sets it"));
        let first = Server::new(variable("POSTGRES_STATE"), variable("POSTGRES_PORT")).await;
        let second = Server::new(format!("{}-second", variable("POSTGRES_STATE")), free_address().port().to_string()).await;
        Self { servers: [first, second], present: 0 }
    }

    /// The port of the present server.
    pub(crate) fn port(&self) -> u16 {
        self.server().url.port().expect("the database's port")
    }

    fn server(&self) -> &Server {
        &self.servers[self.present]
    }

    /// Makes the other one follow the present server. `moved` is `OLD=NEW`: the tablespace that is at `OLD` is at `NEW` there.
    pub(crate) async fn follow(&self, moved: Option<String>) {
        let other = &self.servers[1 - self.present];
        other.run(&["discard"]).await;
        let words = ["follow", self.server().url.as_str()].into_iter().chain(moved.as_deref());
        other.run(&words.collect::<Vec<_>>()).await;
    }

    /// Ends the present server without a shutdown, and puts its follower in its place.
    pub(crate) async fn fail_over(&mut self) {
        self.crash().await;
        self.present = 1 - self.present;
        self.server().run(&["promote"]).await;
    }

    /// How often the present server's log has this.
    pub(crate) async fn logged(&self, text: &str) -> usize {
        let (_, folder) = &self.server().variables[0];
        let log = tokio::fs::read(format!("{folder}/server.log")).await.unwrap_or_default();
        String::from_utf8_lossy(&log).matches(text).count()
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
        self.server().run(&["crash"]).await;
    }

    /// Ends the server as an administrator does (`pg_ctl -m fast`).
    pub(crate) async fn stop(&self) {
        self.server().run(&["stop"]).await;
    }

    pub(crate) async fn start(&self) {
        self.server().run(&["start"]).await;
    }

    /// Runs statements, each on its own.
    pub(crate) async fn execute(&self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&self.server().pool).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// The same; whether they did well.
    pub(crate) async fn attempt(&self, sql: &str) -> bool {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&self.server().pool).await.is_ok()
    }

    /// Rows of texts; `None` while the server or a table is not there.
    pub(crate) async fn rows(&self, sql: &str) -> Option<Vec<Vec<String>>> {
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&self.server().pool).await.ok()?;
        let texts =
            |row: &sqlx::postgres::PgRow| (0..row.len()).map(|place| row.get::<Option<String>, _>(place).unwrap_or_default()).collect();
        Some(rows.iter().map(texts).collect())
    }

    /// A number; `None` while there is none.
    pub(crate) async fn number(&self, sql: &str) -> Option<i64> {
        sqlx::query(AssertSqlSafe(sql)).fetch_one(&self.server().pool).await.ok().map(|row| row.get(0))
    }

    /// A session of its own.
    pub(crate) async fn session(&self) -> PgConnection {
        PgConnection::connect_with(&self.server().options).await.expect("PostgreSQL answers")
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
