//! `millrace`: the only binary, and nothing but wiring.

mod allocator;
mod args;
mod commands;
mod dev_state;
mod output;
mod project;
mod services;
mod table;
mod wanted;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser;
use millrace_model::Fault;

use crate::args::{Arguments, Command};
use crate::commands::{apply, check, dead_letters, dev, positions, query, run, schema, topics};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("millrace: the runtime can't be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = match runtime.block_on(execute(arguments)) {
        Ok(code) => code,
        Err(error) => {
            // With nobody to read it the exit code is what is left.
            writeln!(std::io::stderr(), "{}", told(&error)).ok();
            ExitCode::FAILURE
        }
    };
    // Threads that wait for a server that is away must not hold the process back.
    runtime.shutdown_background();
    code
}

/// An error as the person at the terminal reads it: what failed, why, and what to do.
fn told(error: &anyhow::Error) -> String {
    match error.downcast_ref::<Fault>() {
        // A fault's text has its causes in it.
        Some(fault) if !fault.to_string().contains(fault.code().help()) => format!("error: {fault}\n  help: {}", fault.code().help()),
        Some(fault) => format!("error: {fault}"),
        None => format!("error: {error:#}"),
    }
}

async fn execute(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let Arguments { command, logs } = arguments;
    match command {
        Command::Check(args) => check::execute(&args).await,
        Command::Apply(args) => apply::execute(&args).await,
        Command::Run(args) => run::execute(&args, &logs).await,
        Command::Dev(args) => dev::execute(&args, &logs).await,
        Command::Query(args) => query::execute(&args).await,
        Command::Positions(args) => positions::execute(&args).await,
        Command::Topics(args) => topics::execute(&args).await,
        Command::DeadLetters(args) => dead_letters::execute(&args).await,
        Command::Schema(args) => schema::execute(&args).await,
    }
}
