//! Job T: drop the cancelled, work out an amount, mask an address; exactly once, commits every 100 ms.

use anyhow::ensure;

use super::{Job, kafka_streams};
use crate::bench::Bench;
use crate::kafka::{Progress, count, fill_orders, forget_group, recreate};
use crate::measured::Measured;
use crate::parts::pass_through;
use crate::process::Process;
use crate::report::{Figure, Finding, RunFile};

const GROUP: &str = "bench.orders";
const OUTPUT: &str = "bench.out";

pub(crate) const JOB: Job =
    Job { name: "T", about: "topic → filter, compute, mask → topic, exactly once; beside librdkafka's pass-through", run };

fn run(bench: &Bench, report: &mut RunFile) -> anyhow::Result<()> {
    let kept = fill_orders(bench.records)?;
    let passed = raw(bench.records)?;
    report.add(Figure::new("T", "librdkafka pass-through", passed));
    let measured = millrace(bench)?;
    let written = count(OUTPUT)?;
    ensure!(written == kept, "{OUTPUT} has {written} records of {kept}");
    report.add(
        Figure::new("T", "millrace", measured)
            .found(Finding::per_cpu_second(&measured, &passed, "pass-through").at_least(0.75))
            .found(Finding::per_second(&measured, &passed, "pass-through").at_least(0.75)),
    );
    if bench.peers { beside_streams(bench, &measured, kept, report) } else { Ok(()) }
}

fn beside_streams(bench: &Bench, measured: &Measured, kept: u64, report: &mut RunFile) -> anyhow::Result<()> {
    let streams = kafka_streams::run(bench.records)?;
    let written = count(kafka_streams::OUTPUT)?;
    ensure!(written == kept, "{} has {written} records of {kept}", kafka_streams::OUTPUT);
    // Said of Kafka Streams' figure, as that of Millrace is reported without a peer too.
    let times =
        |what: &str, ours: f64, theirs: f64| Finding::ratio(format!("times as fast is Millrace {what}"), ours / theirs).at_least(3.0);
    report.add(
        Figure::new("T", "Kafka Streams, exactly_once_v2", streams)
            .found(times("per CPU-second", measured.per_cpu_second(), streams.per_cpu_second()))
            .found(times("per second", measured.per_second(), streams.per_second())),
    );
    Ok(())
}

fn raw(records: u64) -> anyhow::Result<Measured> {
    recreate(pass_through::OUTPUT)?;
    forget_group(pass_through::GROUP)?;
    let progress = Progress::of(pass_through::GROUP)?;
    let mut process = Process::start(&mut Bench::part(pass_through::PART.name, &[])?)?;
    process.follow(records, || progress.committed())
}

pub(super) fn millrace(bench: &Bench) -> anyhow::Result<Measured> {
    recreate(OUTPUT)?;
    forget_group(GROUP)?;
    let progress = Progress::of(GROUP)?;
    let mut process = Process::start(&mut bench.service("transform", "transform")?)?;
    process.follow(bench.records, || progress.committed())
}
