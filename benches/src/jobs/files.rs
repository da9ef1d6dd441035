//! Job I3: orders from files into a topic, beside the same orders posted.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use anyhow::ensure;

use super::{Job, gateway};
use crate::bench::Bench;
use crate::health::{free_address, records_out};
use crate::kafka::{count, recreate};
use crate::measured::Measured;
use crate::orders::Order;
use crate::process::Process;
use crate::report::{Figure, Finding, RunFile};

pub(crate) const JOB: Job = Job { name: "I3", about: "CSV and NDJSON files → topic; beside I1", run };

/// Files of each format.
const FILES: u64 = 6;

/// A format of files, and the pipeline that reads it.
struct Format {
    who: &'static str,
    pipeline: &'static str,
    output: &'static str,
    extension: &'static str,
    heading: &'static str,
    line: fn(&Order, &mut String),
}

/// CSV has no arrays: its orders have no items.
const FORMATS: [Format; 2] = [
    Format {
        who: "millrace, CSV",
        pipeline: "csv",
        output: "bench.taken.flat",
        extension: "csv",
        heading: Order::CSV_HEADING,
        line: Order::csv,
    },
    Format { who: "millrace, NDJSON", pipeline: "ndjson", output: gateway::OUTPUT, extension: "ndjson", heading: "", line: Order::json },
];

fn run(bench: &Bench, report: &mut RunFile) -> anyhow::Result<()> {
    let posted = match report.measured("I1", "millrace") {
        Some(posted) => posted,
        None => gateway::posted_lines(bench)?,
    };
    for format in FORMATS {
        let measured = read(bench, &format)?;
        report.add(Figure::new("I3", format.who, measured).found(Finding::per_cpu_second(&measured, &posted, "I1").at_least(0.8)));
    }
    Ok(())
}

fn read(bench: &Bench, format: &Format) -> anyhow::Result<Measured> {
    recreate(format.output)?;
    let folder = tempfile::tempdir()?;
    write(folder.path(), format, bench.records)?;
    let admin = free_address()?;
    let mut command = bench.service("ingest", "ingest")?;
    command.args(["--pipeline", format.pipeline]).env("MILLRACE_ADMIN", admin.to_string()).env("BENCH_FILES", folder.path());
    let mut process = Process::start(&mut command)?;
    let measured = process.follow(bench.records, || Ok(records_out(admin, "ingest")))?;
    let written = count(format.output)?;
    ensure!(written == bench.records, "{} has {written} records of {}", format.output, bench.records);
    Ok(measured)
}

/// Names of their own for each run: what was read of a file is remembered by its name.
fn write(folder: &Path, format: &Format, records: u64) -> anyhow::Result<()> {
    let run = jiff::Timestamp::now().as_millisecond();
    for file in 0..FILES {
        let mut out = BufWriter::new(File::create(folder.join(format!("orders-{run}-{file}.{}", format.extension)))?);
        out.write_all(format.heading.as_bytes())?;
        let mut line = String::new();
        for number in records * file / FILES..records * (file + 1) / FILES {
            line.clear();
            (format.line)(&Order::number(number), &mut line);
            line.push('\n');
            out.write_all(line.as_bytes())?;
        }
        out.flush()?;
    }
    Ok(())
}
