//! `millrace dev`: a whole project on this machine, no server needed.

mod display;
mod servers;

use std::process::ExitCode;
use std::time::Duration;

use millrace_runtime::project::{KafkaConfig, RegistryConfig, process_environment};
use millrace_runtime::service::{Health, Shutdown};
use millrace_runtime::telemetry;

use crate::args::{Dev, Logs, Service};
use crate::dev_state::{BuiltIn, DevState};
use crate::project::{Loaded, folder};
use crate::services::{self, Context, RunningServices};
use display::Display;
use servers::Servers;

/// The name that transactions and group membership of a `millrace dev` go by.
const INSTANCE: &str = "dev";

pub(crate) async fn execute(args: &Dev, logs: &Logs) -> anyhow::Result<ExitCode> {
    let state = DevState::take(&folder(&args.project))?;
    // Log lines would break the summary: without a wish of one's own only trouble is shown.
    let telemetry = telemetry::init(logs.log_format.into(), logs.log.as_deref().or(Some("error")), "dev")?;
    let servers = Servers::start(args, (!args.in_memory).then_some(state.folder())).await?;
    let mut built_in = BuiltIn { variables: servers.variables(), ..BuiltIn::default() };
    let loaded = open(args, &state, &mut built_in)?;
    let (shutdown, health) = (Shutdown::on_signals()?, Health::new());
    let admin = health.serve(loaded.project.service.admin(), Shutdown::new()).await?;
    let running = start(&loaded, &health, &shutdown).await?;
    health.started();
    built_in.variables.extend(running.gateway().map(|address| ("MILLRACE_HTTP".to_owned(), address.to_string())));
    built_in.variables.insert("MILLRACE_ADMIN".to_owned(), admin.address().to_string());
    state.leave(&built_in)?;
    let display = Display::new(&loaded, &servers, running.gateway(), admin.address(), &health);
    display.show_until(&shutdown, args.until_idle.map(Duration::from_secs)).await;
    shutdown.request();
    running.ended(&shutdown, loaded.project.service.shutdown_timeout.duration()).await;
    servers.stop().await;
    telemetry.shutdown().await;
    Ok(ExitCode::SUCCESS)
}

/// The project with what is built in in the place of its own.
fn open(args: &Dev, state: &DevState, built_in: &mut BuiltIn) -> anyhow::Result<Loaded> {
    let variables = &built_in.variables;
    let mut loaded =
        Loaded::open_with(args.profile.of(&args.project), &|name| variables.get(name).cloned().or_else(|| process_environment(name)))?;
    loaded.project.kafka = KafkaConfig { brokers: variables[servers::BROKERS].clone(), ..KafkaConfig::default() };
    loaded.project.registry = RegistryConfig { url: variables[servers::REGISTRY].clone(), ..RegistryConfig::default() };
    if !args.own_connections {
        let remote = loaded.project.connections.iter().filter(|(_, connection)| !connection.is_embedded());
        let warehouses = state.warehouses(args.in_memory)?;
        built_in.warehouses = remote.map(|(name, _)| (name.clone(), warehouses.join(format!("{name}.db")))).collect();
        built_in.put_warehouses(&mut loaded.project.connections);
    }
    Ok(loaded)
}

async fn start(loaded: &Loaded, health: &Health, shutdown: &Shutdown) -> anyhow::Result<RunningServices> {
    let context = Context::new(loaded, INSTANCE, services::pipelines(loaded), health, shutdown)?;
    let mut running = RunningServices::default();
    for service in [Service::Loader, Service::Transform, Service::Ingest] {
        if services::has(loaded, service) {
            running.join(services::start(&context, service, &[]).await?);
        }
    }
    Ok(running)
}
