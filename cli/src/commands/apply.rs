//! `millrace apply`: the servers made as the project says, after it was shown what that means.

use std::collections::BTreeSet;
use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use millrace_model::{Code, Fault};
use millrace_provision::apply::Servers;
use millrace_provision::plan::Change;
use millrace_provision::{Doomed, Facts, Options, Plan, Wanted, differences, facts, plan};
use serde_json::{Value, json};

use crate::args::Apply;
use crate::output::{out, outln};
use crate::project::Loaded;

/// There is something to do, and nobody said that it may be done.
const NOT_CONFIRMED: u8 = 2;

pub(crate) async fn execute(args: &Apply) -> anyhow::Result<ExitCode> {
    let loaded = Loaded::at(args.profile.of(&args.project))?;
    let servers = Servers { cluster: loaded.cluster("apply"), registry: loaded.registry()?, connections: &loaded.project.connections };
    let wanted = loaded.wanted_to_be_made()?;
    let facts = all_told(facts::read(&wanted, &servers.cluster, &servers.registry).await)?;
    let plan = planned(args, &wanted, &facts, &servers).await?;
    if args.json { print_or_make(args, &plan, &servers).await } else { show_and_make(args, &plan, &servers).await }
}

/// A plan is made of all facts or of none.
fn all_told(facts: Facts) -> anyhow::Result<Facts> {
    let silent: Vec<String> = facts.silent().map(|fault| format!("\n  {fault}")).collect();
    anyhow::ensure!(silent.is_empty(), "there is no plan without all the facts, and nothing was done{}", silent.concat());
    Ok(facts)
}

async fn planned(args: &Apply, wanted: &Wanted, facts: &Facts, servers: &Servers<'_>) -> anyhow::Result<Plan> {
    let add_partitions: BTreeSet<String> = args.add_partitions.iter().cloned().collect();
    if let Some(unknown) = add_partitions.iter().find(|name| wanted.topics.iter().all(|topic| topic.declared.name != **name)) {
        anyhow::bail!("--add-partitions {unknown}: the project has no such topic");
    }
    Ok(plan(&differences(wanted, facts), &Options { add_partitions, doomed: doomed(args, servers).await? }))
}

/// What was told to be destroyed and is still there.
async fn doomed(args: &Apply, servers: &Servers<'_>) -> anyhow::Result<Vec<Doomed>> {
    let names: Vec<&str> = servers.connections.keys().map(String::as_str).collect();
    let mut doomed = Vec::new();
    for named in &args.destroy {
        let one = named.resolve(&names)?;
        if one.exists(&servers.cluster, |name| servers.connections.get(name).cloned()).await? {
            doomed.push(one);
        }
    }
    Ok(doomed)
}

async fn show_and_make(args: &Apply, plan: &Plan, servers: &Servers<'_>) -> anyhow::Result<ExitCode> {
    out!("{plan}");
    if plan.changes.is_empty() {
        return Ok(outcome(plan, true));
    }
    if !args.yes && !confirmed()? {
        outln!("Nothing was done. `millrace apply --yes` does it.");
        return Ok(ExitCode::from(NOT_CONFIRMED));
    }
    let mut failed = Vec::new();
    for change in &plan.changes {
        match servers.make(change).await {
            Ok(()) => outln!("done      {} {}", change.kind, change.name),
            Err(fault) => {
                outln!("NOT DONE  {} {}: {fault}", change.kind, change.name);
                failed.push(change);
            }
        }
    }
    outln!("{} of {} done.{}", plan.changes.len() - failed.len(), plan.changes.len(), go_on(&failed));
    Ok(outcome(plan, failed.is_empty()))
}

fn go_on(failed: &[&Change]) -> &'static str {
    if failed.is_empty() { "" } else { " Mend what the messages say and run `millrace apply` again: it goes on with what is left." }
}

fn outcome(plan: &Plan, all_done: bool) -> ExitCode {
    if all_done && plan.obstacles.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Whether the person at the terminal agrees; without a terminal nobody does.
fn confirmed() -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        return Ok(false);
    }
    out!("Do it? [y/N] ");
    std::io::stdout().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// A program is not asked: without `--yes` it gets the plan, with it the plan and what became of each change.
async fn print_or_make(args: &Apply, plan: &Plan, servers: &Servers<'_>) -> anyhow::Result<ExitCode> {
    let mut told = plan.to_json();
    if !args.yes {
        outln!("{told:#}");
        return Ok(if plan.changes.is_empty() { outcome(plan, true) } else { ExitCode::from(NOT_CONFIRMED) });
    }
    let mut all_done = true;
    for (number, change) in plan.changes.iter().enumerate() {
        let made = servers.make(change).await;
        all_done &= made.is_ok();
        told["changes"][number]["done"] = made.is_ok().into();
        told["changes"][number]["error"] = made.err().map_or(Value::Null, |fault| failure(&fault));
    }
    outln!("{told:#}");
    Ok(outcome(plan, all_done))
}

fn failure(fault: &Fault) -> Value {
    let code: Code = fault.code();
    json!({ "code": code.as_str(), "message": fault.to_string(), "help": code.help() })
}
