//! Job S: how long a service takes from its start to ready.
//!
//! The transform service, with its topics there and its schemas registered. Ready is when `/health/ready` says so: the project is
//! checked, topics and schemas are looked at, the producer has its transactional id (which fences a predecessor), the consumer has
//! subscribed. It does not wait until Kafka has assigned partitions, so that this time, which is Kafka's, is not in the figure.

use super::Job;
use crate::bench::Bench;
use crate::health::start_ready;
use crate::kafka::fill_orders;
use crate::measured::{Latency, Measured, Span};
use crate::report::{Figure, Finding, RunFile};

/// How often it is started.
const STARTS: u32 = 20;

pub(crate) const JOB: Job = Job { name: "S", about: "cold start of a service to ready", run };

fn run(bench: &Bench, report: &mut RunFile) -> anyhow::Result<()> {
    fill_orders(1)?;
    let start = || {
        let (process, took) = start_ready(&mut bench.service("transform", "transform")?)?;
        let nothing = Span { records: 0, seconds: took.as_secs_f64(), cpu_seconds: 0.0 };
        process.measured(nothing, None)
    };
    // The first one makes the topics.
    start()?;
    let starts: Vec<Measured> = (0..STARTS).map(|_| start()).collect::<anyhow::Result<_>>()?;
    let Some(&last) = starts.last() else { return Ok(()) };
    let took = Latency::of(starts.iter().map(|start| start.whole.seconds * 1_000.0).collect());
    let median = took.map_or(0.0, |took| took.p50);
    let figure = Figure::new("S", "millrace run transform", Measured { latency_ms: took, ..last });
    report.add(figure.found(Finding::value("to ready", median, "ms").at_most(150.0)));
    Ok(())
}
