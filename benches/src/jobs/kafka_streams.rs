//! Kafka Streams as a peer of job T: `benches/peers/kafka-streams`, compiled and run with the jars that the tests' servers bring.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

use crate::bench::folder;
use crate::kafka::{ORDERS, Progress, forget_group, recreate, register, register_orders, server};
use crate::measured::Measured;
use crate::process::Process;

const GROUP: &str = "bench.streams";
pub(super) const OUTPUT: &str = "bench.streams.out";
const PROGRAM: &str = "TransformOrders";
const OUT_SCHEMA: &str = "peers/kafka-streams/order_out.avsc";

/// Runs it exactly once with two threads, as many as the machines of the published figures have cores.
pub(super) fn run(records: u64) -> anyhow::Result<Measured> {
    let work = tempfile::tempdir()?;
    compile(work.path())?;
    recreate(OUTPUT)?;
    forget_group(GROUP)?;
    let progress = Progress::of(GROUP)?;
    let mut process = Process::start(&mut program(work.path())?)?;
    process.follow(records, || progress.committed())
}

fn jars() -> anyhow::Result<String> {
    Ok(format!("{}/*", server("MILLRACE_TEST_JAVA_KAFKA_LIBS")?))
}

fn compile(into: &Path) -> anyhow::Result<()> {
    let source = folder("peers/kafka-streams").join(format!("{PROGRAM}.java"));
    let status = Command::new("javac").args(["-nowarn", "-cp", &jars()?, "-d"]).arg(into).arg(source).status();
    ensure!(status.context("javac is needed for Kafka Streams")?.success(), "javac failed");
    Ok(())
}

fn program(work: &Path) -> anyhow::Result<Command> {
    let out_schema = folder(OUT_SCHEMA);
    let ids = (register_orders()?, register(OUTPUT, &std::fs::read_to_string(&out_schema)?)?);
    let mut command = Command::new("java");
    command.args(["-Xmx1g", "-cp", &format!("{}:{}", work.display(), jars()?), PROGRAM]).stdout(Stdio::null()).stderr(Stdio::null());
    command.env("BROKERS", server("MILLRACE_TEST_KAFKA")?).env("GROUP", GROUP).env("IN_TOPIC", ORDERS).env("OUT_TOPIC", OUTPUT);
    command.env("IN_SCHEMA", folder("projects/transform/schemas/order.avsc")).env("OUT_SCHEMA", out_schema);
    command.env("IN_ID", ids.0.to_string()).env("OUT_ID", ids.1.to_string());
    command.env("GUARANTEE", "exactly_once_v2").env("THREADS", "2").env("STATE_DIR", work.join("state"));
    Ok(command)
}
