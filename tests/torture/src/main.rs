//! Randomised faults under load on real servers, and a ledger of every record in and out. `make torture` starts the servers and runs it.

mod check;
mod deck;
mod faults;
mod fleet;
mod ledger;
mod outcome;
mod outside;
mod recovery;
mod rounds;
mod run;
mod space;
mod watch;
mod workload;
mod world;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use crate::faults::Fault;
use crate::run::{Mode, Plan};

/// Inflicts faults at random on a project that runs on real servers, and looks that nothing is lost, doubled, reordered or corrupted.
#[derive(Debug, Parser)]
#[command(name = "millrace-torture")]
struct Arguments {
    /// What records and faults are drawn by; a random one without it.
    #[arg(long)]
    seed: Option<u64>,
    /// How long faults come.
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
    /// At most so many rounds of faults.
    #[arg(long)]
    rounds: Option<usize>,
    /// Names of faults, or what they begin with, with commas between them; all without it.
    #[arg(long, value_delimiter = ',')]
    faults: Vec<String>,
    /// How they come.
    #[arg(long, value_enum, default_value_t = Mode::Mixed)]
    mode: Mode,
    /// Only prints the names of the faults.
    #[arg(long)]
    list: bool,
    /// Does not write the run into the ledger.
    #[arg(long)]
    no_ledger: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Prints the totals of the ledger: over the runs of the hot paths as they are now, and over all.
    Ledger,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if matches!(arguments.command, Some(Command::Ledger)) {
        print!("{}", ledger::totals());
        return ExitCode::SUCCESS;
    }
    if arguments.list {
        chosen(&arguments.faults).iter().for_each(|fault| println!("{}", fault.name()));
        return ExitCode::SUCCESS;
    }
    let seed = arguments.seed.unwrap_or_else(rand::random);
    println!("seed {seed}");
    let plan = Plan { seed, minutes: arguments.minutes, rounds: arguments.rounds, mode: arguments.mode };
    // Instances end with what holds them: a harness that is asked to end leaves none behind.
    let mut asked_to_end = signal(SignalKind::terminate()).expect("signals can be waited for");
    let in_ledger = !arguments.no_ledger && arguments.mode != Mode::Short;
    let note = |entry: &ledger::Entry| {
        if in_ledger {
            ledger::append(entry);
        }
    };
    let outcome = tokio::select! {
        outcome = run::run(&plan, || chosen(&arguments.faults), note) => outcome,
        _ = asked_to_end.recv() => return ExitCode::FAILURE,
        _ = tokio::signal::ctrl_c() => return ExitCode::FAILURE,
    };
    outcome.tell();
    let well = outcome.is_clean() && (arguments.mode == Mode::Short || outcome.is_seen());
    if well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn chosen(names: &[String]) -> Vec<Box<dyn Fault>> {
    let all = faults::all();
    for name in names {
        assert!(all.iter().any(|fault| fault.name().starts_with(name)), "there is no fault {name}; --list names those there are");
    }
    let fits = |fault: &str| names.is_empty() || names.iter().any(|name| fault.starts_with(name));
    all.into_iter().filter(|fault| fits(&fault.name())).collect()
}
