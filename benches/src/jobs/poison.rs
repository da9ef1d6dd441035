//! Job "poison": job T's input where nothing can be processed, beside job T in the same run. Bad frames: orders that were produced as
//! JSON. Failing expressions: an address of every order is cast to a number. Each record becomes a dead letter.

use anyhow::ensure;

use super::{Job, transform};
use crate::bench::Bench;
use crate::kafka::{Progress, count, fill_json, fill_orders, forget_group, recreate};
use crate::measured::Measured;
use crate::process::Process;
use crate::report::{Figure, Finding, RunFile};

pub(crate) const JOB: Job = Job { name: "poison", about: "topic → dead letters, every record bad; beside T", run };

const GROUP: &str = "bench.poison";
const OUTPUT: &str = "bench.poison.out";
const DEAD: &str = "bench.dead";

fn run(bench: &Bench, report: &mut RunFile) -> anyhow::Result<()> {
    fill_orders(bench.records)?;
    let healthy = match report.measured("T", "millrace") {
        Some(healthy) => healthy,
        None => transform::millrace(bench)?,
    };
    let failing = all_dead(bench)?;
    report.add(found("millrace, failing expressions", failing, &healthy));
    fill_json(bench.records)?;
    let bad_frames = all_dead(bench)?;
    report.add(found("millrace, bad frames", bad_frames, &healthy));
    Ok(())
}

fn found(who: &str, measured: Measured, healthy: &Measured) -> Figure {
    let figure = Figure::new("poison", who, measured);
    let what = who.trim_start_matches("millrace, ");
    figure
        .found(Finding::ratio(format!("{what}, of T per CPU-second"), measured.per_cpu_second() / healthy.per_cpu_second()).at_least(0.5))
        .found(Finding::ratio(format!("{what}, of T per second"), measured.per_second() / healthy.per_second()).at_least(0.5))
}

fn all_dead(bench: &Bench) -> anyhow::Result<Measured> {
    recreate(OUTPUT)?;
    recreate(DEAD)?;
    forget_group(GROUP)?;
    let progress = Progress::of(GROUP)?;
    let mut process = Process::start(&mut bench.service("transform", "poison")?)?;
    let measured = process.follow(bench.records, || progress.committed())?;
    drop(process);
    let dead = count(DEAD)?;
    ensure!(dead == bench.records, "{DEAD} has {dead} records of {}", bench.records);
    Ok(measured)
}
