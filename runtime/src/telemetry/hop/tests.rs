use std::sync::{Arc, Mutex};

use millrace_model::{Code, Fault, Header, Record, Records, RecordsBuilder, Rejection};
use opentelemetry::trace::{SpanId, Status, TraceId, TracerProvider as _};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, SpanData, SpanExporter};

use super::{Hop, Outcome};
use crate::telemetry::TRACEPARENT;

const SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const UNSAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

/// Keeps the spans that ended.
#[derive(Debug, Clone, Default)]
struct Ended(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Ended {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().expect("not poisoned").extend(batch);
        Ok(())
    }
}

impl Ended {
    fn named(&self, name: &str) -> Vec<SpanData> {
        self.0.lock().expect("not poisoned").iter().filter(|span| span.name == name).cloned().collect()
    }

    fn only(&self, name: &str) -> SpanData {
        let spans = self.named(name);
        assert_eq!(spans.len(), 1, "{name}: {:?}", self.0);
        spans[0].clone()
    }
}

fn traced(sampler: Sampler) -> (Hop, Ended) {
    let ended = Ended::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(ended.clone()).with_sampler(sampler).build();
    (Hop { service: "transform", pipeline: "delays".into(), tracer: Some(provider.tracer("test")) }, ended)
}

fn always() -> (Hop, Ended) {
    traced(Sampler::ParentBased(Box::new(Sampler::AlwaysOn)))
}

fn header(value: &str) -> Header {
    Header { key: TRACEPARENT.to_owned(), value: Some(value.as_bytes().to_vec()) }
}

fn records(headers: &[&[Header]]) -> Records {
    let mut builder = RecordsBuilder::new("orders".into(), headers.len());
    for (offset, headers) in (0_i64..).zip(headers) {
        builder.push(&Record { topic: "orders", partition: 3, offset, timestamp: 0, key: None, value: None, headers });
    }
    builder.finish()
}

#[test]
fn a_sampled_record_has_a_span_below_its_headers_and_linked_to_the_batch() {
    let (hop, ended) = always();
    hop.batch(&records(&[&[], &[header(SAMPLED)]])).end(&Outcome::Committed);
    let (batch, record) = (ended.only("process orders"), ended.only("process orders record"));
    assert_eq!(record.span_context.trace_id(), TraceId::from_hex("0af7651916cd43dd8448eb211c80319c").expect("an id"));
    assert_eq!(record.parent_span_id, SpanId::from_hex("b7ad6b7169203331").expect("an id"));
    assert_eq!(record.links.links[0].span_context, batch.span_context);
}

#[test]
fn the_outgoing_header_names_the_records_own_span() {
    let (hop, ended) = always();
    let trace = hop.batch(&records(&[&[header(SAMPLED)]]));
    let outgoing = trace.outgoing(0);
    trace.end(&Outcome::Committed);
    let span = ended.only("process orders record").span_context;
    assert_eq!(outgoing, Some(format!("00-{}-{}-01", span.trace_id(), span.span_id())));
}

#[test]
fn a_record_that_is_not_sampled_has_no_span_and_keeps_its_header() {
    let (hop, ended) = always();
    let trace = hop.batch(&records(&[&[header(UNSAMPLED)]]));
    assert_eq!(trace.outgoing(0), None);
    trace.end(&Outcome::Committed);
    assert!(ended.named("process orders record").is_empty());
}

#[test]
fn a_rejected_record_and_a_failed_batch_end_as_errors() {
    let (hop, ended) = always();
    let mut trace = hop.batch(&records(&[&[header(SAMPLED)]]));
    trace.rejected(&Rejection::new(0, Code::RuleBroken, "too late"));
    trace.end(&Outcome::Failed(&Fault::passing(Code::KafkaUnavailable, "no broker")));
    assert!(matches!(ended.only("process orders record").status, Status::Error { .. }));
    assert_eq!(ended.only("process orders").status, Status::error("MR0201: no broker"));
}

#[test]
fn a_request_continues_the_callers_trace_and_hands_it_to_its_records() {
    let (hop, ended) = always();
    let mut entry = hop.entry(Some(SAMPLED), "/orders");
    let outgoing = entry.record("orders").expect("sampled");
    entry.end(200, &Outcome::Committed);
    let (request, record) = (ended.only("POST /orders"), ended.only("send orders"));
    assert!(outgoing.starts_with("00-0af7651916cd43dd8448eb211c80319c-"));
    assert_eq!(record.parent_span_id, request.span_context.span_id());
    assert!(outgoing.contains(&record.span_context.span_id().to_string()));
}

#[test]
fn the_sampler_decides_for_what_comes_without_a_context() {
    let (hop, _) = traced(Sampler::ParentBased(Box::new(Sampler::AlwaysOff)));
    assert_eq!(hop.entry(None, "/orders").record("orders"), None);
    assert!(hop.entry(Some(SAMPLED), "/orders").record("orders").is_some());
    assert_eq!(hop.pulled(&records(&[&[]])).outgoing(0), None);
    assert!(always().0.pulled(&records(&[&[]])).outgoing(0).is_some());
}

#[test]
fn without_an_exporter_even_a_sampled_record_passes_unchanged() {
    let hop = Hop::new("transform", "delays");
    assert_eq!(hop.batch(&records(&[&[header(SAMPLED)]])).outgoing(0), None);
}
