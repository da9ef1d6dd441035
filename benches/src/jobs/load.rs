//! Job L1: orders appended to an empty table with a primary key.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, ensure};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions as _, Executor as _};

use super::Job;
use crate::bench::Bench;
use crate::kafka::{Progress, block_on, fill_orders, forget_group, server};
use crate::measured::{Measured, Span};
use crate::orders::Order;
use crate::process::Process;
use crate::report::{Figure, Finding, RunFile};

const GROUP: &str = "bench.orders";
const TABLE: &str = "CREATE TABLE bench_orders (id bigint NOT NULL PRIMARY KEY, customer_id text NOT NULL, email text NOT NULL,
    amount double precision NOT NULL, currency text NOT NULL, created_at timestamptz NOT NULL, status text NOT NULL, coupon text,
    note text, country text NOT NULL, quantity integer NOT NULL, items jsonb NOT NULL)";

pub(crate) const JOB: Job = Job { name: "L1", about: "topic → PostgreSQL, append; beside psql's \\copy", run };

fn run(bench: &Bench, report: &mut RunFile) -> anyhow::Result<()> {
    fill_orders(bench.records)?;
    let copied = copy(bench.records)?;
    report.add(Figure::new("L1", "psql \\copy, text", copied));
    let measured = millrace(bench)?;
    report.add(Figure::new("L1", "millrace", measured).found(Finding::per_second(&measured, &copied, "psql").at_least(0.9)));
    Ok(())
}

fn copy(records: u64) -> anyhow::Result<Measured> {
    recreate_table()?;
    let file = tempfile_of_orders(records)?;
    let before = children_cpu_seconds()?;
    let started = Instant::now();
    let copy = format!("\\copy bench_orders FROM '{}'", file.path().display());
    let status = Command::new("psql").args(["-X", "-q", &server("MILLRACE_TEST_POSTGRES")?, "-c", &copy]).stdout(Stdio::null()).status();
    ensure!(status.context("psql is needed for the reference")?.success(), "psql failed");
    let seconds = started.elapsed().as_secs_f64();
    // psql's own; COPY's work is the server's.
    let whole = Span { records, seconds, cpu_seconds: children_cpu_seconds()? - before };
    Ok(Measured { whole, warm: None, peak_rss_mb: 0.0, latency_ms: None })
}

fn children_cpu_seconds() -> anyhow::Result<f64> {
    crate::process::children_cpu_seconds(&std::fs::read_to_string("/proc/self/stat")?)
}

fn tempfile_of_orders(records: u64) -> anyhow::Result<tempfile::NamedTempFile> {
    let mut file = tempfile::NamedTempFile::new()?;
    let mut lines = String::new();
    for number in 0..records {
        Order::number(number).copy_line(&mut lines);
        if lines.len() > 1 << 20 {
            file.write_all(lines.as_bytes())?;
            lines.clear();
        }
    }
    file.write_all(lines.as_bytes())?;
    Ok(file)
}

fn millrace(bench: &Bench) -> anyhow::Result<Measured> {
    recreate_table()?;
    forget_group(GROUP)?;
    let progress = Progress::of(GROUP)?;
    let mut process = Process::start(bench.service("loader", "load")?.envs(warehouse()?))?;
    let measured = process.follow(bench.records, || progress.committed())?;
    let rows: i64 = block_on(async { sqlx::query_scalar("SELECT count(*) FROM bench_orders").fetch_one(&mut connect().await?).await })?;
    ensure!(rows as u64 == bench.records, "the table has {rows} rows of {}", bench.records);
    Ok(measured)
}

fn recreate_table() -> anyhow::Result<()> {
    block_on(async {
        let mut connection = connect().await?;
        connection.execute("DROP TABLE IF EXISTS bench_orders").await?;
        connection.execute("DROP TABLE IF EXISTS millrace_positions").await?;
        connection.execute(TABLE).await
    })?;
    Ok(())
}

/// What the project's connection is made of.
fn warehouse() -> anyhow::Result<[(&'static str, String); 5]> {
    let url: reqwest::Url = server("MILLRACE_TEST_POSTGRES")?.parse()?;
    Ok([
        ("BENCH_PG_HOST", url.host_str().unwrap_or_default().to_owned()),
        ("BENCH_PG_PORT", url.port().unwrap_or(5432).to_string()),
        ("BENCH_PG_DATABASE", url.path().trim_start_matches('/').to_owned()),
        ("BENCH_PG_USER", url.username().to_owned()),
        ("BENCH_PG_PASSWORD", url.password().unwrap_or_default().to_owned()),
    ])
}

async fn connect() -> Result<PgConnection, sqlx::Error> {
    let options: PgConnectOptions = server("MILLRACE_TEST_POSTGRES").unwrap_or_default().parse()?;
    options.connect().await
}
