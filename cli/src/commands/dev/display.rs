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
        let mut lines = vec![
            format!("{} runs here, with everything it needs built in:", loaded.project.name),
            format!("  Kafka      {}", servers.brokers()),
            format!("  registry   {}", servers.registry()),
        ];
        lines.extend(loaded.project.connections.iter().map(|(name, connection)| format!("  {name:<10} {}", connection.place())));
        if let Some(gateway) = gateway {
            lines.extend(loaded.push_paths().map(|path| format!("  POST       http://{gateway}{path}")));
        }
        lines.push(format!("  health     http://{admin}/health/ready   metrics http://{admin}/metrics"));
        lines.push("Ctrl-C ends it; what is in hand is committed first.\n".to_owned());
        print(&lines, None);
        Self { health, on_terminal: std::io::stdout().is_terminal() }
    }

    /// Shows the counts as they change, until the shutdown, or until nothing has changed for `idle`.
    pub(crate) async fn show_until(&self, shutdown: &Shutdown, idle: Option<Duration>) {
        let (mut shown, mut changed) = (Vec::new(), Instant::now());
        while shutdown.or(tokio::time::sleep(INTERVAL)).await.is_some() {
            let lines = lines(&telemetry::counts(), &self.health.states());
            if lines != shown {
                print(&lines, self.on_terminal.then_some(shown.len()));
                (shown, changed) = (lines, Instant::now());
            } else if idle.is_some_and(|idle| changed.elapsed() >= idle) && self.health.is_ready() {
                break;
            }
        }
    }
}

/// Prints the lines: over so many before them on a terminal, below all others without a number. Who reads them may have gone, or their disk be full:
/// that ends no work.
fn print(lines: &[String], over: Option<usize>) {
    let mut text = over.filter(|before| *before > 0).map(|before| format!("\x1b[{before}A")).unwrap_or_default();
    let clear = if over.is_some() { "\x1b[K" } else { "" };
    for line in lines {
        text.extend([clear, line.as_str(), "\n"]);
    }
    let mut out = std::io::stdout().lock();
    if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        tracing::debug!(%error, "nobody reads the summary");
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
