//! `millrace dev`: a whole project on this machine, no server needed.

mod display;
mod servers;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use millrace_connectors::Connection;
use millrace_runtime::project::process_environment;
use millrace_runtime::service::{Health, Shutdown};
use millrace_runtime::telemetry;

use crate::args::{Dev, Logs, Service};
use crate::dev_state::{self, DevState};
use crate::project::{Loaded, folder};
use crate::services::{self, Context, RunningServices};
use display::Display;
use servers::Servers;

/// The name that transactions and group membership of a `millrace dev` go by.
const INSTANCE: &str = "dev";

pub(crate) async fn execute(args: &Dev, logs: &Logs) -> anyhow::Result<ExitCode> {
    let state = dev_state::folder(&folder(&args.project));
    std::fs::create_dir_all(&state).with_context(|| format!("can't make {}", state.display()))?;
    // Log lines would break the summary: without a wish of one's own only trouble is shown.
    let telemetry = telemetry::init(logs.log_format.into(), logs.log.as_deref().or(Some("error")), "dev")?;
    let servers = Servers::start(args, (!args.in_memory).then_some(state.as_path())).await?;
    let mut variables = servers.variables();
    let loaded = open(args, &variables)?;
    let (shutdown, health) = (Shutdown::on_signals()?, Health::new());
    let admin = health.serve(loaded.project.service.admin, Shutdown::new()).await?;
    let running = start(&loaded, &health, &shutdown).await?;
    variables.extend(running.gateway().map(|address| ("MILLRACE_HTTP".to_owned(), address.to_string())));
    variables.insert("MILLRACE_ADMIN".to_owned(), admin.address().to_string());
    let _state = DevState::leave(&loaded.folder, &variables)?;
    let display = Display::new(&loaded, &servers, running.gateway(), admin.address(), &health);
    display.show_until(&shutdown, args.until_idle.map(Duration::from_secs)).await?;
    shutdown.request();
    running.ended().await;
    servers.stop().await;
    telemetry.shutdown().await;
    Ok(ExitCode::SUCCESS)
}

/// The project with the built-in servers in the place of its own.
fn open(args: &Dev, variables: &BTreeMap<String, String>) -> anyhow::Result<Loaded> {
    let mut loaded = Loaded::open_with(&args.project, &|name| variables.get(name).cloned().or_else(|| process_environment(name)))?;
    loaded.project.kafka = millrace_runtime::project::KafkaConfig {
        brokers: variables[servers::BROKERS].clone(),
        ..millrace_runtime::project::KafkaConfig::default()
    };
    loaded.project.registry = millrace_runtime::project::RegistryConfig { url: variables[servers::REGISTRY].clone(), ..Default::default() };
    if !args.own_connections {
        build_in_warehouses(&mut loaded);
    }
    Ok(loaded)
}

/// Puts a warehouse of this machine in the place of each connection to a server.
fn build_in_warehouses(loaded: &mut Loaded) {
    let state = dev_state::folder(&loaded.folder);
    for (name, connection) in &mut loaded.project.connections {
        if !connection.is_embedded() {
            *connection = Connection::embedded(&state.join(format!("{name}.db")));
        }
    }
}

async fn start(loaded: &Loaded, health: &Health, shutdown: &Shutdown) -> anyhow::Result<RunningServices> {
    let context = Context::new(loaded, INSTANCE, health, shutdown)?;
    let mut running = RunningServices::default();
    for service in [Service::Loader, Service::Transform, Service::Ingest] {
        if services::has(loaded, service) {
            running.join(services::start(&context, service, &[]).await?);
        }
    }
    Ok(running)
}
