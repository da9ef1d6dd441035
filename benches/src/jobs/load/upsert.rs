//! Job L2: orders into a table that has half of them, or all.

use std::path::Path;

use anyhow::ensure;

use super::{figure, load};
use crate::bench::Bench;
use crate::jobs::Job;
use crate::kafka::fill_orders;
use crate::report::{Figure, Finding, RunFile};
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
        let script = by_hand(bench.records, there, &Knowing::NO_KEY_TWICE, folder.path())?;
        report.add(figure(job, "psql script", &script));
        let script_of_topic = by_hand(bench.records, there, &Knowing::A_TOPIC, folder.path())?;
        report.add(figure(job, "psql script, as of a topic", &script_of_topic));
        prepare(there)?;
        let loaded = load(bench, "upsert")?;
        let rows = warehouse::count(TABLE)?;
        ensure!(rows == bench.records, "the table has {rows} rows of {}", bench.records);
        let shares = [
            Finding::per_second(&loaded.measured, &script.measured, "the psql script").at_least(0.9),
            Finding::per_second(&loaded.measured, &script_of_topic.measured, "the psql script as of a topic").at_least(0.9),
        ];
        report.add(shares.into_iter().fold(figure(job, "millrace", &loaded), Figure::found));
    }
    Ok(())
}

fn prepare(there: &str) -> anyhow::Result<()> {
    warehouse::recreate_orders()?;
    warehouse::preload(there)
}

/// What a script goes by.
struct Knowing {
    /// How its rows come.
    sequence: Sequence,
    /// The rows of a batch that count.
    rows: &'static str,
}

impl Knowing {
    /// What a person would write who knows that no key comes twice in a batch, and has the rows in the order of the index.
    const NO_KEY_TWICE: Self = Self { sequence: Sequence::Index, rows: "SELECT * FROM stage" };
    /// What must be written for rows of a topic: they come as they do there, and the last one of each key counts.
    const A_TOPIC: Self = Self { sequence: Sequence::Topic, rows: "SELECT DISTINCT ON (id) * FROM stage ORDER BY id, ctid DESC" };
}

fn by_hand(records: u64, there: &str, knowing: &Knowing, folder: &Path) -> anyhow::Result<Loaded> {
    let files = warehouse::binary_files(records, ROUND, knowing.sequence, folder)?;
    prepare(there)?;
    let columns = ["customer_id", "email", "amount", "currency", "created_at", "status", "coupon", "note", "country", "quantity", "items"];
    let set = columns.map(|column| format!("{column} = EXCLUDED.{column}")).join(", ");
    let rows = knowing.rows;
    let batch = |file: &String| {
        format!(
            "BEGIN;\n\\copy stage FROM '{file}' (FORMAT binary)\n\
             INSERT INTO {TABLE} {rows} ON CONFLICT (id) DO UPDATE SET {set};\nCOMMIT;\n"
        )
    };
    // The memory to sort in is what a load takes.
    let create = format!("SET work_mem = '64MB';\nCREATE TEMPORARY TABLE stage (LIKE {TABLE}) ON COMMIT DELETE ROWS;\n");
    warehouse::psql(&files.iter().map(batch).fold(create, |script, batch| script + &batch), records)
}
