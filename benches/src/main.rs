//! The standard jobs, each beside its reference in the same run: a JSON line a figure, a table at the end, and a file in `results/`.
//!
//! Kafka, registry and PostgreSQL are those that `MILLRACE_TEST_KAFKA`, `MILLRACE_TEST_REGISTRY` and `MILLRACE_TEST_POSTGRES`
//! name; `make bench` starts them. Figures of one run compare with one another, not with those of another machine or hour: two
//! commits are compared by their ratios to the references of their own runs.

mod bench;
mod ends;
mod health;
mod jobs;
mod kafka;
mod limit;
mod measured;
mod orders;
mod parts;
mod process;
mod report;
mod told;
mod warehouse;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::bench::Bench;
use crate::report::{RunFile, compare, markdown};

/// Runs the standard jobs beside their references.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs jobs, all of them unless some are named, and keeps the figures.
    Run(Wanted),
    /// The jobs that there are.
    List,
    /// Compares two commits (or two files of results) by their ratios to the references of their own runs.
    Compare {
        /// The earlier one.
        before: String,
        /// The later one.
        after: String,
        /// The folder of the results.
        #[arg(long, default_value = report::RESULTS)]
        results: PathBuf,
    },
    /// Prints a file of results as the table of docs/benchmarks.md.
    Table {
        /// A file in benches/results.
        file: PathBuf,
    },
    /// What a job runs in a process of its own: a reference, a generator of load.
    #[command(hide = true)]
    Part {
        /// Its name.
        name: String,
        /// What it is told.
        arguments: Vec<String>,
    },
}

#[derive(Debug, Args)]
struct Wanted {
    /// Names of jobs; see `list`.
    jobs: Vec<String>,
    /// How many records each job has.
    #[arg(long, default_value_t = 1_000_000)]
    records: u64,
    /// How often each job is run; the tables have the medians.
    #[arg(long, default_value_t = 1)]
    rounds: u32,
    /// The binary to measure; the one beside this program without it.
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Measures other products too, where a job has such peers.
    #[arg(long)]
    peers: bool,
    /// The folder that the figures are kept in.
    #[arg(long, default_value = report::RESULTS)]
    results: PathBuf,
}

fn main() -> anyhow::Result<ExitCode> {
    match Arguments::parse().command {
        Command::Run(wanted) => return run(wanted),
        Command::List => jobs::JOBS.iter().for_each(|job| println!("{:<8} {}", job.name, job.about)),
        Command::Compare { before, after, results } => print!("{}", compare(&results, &before, &after)?),
        Command::Table { file } => print!("{}", markdown(&RunFile::read(&file)?)),
        Command::Part { name, arguments } => parts::run(&name, &arguments)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs the jobs; one that fails does not take the figures of the others along.
fn run(wanted: Wanted) -> anyhow::Result<ExitCode> {
    let binary = match wanted.binary {
        Some(binary) => binary,
        None => std::env::current_exe()?.with_file_name("millrace"),
    };
    let jobs = jobs::chosen(&wanted.jobs)?;
    ends::with_children()?;
    let bench = Bench { binary, records: wanted.records, peers: wanted.peers };
    let mut report = RunFile::start(wanted.records);
    let mut failed = false;
    for (round, job) in (1..=wanted.rounds).flat_map(|round| jobs.iter().map(move |job| (round, job))) {
        eprintln!("{}: {} (round {round} of {})", job.name, job.about, wanted.rounds);
        report.round = round;
        if let Err(error) = (job.run)(&bench, &mut report) {
            eprintln!("{} failed: {error:#}", job.name);
            failed = true;
        }
    }
    println!("\n{}", report.table());
    eprintln!("kept in {}", report.keep(&wanted.results)?.display());
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
