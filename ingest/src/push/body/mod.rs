//! What a request's body is, and which records it has.

pub(super) mod avro;
pub(super) mod encoding;
pub(super) mod event;
pub(super) mod json;

use axum::http::{HeaderMap, StatusCode, header};
use millrace_model::Code;

use super::answer::Refused;

/// A header's text.
pub(super) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// What a content type says of the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Media {
    /// JSON; whether one text on each line is for the bytes to show.
    Json,
    /// One JSON text on each line.
    Lines,
    /// Avro: one value, or a container as its first bytes say.
    Avro,
    /// A CloudEvent in structured mode.
    Event,
    /// A JSON array of CloudEvents in structured mode.
    Events,
}

/// The content types that bodies may have, for who sent another.
pub(super) const TAKEN: &[&str] = &[
    "application/json",
    "application/x-ndjson",
    "avro/binary",
    "application/avro",
    "application/vnd.apache.avro",
    "application/cloudevents+json",
    "application/cloudevents-batch+json",
];

impl Media {
    /// Of the request's `Content-Type`; one that says nothing sends JSON.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Refused> {
        match headers.get(header::CONTENT_TYPE) {
            None => Ok(Self::Json),
            Some(value) => {
                let said = value.to_str().unwrap_or_default();
                Self::named(said).ok_or_else(|| unknown(said))
            }
        }
    }

    /// Of a content type, whatever its parameters.
    pub(super) fn named(content_type: &str) -> Option<Self> {
        let name = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match name.as_str() {
            "application/json" | "text/json" => Some(Self::Json),
            "application/x-ndjson" | "application/ndjson" | "application/jsonl" | "application/x-jsonlines" => Some(Self::Lines),
            "avro/binary" | "application/avro" | "application/vnd.apache.avro" | "application/vnd.apache.avro+binary" => Some(Self::Avro),
            "application/cloudevents+json" => Some(Self::Event),
            "application/cloudevents-batch+json" => Some(Self::Events),
            // RFC 6839: what ends so is JSON. Other forms of CloudEvents say `cloudevents` before it.
            other => (other.ends_with("+json") && !other.starts_with("application/cloudevents")).then_some(Self::Json),
        }
    }
}

fn unknown(said: &str) -> Refused {
    let hint = if said.starts_with("application/x-www-form-urlencoded") {
        " (curl sends it where no -H 'Content-Type: …' is given)"
    } else {
        ""
    };
    let message = format!("bodies of the type {said:?}{hint} are not taken; send one of {}", TAKEN.join(", "));
    Refused::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::MediaTypeRefused, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_type_is_known_by_its_name_alone() {
        assert_eq!(Media::named("Application/JSON; charset=utf-8"), Some(Media::Json));
        assert_eq!(Media::named("application/vnd.shop.order+json"), Some(Media::Json));
        assert_eq!(Media::named("application/x-ndjson"), Some(Media::Lines));
        assert_eq!(Media::named("application/cloudevents+json; charset=UTF-8"), Some(Media::Event));
        assert_eq!(Media::named("application/cloudevents+protobuf"), None);
        assert_eq!(Media::of(&HeaderMap::new()).expect("is JSON"), Media::Json);
        assert!(TAKEN.iter().all(|taken| Media::named(taken).is_some()));
    }

    #[test]
    fn who_sends_another_is_told_what_is_taken() {
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, "application/x-www-form-urlencoded".parse().expect("a value"))]);
        let refused = Media::of(&headers).expect_err("is refused");
        assert_eq!(refused.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
        assert!(refused.message.contains("curl") && refused.message.contains("application/x-ndjson"), "{}", refused.message);
    }
}
