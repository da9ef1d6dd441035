//! Job E: single events, from the request to the committed row, through all three services.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use reqwest::Client;
use sqlx::postgres::PgListener;
use tokio::task::JoinSet;
use tokio::time::{interval, sleep, timeout};

use super::Job;
use crate::bench::Bench;
use crate::kafka::{block_on, forget_group, recreate, server};
use crate::measured::{Latency, Measured, Span};
use crate::process::{Process, Sample};
use crate::report::{Figure, Finding, RunFile};
use crate::warehouse;

pub(crate) const JOB: Job =
    Job { name: "E", about: "one event, HTTP to committed row, 100 a second; the low-latency profile and the default", run };

const PER_SECOND: u64 = 100;
/// Events that are sent before those that count: until then services and brokers are cold.
const WARM_UP: u64 = 300;
const MOST: u64 = 10_000;
const PATIENCE: Duration = Duration::from_secs(30);
/// Tells of each row when its transaction is committed, and not before (NOTIFY).
const TABLE: [&str; 5] = [
    "DROP TABLE IF EXISTS bench_events",
    "DROP TABLE IF EXISTS millrace_positions",
    "CREATE TABLE bench_events (id bigint NOT NULL PRIMARY KEY, kind text NOT NULL, amount double precision NOT NULL, doubled double precision NOT NULL)",
    "CREATE OR REPLACE FUNCTION bench_tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_notify('bench_events', NEW.id::text); RETURN NEW; END $$",
    "CREATE TRIGGER bench_tell AFTER INSERT ON bench_events FOR EACH ROW EXECUTE FUNCTION bench_tell()",
];

fn run(bench: &Bench, report: &mut RunFile) -> anyhow::Result<()> {
    let low = measure(bench, "low")?;
    let of_low = low.latency_ms.context("no latencies")?;
    let p50 = Finding::value("p50", of_low.p50, "ms").at_most(60.0);
    let p99 = Finding::value("p99", of_low.p99, "ms").at_most(200.0);
    report.add(Figure::new("E", "millrace, latency: low", low).found(p50).found(p99));
    let balanced = measure(bench, "balanced")?;
    let of_balanced = balanced.latency_ms.context("no latencies")?;
    let (p50, p99) = (Finding::value("p50", of_balanced.p50, "ms"), Finding::value("p99", of_balanced.p99, "ms"));
    report.add(Figure::new("E", "millrace, latency: balanced", balanced).found(p50).found(p99));
    Ok(())
}

/// The three services, each with its account.
struct Services(Vec<Process>);

impl Services {
    fn start(bench: &Bench, latency: &str, gateway: &str) -> anyhow::Result<Self> {
        let start = |service| {
            let mut command = bench.service(service, "events")?;
            command.envs(warehouse::environment()?).env("BENCH_LATENCY", latency).env("MILLRACE_HTTP", gateway);
            Process::start(&mut command)
        };
        Ok(Self(["loader", "transform", "ingest"].into_iter().map(start).collect::<anyhow::Result<_>>()?))
    }

    fn samples(&self) -> anyhow::Result<Vec<Sample>> {
        self.0.iter().map(Process::sample).collect()
    }
}

fn measure(bench: &Bench, latency: &str) -> anyhow::Result<Measured> {
    warehouse::execute(&TABLE)?;
    ["bench.events", "bench.events.doubled"].into_iter().try_for_each(recreate)?;
    ["bench.doubled", "bench.rows"].into_iter().try_for_each(forget_group)?;
    let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    let mut services = Services::start(bench, latency, &address)?;
    let (events, url) = (bench.records.min(MOST), format!("http://{address}/events"));
    block_on(drive(&url, 0, WARM_UP))?;
    let before = services.samples()?;
    let took = block_on(drive(&url, WARM_UP, events))?;
    let after = services.samples()?;
    let spans: Vec<Span> = before.iter().zip(&after).map(|(before, after)| before.until(after, events)).collect();
    let cpu_seconds = spans.iter().map(|span| span.cpu_seconds).sum();
    let whole = Span { records: events, seconds: spans[0].seconds, cpu_seconds };
    services.0.iter_mut().try_for_each(Process::lives)?;
    Ok(Measured { latency_ms: Latency::of(took), ..services.0[0].measured(whole, None)? })
}

/// Sends `count` events, from the id `first` on, at their times whatever becomes of those before; how long each took, in milliseconds.
async fn drive(url: &str, first: u64, count: u64) -> anyhow::Result<Vec<f64>> {
    let mut listener = PgListener::connect(&server("MILLRACE_TEST_POSTGRES")?).await?;
    listener.listen("bench_events").await?;
    let sending = tokio::spawn(send(url.to_owned(), first, count));
    let mut seen = HashMap::new();
    while (seen.len() as u64) < count {
        let told = timeout(PATIENCE, listener.recv()).await.context("no row came")??;
        seen.insert(told.payload().parse::<u64>()?, Instant::now());
    }
    let sent = sending.await??;
    let took = |(id, at): (&u64, &Instant)| (seen[id] - *at).as_secs_f64() * 1000.0;
    Ok(sent.iter().map(took).collect())
}

/// When each event was sent: when it was due, as a sender that waits would hide the wait of those behind it.
async fn send(url: String, first: u64, count: u64) -> anyhow::Result<HashMap<u64, Instant>> {
    let client = Client::new();
    await_gateway(&client, &url).await?;
    let (mut ticks, mut sent, mut requests) = (interval(Duration::from_secs(1) / PER_SECOND as u32), HashMap::new(), JoinSet::new());
    for id in first..first + count {
        let due = ticks.tick().await;
        sent.insert(id, due.into_std());
        requests.spawn(post(client.clone(), url.clone(), id));
    }
    while let Some(request) = requests.join_next().await {
        request??;
    }
    Ok(sent)
}

async fn post(client: Client, url: String, id: u64) -> anyhow::Result<()> {
    let body = format!(r#"{{"id":{id},"kind":"click","amount":{}.5}}"#, id % 1000);
    let answer = client.post(url).header("content-type", "application/json").body(body).send().await?;
    ensure!(answer.status().is_success(), "an event was answered with {}", answer.status());
    Ok(())
}

/// Until something listens.
pub(super) async fn await_gateway(client: &Client, url: &str) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while client.get(url).send().await.is_err() {
        ensure!(Instant::now() < deadline, "nothing listens at {url}");
        sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}
