//! PostgreSQL of the benches: the table of orders, rows to load by psql, and what the server's own processes used.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, ensure};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Executor as _};

use crate::kafka::{block_on, server};
use crate::measured::{Measured, Span};
use crate::orders::Order;
use crate::process::{children_cpu_seconds, cpu_seconds};

/// The table that jobs load.
pub(crate) const TABLE: &str = "bench_orders";
/// The same rows, for references to take them from.
const SOURCE: &str = "bench_source";
const COLUMNS: &str = "(id bigint NOT NULL PRIMARY KEY, customer_id text NOT NULL, email text NOT NULL, amount double precision NOT NULL,
    currency text NOT NULL, created_at timestamptz NOT NULL, status text NOT NULL, coupon text, note text, country text NOT NULL,
    quantity integer NOT NULL, items jsonb NOT NULL)";
/// How many rows are turned into text at once.
const AT_ONCE: u64 = 10_000;

/// What a program cost, and the server's process beside it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Loaded {
    pub(crate) measured: Measured,
    /// User and system time of the session's process; none where the server is on another machine.
    pub(crate) server_cpu_seconds: Option<f64>,
}

/// What the project's connection is made of.
pub(crate) fn environment() -> anyhow::Result<[(&'static str, String); 5]> {
    let url: reqwest::Url = server("MILLRACE_TEST_POSTGRES")?.parse()?;
    Ok([
        ("BENCH_PG_HOST", url.host_str().unwrap_or_default().to_owned()),
        ("BENCH_PG_PORT", url.port().unwrap_or(5432).to_string()),
        ("BENCH_PG_DATABASE", url.path().trim_start_matches('/').to_owned()),
        ("BENCH_PG_USER", url.username().to_owned()),
        ("BENCH_PG_PASSWORD", url.password().unwrap_or_default().to_owned()),
    ])
}

/// Runs statements, each by itself.
pub(crate) fn execute(statements: &[&str]) -> anyhow::Result<()> {
    block_on(async {
        let mut connection = connect().await?;
        for statement in statements {
            connection.execute(AssertSqlSafe(*statement)).await?;
        }
        anyhow::Ok(())
    })
}

/// The table without rows, and without positions of who loaded it before.
pub(crate) fn recreate_orders() -> anyhow::Result<()> {
    let create = format!("CREATE TABLE {TABLE} {COLUMNS}");
    execute(&[&format!("DROP TABLE IF EXISTS {TABLE}"), "DROP TABLE IF EXISTS millrace_positions", &create])
}

/// Puts the orders into the table of which `condition` is true, as a load before would have, and leaves nothing of that work to be done later.
pub(crate) fn preload(condition: &str) -> anyhow::Result<()> {
    let insert = format!("INSERT INTO {TABLE} SELECT * FROM {SOURCE} WHERE {condition}");
    execute(&[&insert, &format!("VACUUM ANALYZE {TABLE}"), "CHECKPOINT"])
}

/// How many rows the table has.
pub(crate) fn count(table: &str) -> anyhow::Result<u64> {
    let sql = format!("SELECT count(*) FROM {table}");
    let rows: i64 = block_on(async { sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut connect().await?).await })?;
    Ok(rows.try_into()?)
}

pub(crate) async fn connect() -> Result<PgConnection, sqlx::Error> {
    let options: PgConnectOptions = server("MILLRACE_TEST_POSTGRES").unwrap_or_default().parse()?;
    options.connect().await
}

/// User and system time of the server's processes that serve clients other than this one, if they are on this machine.
pub(crate) fn clients_cpu_seconds() -> anyhow::Result<Option<f64>> {
    let sql = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
        AND datname = current_database() AND application_name LIKE 'millrace%'";
    let pids: Vec<i32> = block_on(async { sqlx::query_scalar(sql).fetch_all(&mut connect().await?).await })?;
    Ok(pids.into_iter().map(|pid| account(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)).sum())
}

/// User and system time of a line of `/proc/<pid>/stat`, if it is one of PostgreSQL's.
fn account(stat: &str) -> Option<f64> {
    stat.contains("(postgres)").then(|| cpu_seconds(stat).ok())?
}

/// The orders as rows of PostgreSQL, in a table of their own; what it cost to copy them in as text, psql's text format.
pub(crate) fn make_source(records: u64, folder: &Path) -> anyhow::Result<Loaded> {
    execute(&[&format!("DROP TABLE IF EXISTS {SOURCE}"), &format!("CREATE TABLE {SOURCE} {COLUMNS}")])?;
    let file = folder.join("orders.txt");
    write_text(records, &file)?;
    let copied = psql(&format!("\\copy {SOURCE} FROM '{}'\n", file.display()), records)?;
    execute(&[&format!("ANALYZE {SOURCE}")])?;
    fs::remove_file(file)?;
    Ok(copied)
}

fn write_text(records: u64, path: &Path) -> anyhow::Result<()> {
    let mut file = fs::File::create(path)?;
    let mut lines = String::new();
    for first in (0..records).step_by(AT_ONCE as usize) {
        lines.clear();
        (first..records.min(first + AT_ONCE)).for_each(|number| Order::number(number).copy_line(&mut lines));
        std::io::Write::write_all(&mut file, lines.as_bytes())?;
    }
    Ok(())
}

/// How rows follow one another in a file.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Sequence {
    /// As in the index.
    Index,
    /// As they come from a topic: runs of some thousands of each of six partitions, by the hash of the customer.
    Topic,
}

impl Sequence {
    fn order(self) -> &'static str {
        match self {
            Self::Index => "id",
            Self::Topic => "(id - 1000000) / 24576, (hashtext(customer_id) & 2147483647) % 6, id",
        }
    }
}

/// Writes the rows of the source into files of PostgreSQL's binary format, `rows` in each; returns their names.
pub(crate) fn binary_files(records: u64, rows: u64, sequence: Sequence, folder: &Path) -> anyhow::Result<Vec<String>> {
    let (mut script, mut files) = (String::new(), Vec::new());
    for first in (0..records).step_by(rows as usize) {
        let file = folder.join(format!("part-{first}.bin")).display().to_string();
        let ids = format!("id >= 1000000 + {first} AND id < 1000000 + {}", first + rows);
        writeln!(script, "\\copy (SELECT * FROM {SOURCE} WHERE {ids} ORDER BY {}) TO '{file}' (FORMAT binary)", sequence.order())?;
        files.push(file);
    }
    psql(&script, records)?;
    Ok(files)
}

/// Runs a script by psql: what it cost from psql's start to its end, and in the server.
pub(crate) fn psql(script: &str, records: u64) -> anyhow::Result<Loaded> {
    let mut file = tempfile::NamedTempFile::new()?;
    // The account of the session's own process, as its last word.
    let around = format!("SELECT pg_backend_pid() AS pid \\gset\n{script}\\setenv SESSION :pid\n\\! cat /proc/$SESSION/stat\n");
    std::io::Write::write_all(&mut file, around.as_bytes())?;
    let before = children_cpu_seconds(&fs::read_to_string("/proc/self/stat")?)?;
    let started = Instant::now();
    let mut command = Command::new("psql");
    command.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", &server("MILLRACE_TEST_POSTGRES")?, "-f"]).arg(file.path());
    let output = command.stderr(Stdio::inherit()).output().context("psql is needed for the reference")?;
    ensure!(output.status.success(), "psql failed");
    let seconds = started.elapsed().as_secs_f64();
    let cpu = children_cpu_seconds(&fs::read_to_string("/proc/self/stat")?)? - before;
    let whole = Span { records, seconds, cpu_seconds: cpu };
    let said = String::from_utf8_lossy(&output.stdout);
    let server_cpu_seconds = said.lines().last().and_then(account);
    Ok(Loaded { measured: Measured { whole, warm: None, peak_rss_mb: 0.0, latency_ms: None }, server_cpu_seconds })
}
