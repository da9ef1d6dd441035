//! `millrace run`: one service of a project.

use std::process::ExitCode;

use millrace_runtime::service::{Health, Shutdown};
use millrace_runtime::telemetry;

use crate::args::{Logs, Run};
use crate::project::Loaded;
use crate::services::{self, Context};

pub(crate) async fn execute(args: &Run, logs: &Logs) -> anyhow::Result<ExitCode> {
    let loaded = Loaded::open(&args.project)?;
    let telemetry = telemetry::init(logs.log_format.into(), logs.log.as_deref(), services::name(args.service))?;
    let shutdown = Shutdown::on_signals()?;
    let health = Health::new();
    let admin = health.serve(loaded.project.service.admin, Shutdown::new()).await?;
    tracing::info!(address = %admin.address(), "health and metrics");
    let context = Context::new(&loaded, &args.instance, &health, &shutdown)?;
    let running = services::start(&context, args.service, &args.pipelines).await?;
    running.ended().await;
    telemetry.shutdown().await;
    Ok(ExitCode::SUCCESS)
}
