//! `millrace run`: one service of a project.

mod watch;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{bail, ensure};
use millrace_model::Result;
use millrace_runtime::project::ServiceConfig;
use millrace_runtime::service::{Admin, Health, Shutdown, allow_files};
use millrace_runtime::telemetry;

use crate::args::{Logs, Run, Service};
use crate::project::Loaded;
use crate::services::{self, Context};
use watch::Watch;

pub(crate) async fn execute(args: &Run, logs: &Logs) -> anyhow::Result<ExitCode> {
    if args.once {
        return once(args, logs).await;
    }
    let loaded = Loaded::open(&args.project)?;
    let telemetry = telemetry::init(logs.log_format.into(), logs.log.as_deref(), services::name(args.service))?;
    allow_files();
    let shutdown = Shutdown::on_signals()?;
    let health = Health::new();
    let admin = health.serve(loaded.project.service.admin(), Shutdown::new()).await?;
    tracing::info!(address = %admin.address(), "health and metrics");
    let pipelines = services::count(&loaded, args.service, &args.pipelines);
    let context = Context::new(&loaded, &args.instance, pipelines, &health, &shutdown)?;
    let running = services::start(&context, args.service, &args.pipelines).await?;
    health.started();
    running.ended(&shutdown, loaded.project.service.shutdown_timeout.duration()).await;
    telemetry.shutdown().await;
    Ok(ExitCode::SUCCESS)
}

/// A run that ends when everything that was there at its start is durable; fails when something could not be read.
async fn once(args: &Run, logs: &Logs) -> anyhow::Result<ExitCode> {
    ensure!(args.service == Service::Ingest, "only ingest can run --once: what others read has no end");
    let loaded = Loaded::open(&args.project)?;
    // Log lines would break the bar: without a wish of one's own only trouble is shown.
    let telemetry = telemetry::init(logs.log_format.into(), logs.log.as_deref().or(Some("warn")), services::name(args.service))?;
    allow_files();
    let (shutdown, health) = (Shutdown::on_signals()?, Health::new());
    let admin = serve_beside_others(&health, &loaded.project.service).await?;
    tracing::info!(address = %admin.address(), "health and metrics");
    let pulled = pulled(&loaded, &args.pipelines)?;
    let context = Context::new(&loaded, &args.instance, pulled.len(), &health, &shutdown)?.bounded();
    let (running, progress) = services::pull(&context, &pulled).await?;
    health.started();
    let watch = Watch::new(progress, &health);
    watch.until(running.ended(&shutdown, loaded.project.service.shutdown_timeout.duration())).await;
    // The exit code tells it too: a reader that has gone makes no failure of a run.
    writeln!(std::io::stdout(), "{}", watch.summary()).ok();
    telemetry.shutdown().await;
    Ok(if watch.is_complete() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs that end by themselves may stand beside each other, and beside a service: where nobody has chosen an address, a taken one is no trouble.
async fn serve_beside_others(health: &Health, service: &ServiceConfig) -> Result<Admin> {
    match service.admin {
        Some(chosen) => health.serve(chosen, Shutdown::new()).await,
        None => health.serve_where_free(service.admin(), Shutdown::new()).await,
    }
}

/// The pipelines that pull: those named, or all.
fn pulled(loaded: &Loaded, wanted: &[String]) -> anyhow::Result<Vec<String>> {
    let all: BTreeMap<&String, bool> = loaded.project.ingest.iter().map(|(name, pipeline)| (name, pipeline.is_pulled())).collect();
    if let Some(pushed) = wanted.iter().find(|name| all.get(name) == Some(&false)) {
        bail!("the pipeline {pushed} is pushed to, which has no end: it can't run --once");
    }
    let pulled = if wanted.is_empty() {
        all.into_iter().filter(|(_, pulled)| *pulled).map(|(name, _)| name.clone()).collect()
    } else {
        wanted.to_vec()
    };
    ensure!(!pulled.is_empty(), "the project has no ingest pipeline that pulls; add one with `from: {{ files: … }}`");
    Ok(pulled)
}
