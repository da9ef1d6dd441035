//! Logs by `tracing`, to standard error: standard output belongs to what a command answers.

use std::io::IsTerminal;
use std::str::FromStr;

use millrace_model::{Code, Fault, Result};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, fmt};

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For a person: one short line each, coloured on a terminal.
    #[default]
    Human,
    /// For a collector: one JSON object a line, with the fields of the span it was written in (pipeline, trace id, correlation id).
    Json,
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "human" => Ok(Self::Human),
            "json" => Ok(Self::Json),
            _ => Err(format!("`{text}` is not a log format: human or json")),
        }
    }
}

pub(super) fn init(format: LogFormat, given: Option<&str>) -> Result<()> {
    // A line that can't be written, for a full disk or a reader that has gone, is lost. Else it would be told of by `eprintln!`, which panics then.
    let lines = fmt().with_env_filter(filter(given)?).with_writer(std::io::stderr).log_internal_errors(false);
    let set = match format {
        LogFormat::Human => lines.compact().with_target(false).with_ansi(std::io::stderr().is_terminal()).finish().try_init(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(true).with_span_list(false).finish().try_init(),
    };
    set.map_err(|error| Fault::fatal(Code::TelemetryInvalid, "logs are set up twice").because(error))
}

fn filter(given: Option<&str>) -> Result<EnvFilter> {
    let variable = std::env::var(EnvFilter::DEFAULT_ENV).ok();
    let text = given.or(variable.as_deref()).unwrap_or("info");
    EnvFilter::try_new(text).map_err(|error| {
        Fault::operator(
            Code::TelemetryInvalid,
            format!("`{text}` is not a log filter; --log and RUST_LOG take one such as info or millrace_runtime=debug"),
        )
        .because(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_can_not_be_read_is_named() {
        let fault = filter(Some("millrace=loudly")).expect_err("no such level");
        assert!(fault.to_string().contains("`millrace=loudly` is not a log filter"), "{fault}");
    }

    #[test]
    fn a_given_filter_counts_before_the_environment() {
        assert_eq!(filter(Some("warn")).expect("a filter").to_string(), "warn");
    }
}
