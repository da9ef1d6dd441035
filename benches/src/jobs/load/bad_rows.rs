//! Job L1 with one bad row in a hundred: rows that can't be decoded, and rows that only the target knows to be bad.

use anyhow::ensure;

use super::{figure, load};
use crate::bench::Bench;
use crate::jobs::Job;
use crate::kafka::{PARTITIONS, count, fill_orders, fill_orders_of, recreate};
use crate::orders::Order;
use crate::report::{Finding, RunFile};
use crate::warehouse::{self, TABLE};

pub(crate) const JOB: Job = Job { name: "L1-bad", about: "L1 with 1 % bad rows, by frame or by the target's constraint; beside L1", run };

const DEAD_LETTERS: &str = "bench.dead";
const ONE_IN: u64 = 100;
/// The constraint that one order in a hundred breaks.
const CONSTRAINT: &str = "ALTER TABLE bench_orders ADD CHECK (id % 100 <> 0)";

fn run(bench: &Bench, report: &mut RunFile) -> anyhow::Result<()> {
    fill_orders(bench.records)?;
    recreate(DEAD_LETTERS)?;
    warehouse::recreate_orders()?;
    let good = load(bench, "load")?;
    report.add(figure("L1-bad", "millrace, all good", &good));

    warehouse::recreate_orders()?;
    warehouse::execute(&[CONSTRAINT])?;
    let refused = load(bench, "load")?;
    found(bench.records)?;
    let finding = Finding::per_second(&refused.measured, &good.measured, "the rate without bad rows").at_least(0.5);
    report.add(figure("L1-bad", "millrace, 1 % refused by the table", &refused).found(finding));

    fill_orders_of(bench.records, PARTITIONS, Order::number, |number, value| {
        if number % ONE_IN == 0 {
            // A length that leads beyond the value.
            value.truncate(value.len() / 2);
        }
    })?;
    recreate(DEAD_LETTERS)?;
    warehouse::recreate_orders()?;
    let undecoded = load(bench, "load")?;
    found(bench.records)?;
    let finding = Finding::per_second(&undecoded.measured, &good.measured, "the rate without bad rows").at_least(0.5);
    report.add(figure("L1-bad", "millrace, 1 % not decodable", &undecoded).found(finding));
    Ok(())
}

/// Every record is a row or a dead letter.
fn found(records: u64) -> anyhow::Result<()> {
    let (rows, letters, bad) = (warehouse::count(TABLE)?, count(DEAD_LETTERS)?, records.div_ceil(ONE_IN));
    ensure!((rows, letters) == (records - bad, bad), "{rows} rows and {letters} dead letters of {records} records, of which {bad} are bad");
    Ok(())
}
