//! The standard jobs, each beside its reference in the same run: one JSON line a job, and a table at the end.
//!
//! Kafka, registry and PostgreSQL are those that `MILLRACE_TEST_KAFKA`, `MILLRACE_TEST_REGISTRY` and `MILLRACE_TEST_POSTGRES`
//! name; `make bench` starts them. Figures of one run compare with one another, not with those of another machine or hour.

mod jobs;
mod kafka;
mod orders;
mod process;
mod reference;
mod report;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::report::Report;

/// Runs the standard jobs beside their references.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// How many records each job has.
    #[arg(long, global = true, default_value_t = 1_000_000)]
    records: u64,
    /// The binary to measure; the one beside this program without it.
    #[arg(long, global = true)]
    binary: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum Command {
    /// Job T: filter, compute, mask; beside librdkafka's tuned pass-through.
    T,
    /// Job L1: append to an empty PostgreSQL table; beside psql's \copy.
    L1,
    /// The reference of job T, in a process of its own.
    #[command(hide = true)]
    PassThrough,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let binary = match &arguments.binary {
        Some(binary) => binary.clone(),
        None => std::env::current_exe()?.with_file_name("millrace"),
    };
    let mut report = Report::default();
    match arguments.command {
        Some(Command::PassThrough) => return reference::pass_through(),
        Some(Command::T) => jobs::transform::run(&binary, arguments.records, &mut report)?,
        Some(Command::L1) => jobs::load::run(&binary, arguments.records, &mut report)?,
        None => {
            jobs::transform::run(&binary, arguments.records, &mut report)?;
            jobs::load::run(&binary, arguments.records, &mut report)?;
        }
    }
    report.table();
    Ok(())
}
