//! One service's part of a record's trace.
//!
//! Each batch has a span. Each *sampled* record has its own: a child of the context in its header, linked to the batch's
//! span; its own context goes into the outgoing header. So one trace leads from the request to the row. A record that isn't
//! sampled costs the look at one flag, and its header passes unchanged. Names and attributes follow OpenTelemetry's semantic
//! conventions for messaging (1.36) and Kafka.

use std::sync::Arc;

use millrace_model::{Fault, Record, Records, Rejection};
use opentelemetry::trace::{Link, Span as _, SpanBuilder, SpanKind, Status, TraceContextExt as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{SdkTracer, Span};
use tracing::field::Empty;
use uuid::Uuid;

use super::{context, traces};

/// How a batch ended.
#[derive(Debug)]
pub enum Outcome<'a> {
    /// What it made is durable.
    Committed,
    /// It was given up and will be read again.
    Failed(&'a Fault),
}

/// One pipeline's place in the traces of its records. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Hop {
    service: &'static str,
    pipeline: Arc<str>,
    tracer: Option<SdkTracer>,
}

impl Hop {
    /// The hop of `pipeline` in `service` (`ingest`, `transform`, `loader`); call it after [`super::init`].
    pub fn new(service: &'static str, pipeline: &str) -> Self {
        Self { service, pipeline: pipeline.into(), tracer: traces::tracer(service) }
    }

    /// A batch of records read from Kafka is being processed. Its spans end with [`BatchTrace::end`].
    pub fn batch(&self, records: &Records) -> BatchTrace {
        let Some(tracer) = &self.tracer else { return BatchTrace::untraced(self) };
        let mut trace = self.batch_span(tracer, "process", records);
        if records.has_headers() {
            let sampled = (0..records.len()).filter(|&row| context::is_sampled(records.headers(row)));
            trace.records = sampled.map(|row| (row as u32, trace.record_span(self, tracer, &records.record(row)))).collect();
        }
        trace
    }

    /// A batch of records was pulled from a source, named by the records' topic. A record without a context of its own
    /// starts a trace when the sampler says so.
    pub fn pulled(&self, records: &Records) -> BatchTrace {
        let Some(tracer) = &self.tracer else { return BatchTrace::untraced(self) };
        let mut trace = self.batch_span(tracer, "receive", records);
        let spans = (0..records.len()).map(|row| (row as u32, trace.record_span(self, tracer, &records.record(row))));
        trace.records = spans.filter(|(_, span)| span.is_recording()).collect();
        trace
    }

    /// A request to `route` came in, with the value of its `traceparent` header. Without a valid one it starts a trace when the sampler says so.
    pub fn entry(&self, traceparent: Option<&str>, route: &str) -> Entry {
        let span = self.tracer.as_ref().map(|tracer| {
            let parent = traceparent.map_or_else(Context::new, context::of_text);
            SpanBuilder::from_name(format!("POST {route}"))
                .with_kind(SpanKind::Server)
                .with_attributes([
                    KeyValue::new("http.request.method", "POST"),
                    KeyValue::new("http.route", route.to_owned()),
                    self.pipeline_attribute(),
                ])
                .start_with_context(tracer, &parent)
        });
        Entry { hop: self.clone(), log: self.log_span("request", span.as_ref()), span, records: Vec::new() }
    }

    /// Records that carry the contexts of their own spans already, such as those of an [`Entry`], pass as they are.
    pub fn untraced(&self) -> BatchTrace {
        BatchTrace::untraced(self)
    }

    fn batch_span(&self, tracer: &SdkTracer, operation: &'static str, records: &Records) -> BatchTrace {
        let span = SpanBuilder::from_name(format!("{operation} {}", records.topic()))
            .with_kind(SpanKind::Consumer)
            .with_attributes(self.attributes(
                operation,
                records.topic(),
                [KeyValue::new("messaging.batch.message_count", records.len() as i64)],
            ))
            .start_with_context(tracer, &Context::new());
        BatchTrace { operation, log: self.log_span("batch", Some(&span)), batch: Some(span), records: Vec::new() }
    }

    fn attributes<const N: usize>(&self, operation: &'static str, topic: &str, more: [KeyValue; N]) -> Vec<KeyValue> {
        let mut attributes = vec![
            KeyValue::new("messaging.system", "kafka"),
            KeyValue::new("messaging.operation.name", operation),
            KeyValue::new("messaging.operation.type", operation),
            KeyValue::new("messaging.destination.name", topic.to_owned()),
            self.pipeline_attribute(),
        ];
        attributes.extend(more);
        attributes
    }

    fn pipeline_attribute(&self) -> KeyValue {
        KeyValue::new("millrace.pipeline", Arc::clone(&self.pipeline))
    }

    /// The span that log lines of this batch or request are written in.
    fn log_span(&self, what: &'static str, span: Option<&Span>) -> tracing::Span {
        let log =
            tracing::info_span!("work", what, service = self.service, pipeline = %self.pipeline, correlation_id = Empty, trace_id = Empty);
        if log.is_disabled() {
            return log;
        }
        match span.filter(|span| span.is_recording()) {
            Some(span) => {
                let trace_id = span.span_context().trace_id().to_string();
                log.record("trace_id", &trace_id).record("correlation_id", &trace_id);
            }
            None => {
                log.record("correlation_id", Uuid::new_v4().simple().to_string());
            }
        }
        log
    }
}

/// The spans of one batch. Dropped without an end, they end as they are.
#[derive(Debug)]
#[must_use]
pub struct BatchTrace {
    operation: &'static str,
    log: tracing::Span,
    batch: Option<Span>,
    /// The spans of the sampled records by record number, ascending.
    records: Vec<(u32, Span)>,
}

impl BatchTrace {
    fn untraced(hop: &Hop) -> Self {
        Self { operation: "process", log: hop.log_span("batch", None), batch: None, records: Vec::new() }
    }

    /// Log lines written in this span carry the pipeline, the correlation id and, when there is one, the trace id.
    pub fn log_span(&self) -> &tracing::Span {
        &self.log
    }

    /// The context to write into the `traceparent` header of what record number `record` becomes; `None` when the record
    /// isn't sampled: its headers pass as they are.
    pub fn outgoing(&self, record: u32) -> Option<String> {
        self.place(record).map(|place| context::text(self.records[place].1.span_context()))
    }

    /// A record was rejected: its span ends as an error, with the code.
    pub fn rejected(&mut self, rejection: &Rejection) {
        if let Some(place) = self.place(rejection.record) {
            let span = &mut self.records[place].1;
            span.set_attribute(KeyValue::new("error.type", rejection.code.as_str()));
            span.set_status(Status::error(rejection.reason.clone()));
        }
    }

    /// Ends the batch's span and its records'.
    pub fn end(self, outcome: &Outcome<'_>) {
        for mut span in self.records.into_iter().map(|(_, span)| span).chain(self.batch) {
            end(&mut span, outcome);
        }
    }

    fn place(&self, record: u32) -> Option<usize> {
        if self.records.is_empty() {
            return None;
        }
        self.records.binary_search_by_key(&record, |(row, _)| *row).ok()
    }

    fn record_span(&self, hop: &Hop, tracer: &SdkTracer, record: &Record<'_>) -> Span {
        let place = [
            KeyValue::new("messaging.destination.partition.id", record.partition.to_string()),
            KeyValue::new("messaging.kafka.offset", record.offset),
        ];
        SpanBuilder::from_name(format!("{} {} record", self.operation, record.topic))
            .with_kind(SpanKind::Consumer)
            .with_attributes(hop.attributes(self.operation, record.topic, place))
            .with_links(self.batch.iter().map(link).collect())
            .start_with_context(tracer, &context::of_headers(record.headers))
    }
}

/// A request of the push gateway and the records in it.
#[derive(Debug)]
#[must_use]
pub struct Entry {
    hop: Hop,
    log: tracing::Span,
    span: Option<Span>,
    records: Vec<Span>,
}

impl Entry {
    /// Log lines written in this span carry the pipeline, the correlation id and, when there is one, the trace id.
    pub fn log_span(&self) -> &tracing::Span {
        &self.log
    }

    /// A record of the request goes to `topic`: the context for its `traceparent` header, when the request is sampled.
    pub fn record(&mut self, topic: &str) -> Option<String> {
        let request = self.span.as_ref().filter(|span| span.is_recording())?;
        let parent = Context::new().with_remote_span_context(request.span_context().clone());
        let span = SpanBuilder::from_name(format!("send {topic}"))
            .with_kind(SpanKind::Producer)
            .with_attributes(self.hop.attributes("send", topic, []))
            .start_with_context(self.hop.tracer.as_ref()?, &parent);
        let context = context::text(span.span_context());
        self.records.push(span);
        Some(context)
    }

    /// The request was answered with the HTTP status `status`.
    pub fn end(self, status: u16, outcome: &Outcome<'_>) {
        for mut span in self.records {
            end(&mut span, outcome);
        }
        if let Some(mut span) = self.span {
            span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status)));
            end(&mut span, outcome);
        }
    }
}

fn link(span: &Span) -> Link {
    Link::with_context(span.span_context().clone())
}

fn end(span: &mut Span, outcome: &Outcome<'_>) {
    if let Outcome::Failed(fault) = outcome {
        span.set_attribute(KeyValue::new("error.type", fault.code().as_str()));
        span.set_status(Status::error(fault.to_string()));
    }
    span.end();
}

#[cfg(test)]
mod tests;
