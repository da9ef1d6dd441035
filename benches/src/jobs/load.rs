//! Jobs L1 to L3: orders from a topic into tables, each beside what a person would write by hand for the same rows.

pub(super) mod append;
pub(super) mod bad_rows;
pub(super) mod sqlite;
pub(super) mod upsert;

use crate::bench::Bench;
use crate::kafka::{Progress, forget_group};
use crate::process::Process;
use crate::report::{Figure, Finding};
use crate::warehouse::{self, Loaded};

const GROUP: &str = "bench.orders";

/// Loads the orders by the load of that project, into the table as it is.
fn load(bench: &Bench, project: &str) -> anyhow::Result<Loaded> {
    let mut command = bench.service("loader", project)?;
    command.envs(warehouse::environment()?);
    forget_group(GROUP)?;
    let progress = Progress::of(GROUP)?;
    let mut process = Process::start(&mut command)?;
    let measured = process.follow(bench.records, || progress.committed())?;
    Ok(Loaded { measured, server_cpu_seconds: warehouse::clients_cpu_seconds()? })
}

/// A figure of who loaded rows, with what a row cost here and in the server.
fn figure(job: &str, who: &str, loaded: &Loaded) -> Figure {
    let rows = loaded.measured.whole.records as f64;
    let microseconds = |seconds: f64| seconds * 1e6 / rows;
    let own = Finding::value("of its own CPU a row", microseconds(loaded.measured.whole.cpu_seconds), "µs");
    let figure = Figure::new(job, who, loaded.measured).found(own);
    match loaded.server_cpu_seconds {
        Some(seconds) => figure.found(Finding::value("of PostgreSQL's CPU a row", microseconds(seconds), "µs")),
        None => figure,
    }
}
