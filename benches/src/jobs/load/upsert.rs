//! Job L2: orders into a table that has half of them, or all.

use std::path::Path;

use anyhow::ensure;

use super::{figure, load};
use crate::bench::Bench;
use crate::jobs::Job;
use crate::kafka::fill_orders;
use crate::report::{Finding, RunFile};
use crate::warehouse::{self, Loaded, Sequence, TABLE};

pub(crate) const JOB: Job =
    Job { name: "L2", about: "topic → PostgreSQL, upsert; beside COPY to a temporary table and INSERT … ON CONFLICT by psql", run };

/// A round of a load: the batches of the reference are of the same size.
const ROUND: u64 = 100_000;

/// Which rows the table has before, and what they are called.
const CASES: [(&str, &str); 2] = [("L2 half", "id % 2 = 0"), ("L2 all", "true")];

fn run(bench: &Bench, report: &mut RunFile) -> anyhow::Result<()> {
    fill_orders(bench.records)?;
    let folder = tempfile::tempdir()?;
    warehouse::make_source(bench.records, folder.path())?;
    for (job, there) in CASES {
        let by_hand = by_hand(bench.records, there, folder.path())?;
        report.add(figure(job, "psql script", &by_hand));
        prepare(there)?;
        let loaded = load(bench, "upsert")?;
        let rows = warehouse::count(TABLE)?;
        ensure!(rows == bench.records, "the table has {rows} rows of {}", bench.records);
        report.add(
            figure(job, "millrace", &loaded)
                .found(Finding::per_second(&loaded.measured, &by_hand.measured, "the psql script").at_least(0.9)),
        );
    }
    Ok(())
}

fn prepare(there: &str) -> anyhow::Result<()> {
    warehouse::recreate_orders()?;
    warehouse::preload(there)
}

/// What a person would write who knows that no key comes twice in a batch.
fn by_hand(records: u64, there: &str, folder: &Path) -> anyhow::Result<Loaded> {
    let files = warehouse::binary_files(records, ROUND, Sequence::Index, folder)?;
    prepare(there)?;
    let columns = ["customer_id", "email", "amount", "currency", "created_at", "status", "coupon", "note", "country", "quantity", "items"];
    let set = columns.map(|column| format!("{column} = EXCLUDED.{column}")).join(", ");
    let batch = |file: &String| {
        format!(
            "BEGIN;\n\\copy stage FROM '{file}' (FORMAT binary)\n\
             INSERT INTO {TABLE} SELECT * FROM stage ON CONFLICT (id) DO UPDATE SET {set};\nCOMMIT;\n"
        )
    };
    let create = format!("CREATE TEMPORARY TABLE stage (LIKE {TABLE}) ON COMMIT DELETE ROWS;\n");
    warehouse::psql(&files.iter().map(batch).fold(create, |script, batch| script + &batch), records)
}
