//! The jobs, a file each. A new one is a file and a line of [`JOBS`].

mod files;
mod gateway;
mod kafka_streams;
mod latency;
mod load;
mod memory;
mod poison;
mod scaling;
mod start;
mod transform;

use anyhow::bail;

use crate::bench::Bench;
use crate::report::RunFile;

/// A job of the standard workloads.
#[derive(Debug)]
pub(crate) struct Job {
    /// What it is called on the command line and in results.
    pub(crate) name: &'static str,
    /// What it does, and what it is measured beside.
    pub(crate) about: &'static str,
    /// Runs it and its references in turn, and reports a figure of each.
    pub(crate) run: fn(&Bench, &mut RunFile) -> anyhow::Result<()>,
}

/// All of them, in the order in which they are run.
pub(crate) const JOBS: &[Job] = &[
    transform::JOB,
    poison::JOB,
    gateway::LINES,
    gateway::SINGLE,
    files::JOB,
    load::append::JOB,
    load::upsert::JOB,
    load::sqlite::JOB,
    load::bad_rows::JOB,
    latency::JOB,
    memory::JOB,
    scaling::CORES,
    scaling::PARTITIONED,
    start::JOB,
];

/// Those that are named, or all.
pub(crate) fn chosen(names: &[String]) -> anyhow::Result<Vec<&'static Job>> {
    if names.is_empty() {
        return Ok(JOBS.iter().collect());
    }
    names.iter().map(|name| named(name)).collect()
}

fn named(name: &str) -> anyhow::Result<&'static Job> {
    match JOBS.iter().find(|job| job.name.eq_ignore_ascii_case(name)) {
        Some(job) => Ok(job),
        None => bail!("there is no job {name}; there are {}", JOBS.iter().map(|job| job.name).collect::<Vec<_>>().join(", ")),
    }
}
