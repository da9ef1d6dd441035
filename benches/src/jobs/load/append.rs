//! Job L1: orders appended to an empty table with a primary key.

use anyhow::ensure;

use super::{figure, load};
use crate::bench::Bench;
use crate::jobs::Job;
use crate::kafka::fill_orders;
use crate::report::{Figure, Finding, RunFile};
use crate::warehouse::{self, Loaded, Sequence, TABLE};

pub(crate) const JOB: Job = Job { name: "L1", about: "topic → PostgreSQL, append; beside psql's \\copy in text and in binary", run };

fn run(bench: &Bench, report: &mut RunFile) -> anyhow::Result<()> {
    fill_orders(bench.records)?;
    let folder = tempfile::tempdir()?;
    let text = warehouse::make_source(bench.records, folder.path())?;
    report.add(figure("L1", "psql \\copy, text", &text));
    let binary = copy(bench.records, Sequence::Index, folder.path())?;
    report.add(figure("L1", "psql \\copy, binary", &binary));
    let in_order = copy(bench.records, Sequence::Topic, folder.path())?;
    report.add(figure("L1", "psql \\copy, binary, as in the topic", &in_order));
    warehouse::recreate_orders()?;
    let loaded = load(bench, "load")?;
    let rows = warehouse::count(TABLE)?;
    ensure!(rows == bench.records, "the table has {rows} rows of {}", bench.records);
    let shares = [
        Finding::per_second(&loaded.measured, &binary.measured, "binary \\copy").at_least(0.9),
        Finding::per_second(&loaded.measured, &in_order.measured, "binary \\copy in the topic's order").at_least(0.9),
        Finding::per_second(&loaded.measured, &text.measured, "text \\copy"),
    ];
    report.add(shares.into_iter().fold(figure("L1", "millrace", &loaded), Figure::found));
    Ok(())
}

/// All rows by one `\copy` of PostgreSQL's binary format.
pub(super) fn copy(records: u64, sequence: Sequence, folder: &std::path::Path) -> anyhow::Result<Loaded> {
    let files = warehouse::binary_files(records, records, sequence, folder)?;
    warehouse::recreate_orders()?;
    let script: String = files.iter().map(|file| format!("\\copy {TABLE} FROM '{file}' (FORMAT binary)\n")).collect();
    warehouse::psql(&script, records)
}
