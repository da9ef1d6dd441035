//! The tracer of this process: OTLP over HTTP, set up by OpenTelemetry's standard variables.
//!
//! `OTEL_EXPORTER_OTLP_ENDPOINT` (or `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`) turns it on. The SDK reads the others itself:
//! `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG`, `OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_BSP_*`, `OTEL_RESOURCE_ATTRIBUTES`.
//! Source: OpenTelemetry specification, "SDK environment variables" and "OTLP exporter".

use std::env;
use std::sync::OnceLock;

use millrace_model::{Code, Fault, Result};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::runtime::Tokio;
use opentelemetry_sdk::trace::span_processor_with_async_runtime::BatchSpanProcessor;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tracing::warn;

/// Set once when traces are exported. Libraries reach the tracer through the process too (`opentelemetry::global`), but
/// there "none" can't be told from "some", and here none must cost nothing.
static PROVIDER: OnceLock<SdkTracerProvider> = OnceLock::new();

/// The tracer of `service`, or `None` when nothing is exported.
pub(super) fn tracer(service: &'static str) -> Option<SdkTracer> {
    PROVIDER.get().map(|provider| provider.tracer(format!("millrace.{service}")))
}

pub(super) fn init(service: &str) -> Result<Option<SdkTracerProvider>> {
    if !wanted() {
        return Ok(None);
    }
    let exporter = SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary).build();
    let exporter = exporter.map_err(|error| {
        Fault::operator(Code::TelemetryInvalid, "traces can't be exported; check OTEL_EXPORTER_OTLP_ENDPOINT").because(error)
    })?;
    let processor = BatchSpanProcessor::builder(exporter, Tokio).build();
    let provider = SdkTracerProvider::builder().with_span_processor(processor).with_resource(resource(service)).build();
    Ok(Some(PROVIDER.get_or_init(|| provider).clone()))
}

fn wanted() -> bool {
    let set = |name: &str| env::var(name).is_ok_and(|value| !value.is_empty());
    let disabled = env::var("OTEL_SDK_DISABLED").is_ok_and(|value| value.eq_ignore_ascii_case("true"));
    !disabled && (set("OTEL_EXPORTER_OTLP_ENDPOINT") || set("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"))
}

fn resource(service: &str) -> Resource {
    let resource = Resource::builder();
    if env::var_os("OTEL_SERVICE_NAME").is_some() {
        resource.build()
    } else {
        resource.with_service_name(format!("millrace-{service}")).build()
    }
}

pub(super) async fn shutdown(provider: SdkTracerProvider) {
    // The SDK blocks the thread that shuts it down until its task has exported.
    match tokio::task::spawn_blocking(move || provider.shutdown()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => warn!(%error, "the last traces were not exported"),
        Err(error) => warn!(%error, "the last traces were not exported"),
    }
}
