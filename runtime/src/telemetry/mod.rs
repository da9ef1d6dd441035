//! What an operator sees: logs, metrics, traces.
//!
//! Logs go to standard error by `tracing`. Metrics are in one registry of the process ([`metrics`]).
//! Traces are exported by OTLP when `OTEL_EXPORTER_OTLP_ENDPOINT` is set, else nothing is traced; [`Hop`]
//! carries a sampled record's trace from header to header.

mod context;
mod counts;
mod hop;
mod logs;
pub mod metrics;
mod tally;
mod traces;

pub use context::TRACEPARENT;
pub use counts::{Counts, counts};
pub use hop::{BatchTrace, Entry, Hop, Outcome};
pub use logs::LogFormat;
pub use metrics::PipelineMetrics;
pub use tally::Tally;

use millrace_model::Result;
use opentelemetry_sdk::trace::SdkTracerProvider;

/// The telemetry of this process, once it is set up. Keep it until the end and shut it down last.
#[derive(Debug)]
pub struct Telemetry {
    provider: Option<SdkTracerProvider>,
}

/// Sets up logs and traces for the whole process; to be called once, inside the tokio runtime.
///
/// `filter` is a `tracing` filter such as `info` or `millrace_runtime=debug,warn`; without one `RUST_LOG`
/// counts, then `info`. `service` names the process in traces, as `millrace-<service>`, unless `OTEL_SERVICE_NAME` does.
///
/// Faults: [`millrace_model::Code::TelemetryInvalid`] for a filter or an endpoint that can't be used.
pub fn init(format: LogFormat, filter: Option<&str>, service: &str) -> Result<Telemetry> {
    logs::init(format, filter)?;
    Ok(Telemetry { provider: traces::init(service)? })
}

impl Telemetry {
    /// Exports what is still waiting, for at most a few seconds.
    pub async fn shutdown(self) {
        if let Some(provider) = self.provider {
            traces::shutdown(provider).await;
        }
    }
}
