//! W3C trace context in a record's headers.

use millrace_model::Header;
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::{SpanContext, TraceFlags};
use opentelemetry_sdk::propagation::TraceContextPropagator;

/// The header that carries a record's trace context (W3C Trace Context, level 1), in Kafka and in HTTP.
pub const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";

/// Where the flags stand in a version 00 `traceparent`: `00-<32 hex>-<16 hex>-<2 hex>`.
const LAST_FLAG_DIGIT: usize = 54;

/// Whether the record's header asks for its trace to be kept. This is all that a record costs that isn't traced.
pub(super) fn is_sampled(headers: &[Header]) -> bool {
    let flag = headers.iter().find(|header| header.key == TRACEPARENT).and_then(|header| header.value.as_ref()?.get(LAST_FLAG_DIGIT));
    flag.and_then(|digit| char::from(*digit).to_digit(16)).is_some_and(|flags| flags & 1 == 1)
}

/// The context that the record's headers carry; the empty one when they carry none that is valid.
pub(super) fn of_headers(headers: &[Header]) -> Context {
    TraceContextPropagator::new().extract(&Headers(headers))
}

/// The context that a request's `traceparent` carries.
pub(super) fn of_text(traceparent: &str) -> Context {
    of_headers(&[Header { key: TRACEPARENT.to_owned(), value: Some(traceparent.as_bytes().to_vec()) }])
}

/// A span's context as the value of a `traceparent` header.
pub(super) fn text(span: &SpanContext) -> String {
    format!("00-{}-{}-{:02x}", span.trace_id(), span.span_id(), span.trace_flags() & TraceFlags::SAMPLED)
}

struct Headers<'a>(&'a [Header]);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        let header = self.0.iter().find(|header| header.key == key)?;
        std::str::from_utf8(header.value.as_ref()?).ok()
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT, TRACESTATE]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::trace::TraceContextExt as _;

    const KEPT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn header(value: &str) -> [Header; 1] {
        [Header { key: TRACEPARENT.to_owned(), value: Some(value.as_bytes().to_vec()) }]
    }

    #[test]
    fn only_the_flag_decides_whether_a_record_is_traced() {
        assert!(is_sampled(&header(KEPT)));
        assert!(!is_sampled(&header(&KEPT.replace("-01", "-00"))));
        assert!(!is_sampled(&[]));
    }

    #[test]
    fn a_header_that_is_no_context_is_no_parent() {
        for value in ["", "00", "00-zz-yy-01", &"x".repeat(55)] {
            assert!(!of_text(value).span().span_context().is_valid(), "{value}");
        }
        assert!(!is_sampled(&[Header { key: TRACEPARENT.to_owned(), value: None }]));
    }

    #[test]
    fn a_context_reads_back_as_it_was_written() {
        let context = of_text(KEPT);
        assert_eq!(text(context.span().span_context()), KEPT);
    }
}
