//! What more processors give to job T, and what more partitions cost it.

use std::process::Command;
use std::time::Duration;

use anyhow::ensure;

use super::Job;
use crate::bench::Bench;
use crate::kafka::{PARTITIONS, Progress, fill_orders_of, forget_group, members_at_work, recreate};
use crate::limit::{ControlGroup, Limit, on_processors};
use crate::measured::Measured;
use crate::orders::Order;
use crate::process::{Process, Sample, used_up};
use crate::report::{Figure, Finding, RunFile};

pub(crate) const CORES: Job =
    Job { name: "cores", about: "T on one processor, and two instances on two; one and two with a share of a processor each", run: cores };
pub(crate) const PARTITIONED: Job = Job { name: "parts", about: "T of 1, 64 and 1,000 partitions at equal load", run: partitions };

const GROUP: &str = "bench.orders";
/// How often progress is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// So many times the usual records, for a run that is much longer than a group takes to share out its partitions.
const LONG: u64 = 5;
/// What each instance gets of a processor where Kafka is to have enough beside two of them.
const SHARE: u32 = 30;

/// Two instances beside one, in two ways: with a processor each, where Kafka, being on the same two, takes from the second instance what it needs; and
/// with so small a share each that Kafka has what it needs beside both.
fn cores(bench: &Bench, report: &mut RunFile) -> anyhow::Result<()> {
    let records = bench.records * LONG;
    fill_orders_of(records, PARTITIONS, Order::number, |_, _| {})?;
    let one = instances(bench, records, PARTITIONS, &[on_processor("0")])?;
    report.add(Figure::new("cores", "one instance, one processor", one));
    let two = instances(bench, records, PARTITIONS, &[on_processor("0"), on_processor("1")])?;
    report.add(beside_one("two instances, two processors", &two, &one));

    let first = ControlGroup::new("first", Limit::Processor(SHARE))?;
    let second = ControlGroup::new("second", Limit::Processor(SHARE))?;
    let one = instances(bench, records, PARTITIONS, &[within(&first)])?;
    report.add(Figure::new("cores", &format!("one instance, {SHARE} % of a processor"), one));
    let two = instances(bench, records, PARTITIONS, &[within(&first), within(&second)])?;
    report.add(beside_one(&format!("two instances, {SHARE} % each"), &two, &one));
    Ok(())
}

fn beside_one(variant: &str, two: &Measured, one: &Measured) -> Figure {
    let rate = Finding::per_second(two, one, "one instance").at_least(1.8);
    Figure::new("cores", variant, *two).found(rate).found(Finding::per_cpu_second(two, one, "one instance"))
}

/// Where an instance runs: its command, as it is run there.
type Place<'a> = Box<dyn Fn(&Command) -> Command + 'a>;

fn on_processor(list: &'static str) -> Place<'static> {
    Box::new(move |command| on_processors(list, command))
}

fn within(group: &ControlGroup) -> Place<'_> {
    Box::new(|command| group.around(command))
}

fn partitions(bench: &Bench, report: &mut RunFile) -> anyhow::Result<()> {
    let mut least = None;
    for count in [1, 64, 1000] {
        fill_orders_of(bench.records, count, Order::number, |_, _| {})?;
        let measured = instances(bench, bench.records, count, &[on_processor("0,1")])?;
        let figure = Figure::new("parts", &format!("{count} partitions"), measured);
        let of_one = least.get_or_insert(measured);
        let cost = Finding::ratio("of the CPU a record with one partition", of_one.per_cpu_second() / measured.per_cpu_second());
        report.add(figure.found(cost.at_most(1.15)));
    }
    Ok(())
}

/// Instances of job T, each in its place, until all of so many records are transformed. They are warm when each of them has partitions.
fn instances(bench: &Bench, records: u64, partitions: i32, places: &[Place<'_>]) -> anyhow::Result<Measured> {
    recreate("bench.out")?;
    forget_group(GROUP)?;
    let progress = Progress::over(GROUP, partitions)?;
    let mut running = Vec::new();
    for (number, place) in places.iter().enumerate() {
        let command = bench.service("transform", "transform")?;
        running.push(Process::start(place(&command).env("MILLRACE_INSTANCE", format!("bench-{number}")))?);
    }
    let start = Sample::none_at(running[0].started());
    let warm = when(&mut running, || Ok(members_at_work(GROUP)? == places.len()))?;
    let at_warm = progress.committed()?;
    ensure!(at_warm <= records / 2, "{at_warm} of {records} records were done before each instance had partitions: measure with more");
    let end = when(&mut running, || Ok(progress.committed()? >= records))?;
    running[0].measured(start.until(&end, records), Some(warm.until(&end, records - at_warm)))
}

/// Waits until something is so: what the processes have used up by then.
fn when(running: &mut [Process], mut is_so: impl FnMut() -> anyhow::Result<bool>) -> anyhow::Result<Sample> {
    while !is_so()? {
        used_up(running)?;
        std::thread::sleep(LOOK);
    }
    used_up(running)
}
