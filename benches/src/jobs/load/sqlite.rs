//! Job L3: orders into an empty SQLite table.

use std::process::Stdio;

use anyhow::{Context, ensure};
use rusqlite::Connection;

use super::GROUP;
use crate::bench::Bench;
use crate::jobs::Job;
use crate::kafka::{Progress, fill_orders, forget_group};
use crate::measured::{Measured, Span};
use crate::parts::sqlite_loop;
use crate::process::Process;
use crate::report::{Figure, Finding, RunFile};

pub(crate) const JOB: Job =
    Job { name: "L3", about: "topic → SQLite, append; beside a prepared statement in a loop, one transaction a batch", run };

fn run(bench: &Bench, report: &mut RunFile) -> anyhow::Result<()> {
    fill_orders(bench.records)?;
    let looped = by_hand(bench.records)?;
    report.add(Figure::new("L3", "prepared-statement loop", looped));
    let loaded = millrace(bench)?;
    let per_cpu = Finding::per_cpu_second(&loaded, &looped, "the loop");
    report.add(Figure::new("L3", "millrace", loaded).found(Finding::per_second(&loaded, &looped, "the loop").at_least(0.8)).found(per_cpu));
    Ok(())
}

fn by_hand(records: u64) -> anyhow::Result<Measured> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("reference.db");
    let path = file.to_str().context("a path is text")?;
    let output = Bench::part(sqlite_loop::PART.name, &[path, &records.to_string()])?.stderr(Stdio::inherit()).output()?;
    let said = String::from_utf8(output.stdout)?;
    let [rows, seconds, cpu_seconds] = said.split_whitespace().collect::<Vec<_>>()[..] else { anyhow::bail!("the loop said {said:?}") };
    ensure!(rows.parse() == Ok(records), "the loop wrote {rows} rows of {records}");
    let whole = Span { records, seconds: seconds.parse()?, cpu_seconds: cpu_seconds.parse()? };
    Ok(Measured { whole, warm: None, peak_rss_mb: 0.0, latency_ms: None })
}

fn millrace(bench: &Bench) -> anyhow::Result<Measured> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("millrace.db");
    Connection::open(&file)?.execute_batch(sqlite_loop::TABLE)?;
    let mut command = bench.service("loader", "sqlite")?;
    command.env("BENCH_SQLITE", &file);
    forget_group(GROUP)?;
    let progress = Progress::of(GROUP)?;
    let mut process = Process::start(&mut command)?;
    let measured = process.follow(bench.records, || progress.committed())?;
    let rows: i64 = Connection::open(&file)?.query_row("SELECT count(*) FROM bench_orders", [], |row| row.get(0))?;
    ensure!(rows as u64 == bench.records, "the table has {rows} rows of {}", bench.records);
    Ok(measured)
}
