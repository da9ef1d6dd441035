//! The sinks. A new one is an entry of [`SINKS`]: the suite does the rest.

use std::sync::OnceLock;

use futures::future::LocalBoxFuture;
use millrace_devkit::redshift::{IAM_ROLE, REGION, Redshift, SCHEMA};
use millrace_tests::postgres::Warehouse;
use millrace_tests::{Project, Servers};
use redis::Value;
use reqwest::Url;
use sqlx::mysql::MySqlPool;
use sqlx::sqlite::SqlitePool;
use sqlx::{AssertSqlSafe, Row as _};
use tempfile::TempDir;

use crate::lake;

/// A sink as the suite sees it.
pub(crate) struct Sink {
    /// What it is called among the hops.
    pub(crate) name: &'static str,
    /// The type of its connection, with which the names of its own crash points begin.
    pub(crate) kind: &'static str,
    /// Its connection in the project file; none for the warehouse that every project has.
    pub(crate) connection: &'static str,
    /// The rest of the pipeline: where to, in which mode, when rounds are committed. Rows have `id` and `amount`.
    pub(crate) load: &'static str,
    /// Whether a later row of an id takes the place of an earlier one; else all rows stay.
    pub(crate) upserts: bool,
    /// Whether its tables get columns while they are loaded.
    pub(crate) grows: bool,
    /// Where a loader may stand still while another takes over: everywhere, but where it holds a lock that nobody can take from it.
    pub(crate) stands: &'static [&'static str],
    /// Makes what must be there before the loader starts.
    pub(crate) prepare: for<'a> fn(&'a Servers, &'a Project) -> LocalBoxFuture<'a, ()>,
    /// Its rows as `id|amount`; none while there is no table.
    pub(crate) rows: for<'a> fn(&'a Servers, &'a Project) -> LocalBoxFuture<'a, Vec<String>>,
}

const ANYWHERE: &[&str] = &["loader.write.after", "loader.settle.after", "loader.commit.before", "loader.commit.after"];
/// SQLite's lock is a process's that stands as well: others wait until it goes on.
const WITHOUT_LOCK: &[&str] = &["loader.write.after", "loader.commit.after"];

const REDSHIFT: &str = "  cluster:
    type: redshift
    host: 127.0.0.1
    port: \"${CLUSTER_PORT}\"
    database: \"${CLUSTER_DATABASE}\"
    user: \"${CLUSTER_USER}\"
    password: \"${CLUSTER_PASSWORD}\"
    schema: \"{name}\"
    tls: disable
    stage: { url: \"s3://stage/{name}\", iam_role: \"${CLUSTER_ROLE}\", region: \"${CLUSTER_REGION}\", access_key_id: id, secret_access_key: secret, endpoint: \"${CLUSTER_S3}\" }
";

pub(crate) const SINKS: &[Sink] = &[
    Sink {
        name: "postgres",
        kind: "postgres",
        connection: "",
        load: "    to: { connection: warehouse, table: orders }\n    commit_interval: 50ms\n",
        upserts: false,
        grows: true,
        stands: ANYWHERE,
        prepare: |servers, project| Box::pin(async move { drop(Warehouse::of(servers, project).await) }),
        rows: |servers, project| Box::pin(in_postgres(servers, project)),
    },
    Sink {
        name: "postgres-upsert",
        kind: "postgres",
        connection: "",
        load: "    to: { connection: warehouse, table: orders }\n    mode: upsert\n    keys: [id]\n    commit_interval: 50ms\n",
        upserts: true,
        grows: false,
        stands: ANYWHERE,
        prepare: |servers, project| Box::pin(async move { drop(Warehouse::of(servers, project).await) }),
        rows: |servers, project| Box::pin(in_postgres(servers, project)),
    },
    Sink {
        name: "mysql",
        kind: "mysql",
        connection: "  shop: { type: mysql, host: \"${SHOP_HOST}\", port: \"${SHOP_PORT}\", database: \"{name}\", user: \"${SHOP_USER}\", password: \"${SHOP_PASSWORD}\" }\n",
        load: "    to: { connection: shop, table: orders }\n    commit_interval: 50ms\n",
        upserts: false,
        grows: true,
        stands: ANYWHERE,
        prepare: |servers, project| Box::pin(make_database(servers, project)),
        rows: |servers, project| Box::pin(in_mysql(servers, project)),
    },
    Sink {
        name: "sqlite",
        kind: "sqlite",
        connection: "  file: { type: sqlite, path: rows.db }\n",
        load: "    to: { connection: file, table: orders }\n    commit_interval: 50ms\n",
        upserts: false,
        grows: true,
        stands: WITHOUT_LOCK,
        prepare: |_, _| Box::pin(async {}),
        rows: |_, project| Box::pin(in_sqlite(project)),
    },
    Sink {
        name: "redis",
        kind: "redis",
        connection: "  cache: { type: redis, host: \"${CACHE_HOST}\", port: \"${CACHE_PORT}\", password: \"${CACHE_PASSWORD}\" }\n",
        load: "    to: { connection: cache, table: orders, redis: { as: hash, key: \"{name}:order:{id}\" } }\n    mode: upsert\n    keys: [id]\n    commit_interval: 50ms\n",
        upserts: true,
        grows: false,
        stands: ANYWHERE,
        prepare: |_, _| Box::pin(async {}),
        rows: |servers, project| Box::pin(in_redis(servers, project)),
    },
    Sink {
        name: "redshift",
        kind: "redshift",
        connection: REDSHIFT,
        load: "    to: { connection: cluster, table: orders }\n    commit_interval: 50ms\n",
        upserts: false,
        grows: false,
        stands: ANYWHERE,
        prepare: |servers, project| Box::pin(async move { Warehouse::of(servers, project).await.execute(&redshift_schema(project)).await }),
        rows: |servers, project| Box::pin(in_postgres(servers, project)),
    },
    Sink {
        name: "lake",
        kind: "lake",
        connection: "  lake: { type: lake, url: \"${MILLRACE_PROJECT}/lake\" }\n",
        load: "    to: { connection: lake, table: orders }\n    commit_interval: 200ms\n",
        upserts: false,
        grows: true,
        stands: ANYWHERE,
        prepare: |_, _| Box::pin(async {}),
        rows: |_, project| Box::pin(async move { lake::rows(&project.folder().join("lake/orders")) }),
    },
];

/// The project with what the connections name by `${…}`.
pub(crate) fn with_variables(servers: &Servers, project: Project) -> Project {
    let of = |project: Project, names: [&'static str; 4], url: &Url, port: u16| {
        let [host, port_name, user, password] = names;
        project
            .with(host, url.host_str().expect("a host"))
            .with(port_name, url.port().unwrap_or(port).to_string())
            .with(user, url.username())
            .with(password, url.password().unwrap_or_default())
    };
    let scripted = redshift(servers);
    let project = project
        .with("CLUSTER_PORT", scripted.port.to_string())
        .with("CLUSTER_S3", &scripted.endpoint)
        .with("CLUSTER_ROLE", IAM_ROLE)
        .with("CLUSTER_REGION", REGION)
        .with("CLUSTER_DATABASE", servers.postgres.path().trim_start_matches('/'))
        .with("CLUSTER_USER", servers.postgres.username())
        .with("CLUSTER_PASSWORD", servers.postgres.password().unwrap_or_default());
    let project = of(project, ["SHOP_HOST", "SHOP_PORT", "SHOP_USER", "SHOP_PASSWORD"], &servers.mysql, 3306);
    of(project, ["CACHE_HOST", "CACHE_PORT", "CACHE_USER", "CACHE_PASSWORD"], &servers.redis, 6379)
}

/// One for all projects of this run, in front of the warehouse's server.
fn redshift(servers: &Servers) -> &'static Redshift {
    static CLUSTER: OnceLock<(Redshift, TempDir)> = OnceLock::new();
    let start = || {
        let objects = tempfile::tempdir().expect("a folder");
        // The server reads the objects as a user of its own.
        std::fs::set_permissions(objects.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("is open");
        let server = format!("{}:{}", servers.postgres.host_str().expect("a host"), servers.postgres.port().unwrap_or(5432));
        (Redshift::start(server, objects.path().to_owned()).expect("starts"), objects)
    };
    &CLUSTER.get_or_init(start).0
}

/// What the project's schema needs to be a cluster's.
fn redshift_schema(project: &Project) -> String {
    format!("SET search_path TO {}; {SCHEMA}", project.name())
}

async fn in_postgres(servers: &Servers, project: &Project) -> Vec<String> {
    Warehouse::at(&servers.postgres, project).await.rows_if_any("orders", &["id", "amount"]).await.unwrap_or_default()
}

fn database(servers: &Servers, project: &Project) -> Url {
    let mut url = servers.mysql.clone();
    url.set_path(project.name());
    url
}

async fn make_database(servers: &Servers, project: &Project) {
    let server = MySqlPool::connect(servers.mysql.as_str()).await.expect("MariaDB answers");
    let create = format!("CREATE DATABASE {} CHARACTER SET utf8mb4", project.name());
    sqlx::raw_sql(AssertSqlSafe(create)).execute(&server).await.expect("makes a database");
}

async fn in_mysql(servers: &Servers, project: &Project) -> Vec<String> {
    let pool = MySqlPool::connect(database(servers, project).as_str()).await.expect("MariaDB answers");
    let rows = sqlx::query("SELECT CONCAT_WS('|', id, amount) FROM orders").fetch_all(&pool).await.unwrap_or_default();
    pool.close().await;
    rows.iter().map(|row| row.get(0)).collect()
}

async fn in_sqlite(project: &Project) -> Vec<String> {
    let path = project.folder().join("rows.db");
    let Ok(pool) = SqlitePool::connect(&format!("sqlite://{}?mode=ro", path.display())).await else { return Vec::new() };
    let rows = sqlx::query("SELECT id || '|' || amount FROM orders").fetch_all(&pool).await.unwrap_or_default();
    pool.close().await;
    rows.iter().map(|row| row.get(0)).collect()
}

async fn in_redis(servers: &Servers, project: &Project) -> Vec<String> {
    let client = redis::Client::open(servers.redis.as_str()).expect("a URL");
    let mut connection = client.get_multiplexed_async_connection().await.expect("Redis answers");
    let pattern = format!("{}:order:*", project.name());
    let keys: Vec<String> = redis::cmd("KEYS").arg(pattern).query_async(&mut connection).await.expect("keys");
    let mut rows = Vec::with_capacity(keys.len());
    for key in keys {
        let row: Vec<Value> = redis::cmd("HMGET").arg(key).arg("id").arg("amount").query_async(&mut connection).await.expect("a row");
        let text = |value: &Value| redis::from_redis_value_ref::<String>(value).expect("a text");
        rows.push(row.iter().map(text).collect::<Vec<_>>().join("|"));
    }
    rows
}
