//! Jobs I1 and I2: orders posted to the push gateway.

use std::net::SocketAddr;

use anyhow::ensure;

use super::Job;
use crate::bench::Bench;
use crate::health::{free_address, start_ready};
use crate::kafka::{count, recreate, register_orders};
use crate::measured::Measured;
use crate::parts::post::{self, Outcome, Stretch};
use crate::parts::{parse, produce};
use crate::process::Process;
use crate::report::{Figure, Finding, RunFile};
use crate::told::Told;

pub(super) const OUTPUT: &str = "bench.taken";
const PATH: &str = "/orders";

pub(crate) const LINES: Job = Job { name: "I1", about: "POST of 1,000 lines a request → topic; beside librdkafka's produce", run: lines };
pub(crate) const SINGLE: Job = Job { name: "I2", about: "POST of one record a request → topic; beside a parser of JSON", run: single };

/// A request of I1.
const LINES_A_REQUEST: u64 = 1_000;
const LINES_CONNECTIONS: u64 = 8;
const SINGLE_CONNECTIONS: u64 = 64;
/// A request costs as much as many records do.
const RECORDS_A_SINGLE: u64 = 5;
/// How long half the load lasts, in seconds.
const HALF_LOAD: f64 = 10.0;

fn lines(bench: &Bench, report: &mut RunFile) -> anyhow::Result<()> {
    let produced = raw(bench.records)?;
    report.add(Figure::new("I1", "librdkafka produce", produced));
    let measured = posted_lines(bench)?;
    report.add(Figure::new("I1", "millrace", measured).found(Finding::per_cpu_second(&measured, &produced, "produce").at_least(0.6)));
    Ok(())
}

/// librdkafka alone, given what Millrace makes of the orders.
pub(super) fn raw(records: u64) -> anyhow::Result<Measured> {
    recreate(produce::OUTPUT)?;
    let id = register_orders()?.to_string();
    let mut process = Told::start(&mut Bench::part(produce::PART.name, &[&records.to_string(), &id])?)?;
    process.hear()?;
    Ok(process.measure("go", records)?.0)
}

/// Job I1 without its reference.
pub(super) fn posted_lines(bench: &Bench) -> anyhow::Result<Measured> {
    let requests = bench.records.div_ceil(LINES_A_REQUEST);
    let gateway = Gateway::start(bench)?;
    let mut load = gateway.load(LINES_CONNECTIONS, LINES_A_REQUEST, bench.records)?;
    let warm_up = Stretch { requests: requests.div_ceil(20), rate: None };
    load.stretch(&gateway.process, warm_up, LINES_A_REQUEST)?;
    let measured = load.stretch(&gateway.process, Stretch { requests, rate: None }, LINES_A_REQUEST)?;
    Gateway::wrote((requests + warm_up.requests) * LINES_A_REQUEST)?;
    Ok(measured)
}

fn single(bench: &Bench, report: &mut RunFile) -> anyhow::Result<()> {
    let requests = bench.records.div_ceil(RECORDS_A_SINGLE);
    let parsed = only_parsed(requests)?;
    report.add(Figure::new("I2", "axum, parse only", parsed));
    let gateway = Gateway::start(bench)?;
    let mut load = gateway.load(SINGLE_CONNECTIONS, 1, requests)?;
    let warm_up = Stretch { requests: requests.div_ceil(20), rate: None };
    load.stretch(&gateway.process, warm_up, 1)?;
    let full = load.stretch(&gateway.process, Stretch { requests, rate: None }, 1)?;
    report.add(Figure::new("I2", "millrace", full).found(Finding::per_cpu_second(&full, &parsed, "parse only").at_least(0.5)));
    let rate = full.per_second() / 2.0;
    let half = Stretch { requests: (rate * HALF_LOAD) as u64, rate: Some(rate) };
    let at_half = load.stretch(&gateway.process, half, 1)?;
    let p99 = at_half.latency_ms.map_or(f64::INFINITY, |latency| latency.p99);
    report.add(Figure::new("I2", "millrace, half load", at_half).found(Finding::value("p99 at half load", p99, "ms").at_most(50.0)));
    Gateway::wrote(warm_up.requests + requests + half.requests)
}

fn only_parsed(requests: u64) -> anyhow::Result<Measured> {
    let mut server = Told::start(&mut Bench::part(parse::PART.name, &[])?)?;
    let address = server.hear()?.parse()?;
    let mut load = Load::start(address, SINGLE_CONNECTIONS, 1, requests)?;
    load.stretch(&server.process, Stretch { requests: requests.div_ceil(20), rate: None }, 1)?;
    load.stretch(&server.process, Stretch { requests, rate: None }, 1)
}

/// The gateway, ready.
struct Gateway {
    process: Process,
    address: SocketAddr,
}

impl Gateway {
    fn start(bench: &Bench) -> anyhow::Result<Self> {
        recreate(OUTPUT)?;
        let address = free_address()?;
        let mut command = bench.service("ingest", "ingest")?;
        command.args(["--pipeline", "posted"]).env("MILLRACE_HTTP", address.to_string());
        let (process, _) = start_ready(&mut command)?;
        Ok(Self { process, address })
    }

    fn load(&self, connections: u64, per_request: u64, records: u64) -> anyhow::Result<Load> {
        Load::start(self.address, connections, per_request, records)
    }

    /// Every record that was acknowledged is there, once.
    fn wrote(records: u64) -> anyhow::Result<()> {
        let written = count(OUTPUT)?;
        ensure!(written == records, "{OUTPUT} has {written} records of {records}");
        Ok(())
    }
}

/// The generator of load.
struct Load(Told);

impl Load {
    fn start(address: SocketAddr, connections: u64, per_request: u64, records: u64) -> anyhow::Result<Self> {
        let [address, connections, per_request, records] =
            [address.to_string(), connections.to_string(), per_request.to_string(), records.to_string()];
        let arguments = [&*address, PATH, &*connections, &*per_request, &*records];
        let mut told = Told::start(&mut Bench::part(post::PART.name, &arguments)?)?;
        told.hear()?;
        Ok(Self(told))
    }

    /// Sends a stretch; what `process`, which takes it, used for it.
    fn stretch(&mut self, process: &Process, stretch: Stretch, per_request: u64) -> anyhow::Result<Measured> {
        let before = process.sample()?;
        self.0.tell(&serde_json::to_string(&stretch)?)?;
        let outcome: Outcome = serde_json::from_str(&self.0.hear()?)?;
        let whole = before.until(&process.sample()?, stretch.requests * per_request);
        Ok(Measured { latency_ms: Some(outcome.latency), ..process.measured(whole, None)? })
    }
}
