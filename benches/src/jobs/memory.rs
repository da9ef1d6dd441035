//! Job M: the memory of each service at full load, of small records and of large ones; and job T under a limit.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use reqwest::Client;
use tokio::task::JoinSet;

use super::Job;
use crate::bench::Bench;
use crate::kafka::{PARTITIONS, Progress, block_on, fill_orders, fill_orders_of, forget_group, recreate};
use crate::limit::{ControlGroup, Limit};
use crate::measured::Measured;
use crate::orders::Order;
use crate::process::{Process, resident_mb};
use crate::report::{Figure, Finding, RunFile};
use crate::warehouse;

pub(crate) const JOB: Job =
    Job { name: "M", about: "memory of each service at full load, also with 10,000-byte records; T under a limit of 128 MiB", run };

const GROUP: &str = "bench.orders";
const LARGE: usize = 10_000;
/// One large record for so many of the usual ones: a backlog of about the same bytes.
const FEWER: u64 = 25;
const LIMIT: u64 = 128 << 20;
/// What the process is told to use for what is in flight, under the limit.
const BUDGET: &str = "48MiB";

fn run(bench: &Bench, report: &mut RunFile) -> anyhow::Result<()> {
    let large = bench.records.div_ceil(FEWER);
    fill_orders(bench.records)?;
    transform_and_load(bench, report, bench.records, "")?;
    limited(bench, report)?;
    fill_large(large)?;
    transform_and_load(bench, report, large, ", 10,000-byte records")?;
    report.add(ingest(bench, "ingest", bench.records, 5, 1000)?);
    report.add(ingest(bench, "ingest, 10,000-byte records", large, LARGE, 50)?);
    Ok(())
}

/// Orders whose coupon, which every job keeps, is of so many characters that do not compress.
fn fill_large(records: u64) -> anyhow::Result<()> {
    let text = random_text(2 * LARGE);
    let order = |number: u64| Order::number(number).with_coupon(text[number as usize % LARGE..][..LARGE].to_owned());
    fill_orders_of(records, PARTITIONS, order, |_, _| {})?;
    Ok(())
}

fn random_text(length: usize) -> String {
    (0..).flat_map(|number| Order::number(number).customer.into_bytes()).map(char::from).take(length).collect()
}

fn transform_and_load(bench: &Bench, report: &mut RunFile, records: u64, what: &str) -> anyhow::Result<()> {
    recreate("bench.out")?;
    report.add(watch(&format!("transform{what}"), &mut bench.service("transform", "transform")?, records)?);
    warehouse::recreate_orders()?;
    let mut loader = bench.service("loader", "load")?;
    report.add(watch(&format!("loader{what}"), loader.envs(warehouse::environment()?), records)?);
    Ok(())
}

/// Works off the orders and looks at the memory meanwhile.
fn watch(who: &str, command: &mut Command, records: u64) -> anyhow::Result<Figure> {
    forget_group(GROUP)?;
    let progress = Progress::of(GROUP)?;
    let mut process = Process::start(command)?;
    let (id, mut seen) = (process.id(), Vec::new());
    let measured = process.follow(records, || {
        seen.push(resident_mb(id)?);
        progress.committed()
    })?;
    figure(who, measured, &seen)
}

/// The figure of a process that was seen to take so much memory, one look after another.
fn figure(who: &str, measured: Measured, seen: &[f64]) -> anyhow::Result<Figure> {
    ensure!(seen.len() >= 8, "the load was over after {} looks: give it more records", seen.len());
    let quarter = seen.len() / 4;
    let (early, late) = (median(&seen[quarter..2 * quarter]), median(&seen[3 * quarter..]));
    let peak = Finding::value("at the peak", measured.peak_rss_mb, "MB");
    let steady = Finding::value("in the last quarter", late, "MB");
    let grown = Finding::ratio("of the memory of the second quarter in the last", late / early).at_most(1.1);
    Ok(Figure::new("M", who, measured).found(peak).found(steady).found(grown))
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// Job T as it is, and in a group that may not take more memory; what is beyond the limit ends the process.
fn limited(bench: &Bench, report: &mut RunFile) -> anyhow::Result<()> {
    let free = transform(bench, Process::start)?;
    report.add(Figure::new("M", "T without a limit", free));
    let limit = ControlGroup::new("memory", Limit::Memory(LIMIT))?;
    let within = transform(bench, |command| Process::start(limit.around(command).env("BENCH_MEMORY", BUDGET)))?;
    let finding = Finding::per_second(&within, &free, "the speed without a limit").at_least(0.9);
    report.add(Figure::new("M", "T under 128 MiB", within).found(finding));
    Ok(())
}

fn transform(bench: &Bench, start: impl FnOnce(&mut Command) -> anyhow::Result<Process>) -> anyhow::Result<Measured> {
    recreate("bench.out")?;
    forget_group(GROUP)?;
    let progress = Progress::of(GROUP)?;
    let mut process = start(&mut bench.service("transform", "transform")?)?;
    process.follow(bench.records, || progress.committed())
}

/// Posts records as NDJSON, so many a request, over some connections at once.
fn ingest(bench: &Bench, who: &str, records: u64, length: usize, a_request: u64) -> anyhow::Result<Figure> {
    recreate("bench.events")?;
    let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    let mut process = Process::start(bench.service("ingest", "events")?.env("MILLRACE_HTTP", &address))?;
    let body = |first: u64, text: &str| -> String {
        (first..first + a_request).map(|id| format!("{{\"id\":{id},\"kind\":\"{text}\",\"amount\":1.5}}\n")).collect()
    };
    let (id, text) = (process.id(), random_text(length));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let bodies = (0..records).step_by(a_request as usize).map(|first| body(first, &text)).collect();
    let sending = runtime.spawn(post_all(format!("http://{address}/events"), bodies));
    let mut seen = Vec::new();
    let measured = process.follow(records, || {
        seen.push(resident_mb(id)?);
        Ok(if sending.is_finished() { records } else { 0 })
    })?;
    block_on(sending).context("the sender")??;
    figure(who, measured, &seen)
}

const CONNECTIONS: usize = 8;

async fn post_all(url: String, bodies: Vec<String>) -> anyhow::Result<()> {
    let client = Client::new();
    super::latency::await_gateway(&client, &url).await?;
    let (mut bodies, mut requests) = (bodies.into_iter(), JoinSet::new());
    loop {
        while requests.len() < CONNECTIONS
            && let Some(body) = bodies.next()
        {
            requests.spawn(post(client.clone(), url.clone(), body));
        }
        match requests.join_next().await {
            Some(request) => request??,
            None => break Ok(()),
        }
    }
}

/// Again as long as it is too much at once.
async fn post(client: Client, url: String, body: String) -> anyhow::Result<()> {
    loop {
        let answer = client.post(&url).header("content-type", "application/x-ndjson").body(body.clone()).send().await?;
        match answer.status().as_u16() {
            429 | 503 => tokio::time::sleep(Duration::from_millis(100)).await,
            status => {
                ensure!(answer.status().is_success(), "a request was answered with {status}");
                break Ok(());
            }
        }
    }
}
