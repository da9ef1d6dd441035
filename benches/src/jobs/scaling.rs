//! What more processors give to job T, and what more partitions cost it.

use std::process::Command;

use super::Job;
use crate::bench::Bench;
use crate::kafka::{PARTITIONS, Progress, fill_orders_of, forget_group, recreate};
use crate::limit::on_processors;
use crate::measured::{Measured, Span};
use crate::orders::Order;
use crate::process::Process;
use crate::report::{Figure, Finding, RunFile};

pub(crate) const CORES: Job = Job { name: "cores", about: "T on one processor, and two instances on two", run: cores };
pub(crate) const PARTITIONED: Job = Job { name: "parts", about: "T of 1, 64 and 1,000 partitions at equal load", run: partitions };

const GROUP: &str = "bench.orders";

/// Kafka is on the same processors: what it takes of the second one is lost to the second instance.
fn cores(bench: &Bench, report: &mut RunFile) -> anyhow::Result<()> {
    fill_orders_of(bench.records, PARTITIONS, Order::number, |_, _| {})?;
    let one = instances(bench, PARTITIONS, &["0"])?;
    report.add(Figure::new("cores", "one instance, one processor", one));
    let two = instances(bench, PARTITIONS, &["0", "1"])?;
    let rate = Finding::per_second(&two, &one, "one instance").at_least(1.8);
    report.add(Figure::new("cores", "two instances, two processors", two).found(rate).found(Finding::per_cpu_second(
        &two,
        &one,
        "one instance",
    )));
    Ok(())
}

fn partitions(bench: &Bench, report: &mut RunFile) -> anyhow::Result<()> {
    let mut least = None;
    for count in [1, 64, 1000] {
        fill_orders_of(bench.records, count, Order::number, |_, _| {})?;
        let measured = instances(bench, count, &["0,1"])?;
        let figure = Figure::new("parts", &format!("{count} partitions"), measured);
        let of_one = least.get_or_insert(measured);
        let cost = Finding::ratio("of the CPU a record with one partition", of_one.per_cpu_second() / measured.per_cpu_second());
        report.add(figure.found(cost.at_most(1.15)));
    }
    Ok(())
}

/// Instances of job T, each on its own processors, until all orders of so many partitions are transformed.
fn instances(bench: &Bench, partitions: i32, processors: &[&str]) -> anyhow::Result<Measured> {
    recreate("bench.out")?;
    forget_group(GROUP)?;
    let progress = Progress::over(GROUP, partitions)?;
    let mut running = Vec::new();
    for list in processors {
        let command: Command = bench.service("transform", "transform")?;
        running.push(Process::start(on_processors(list, &command).env("MILLRACE_INSTANCE", format!("bench-{list}")))?);
    }
    let Some((first, others)) = running.split_first_mut() else { anyhow::bail!("no instance") };
    let measured = first.follow(bench.records, || progress.committed())?;
    let mut cpu_seconds = 0.0;
    for other in &mut *others {
        other.lives()?;
        cpu_seconds += other.used_cpu_seconds()?;
    }
    // The account of the others is of all their time, so the cold stretch counts wherever there are any.
    let whole = Span { cpu_seconds: measured.whole.cpu_seconds + cpu_seconds, ..measured.whole };
    Ok(Measured { whole, warm: measured.warm.filter(|_| others.is_empty()), ..measured })
}
