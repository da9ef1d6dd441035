//! What `millrace dev` shows: addresses once, then a line for each pipeline that follows its counts.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use millrace_runtime::service::{Health, Shutdown, State};
use millrace_runtime::telemetry::{self, Counts};

use super::servers::Servers;
use crate::project::Loaded;

const INTERVAL: Duration = Duration::from_millis(500);

/// The summary of a running project.
pub(crate) struct Display<'a> {
    health: &'a Health,
    on_terminal: bool,
}

impl<'a> Display<'a> {
    /// Prints where everything is.
    pub(crate) fn new(loaded: &Loaded, servers: &Servers, gateway: Option<SocketAddr>, admin: SocketAddr, health: &'a Health) -> Self {
        println!("{} runs here, with everything it needs built in:", loaded.project.name);
        println!("  Kafka      {}", servers.brokers());
        println!("  registry   {}", servers.registry());
        for (name, connection) in &loaded.project.connections {
            println!("  {name:<10} {}", connection.place());
        }
        if let Some(gateway) = gateway {
            for path in loaded.push_paths() {
                println!("  POST       http://{gateway}{path}");
            }
        }
        println!("  health     http://{admin}/health/ready   metrics http://{admin}/metrics");
        println!("Ctrl-C ends it; what is in hand is committed first.\n");
        Self { health, on_terminal: std::io::stdout().is_terminal() }
    }

    /// Shows the counts as they change, until the shutdown, or until nothing has changed for `idle`.
    pub(crate) async fn show_until(&self, shutdown: &Shutdown, idle: Option<Duration>) -> anyhow::Result<()> {
        let (mut shown, mut changed) = (Vec::new(), Instant::now());
        while shutdown.or(tokio::time::sleep(INTERVAL)).await.is_some() {
            let lines = lines(&telemetry::counts(), &self.health.states());
            if lines != shown {
                self.print(&lines, shown.len())?;
                (shown, changed) = (lines, Instant::now());
            } else if idle.is_some_and(|idle| changed.elapsed() >= idle) && self.health.is_ready() {
                break;
            }
        }
        Ok(())
    }

    /// Prints the lines over the ones before; below them where the output is no terminal.
    fn print(&self, lines: &[String], before: usize) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        if self.on_terminal && before > 0 {
            write!(out, "\x1b[{before}A")?;
        }
        let clear = if self.on_terminal { "\x1b[K" } else { "" };
        for line in lines {
            writeln!(out, "{clear}{line}")?;
        }
        out.flush()
    }
}

fn lines(counts: &BTreeMap<String, Counts>, states: &BTreeMap<String, State>) -> Vec<String> {
    states
        .iter()
        .map(|(name, state)| {
            let counts = counts.get(name).copied().unwrap_or_default();
            format!(
                "{name:<28} {:<9} in {:>9}  out {:>9}  filtered {:>8}  rejected {:>6}",
                word(state),
                counts.records_in,
                counts.records_out,
                counts.filtered,
                counts.rejected
            )
        })
        .collect()
}

fn word(state: &State) -> &'static str {
    match state {
        State::Starting => "starting",
        State::Running => "running",
        State::Complete => "complete",
        State::Waiting { .. } => "waiting",
        State::Halted { .. } => "HALTED",
    }
}
