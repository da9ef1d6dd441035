//! Job T: drop the cancelled, work out an amount, mask an address; exactly once, commits every 100 ms.

use std::path::Path;
use std::process::Command;

use anyhow::ensure;

use crate::kafka::{Lag, count, fill_orders, forget_group, recreate};
use crate::process::{Measured, Process};
use crate::reference;
use crate::report::Report;

const GROUP: &str = "bench.orders";
const OUTPUT: &str = "bench.out";

/// Runs the job and its reference in turn.
pub(crate) fn run(binary: &Path, records: u64, report: &mut Report) -> anyhow::Result<()> {
    let kept = fill_orders(records)?;
    eprintln!("T: {records} orders, of which {kept} are kept");
    let passed = pass_through(records)?;
    report.add("T", "librdkafka pass-through", &passed, None);
    let measured = millrace(binary, records)?;
    let written = count(OUTPUT)?;
    ensure!(written == kept, "{OUTPUT} has {written} records of {kept}");
    report.add("T", "millrace", &measured, Some(measured.per_cpu_second() / passed.per_cpu_second()));
    Ok(())
}

fn pass_through(records: u64) -> anyhow::Result<Measured> {
    recreate(reference::OUTPUT)?;
    forget_group(reference::GROUP)?;
    let lag = Lag::of(reference::GROUP)?;
    let mut process = Process::start(Command::new(std::env::current_exe()?).arg("pass-through"))?;
    process.until(records, || lag.is_none())
}

fn millrace(binary: &Path, records: u64) -> anyhow::Result<Measured> {
    recreate(OUTPUT)?;
    forget_group(GROUP)?;
    let lag = Lag::of(GROUP)?;
    let mut process = Process::start(&mut super::service(binary, "transform", "transform")?)?;
    process.until(records, || lag.is_none())
}
