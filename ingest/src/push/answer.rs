//! What a sender is told.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use millrace_model::{Code, Fault, Rejection};
use millrace_runtime::formats::Refusal;
use serde::{Deserialize, Serialize};

/// The most errors that one answer lists; the rest is counted.
const LISTED: usize = 1_000;

/// What became of a request's records.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Answer {
    pub(super) accepted: u64,
    pub(super) rejected: u64,
    pub(super) errors: Vec<RecordError>,
    /// How many errors more there are than `errors` lists.
    #[serde(default, skip_serializing_if = "is_zero")]
    errors_left_out: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Why one record was rejected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RecordError {
    /// The record's place in the request, from 0.
    index: u32,
    code: String,
    /// The field's path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    reason: String,
}

impl RecordError {
    fn of(index: u32, code: Code, field: Option<String>, reason: &str) -> Self {
        Self { index, code: code.to_string(), field, reason: reason.to_owned() }
    }
}

impl Answer {
    /// The answer to a request of which `written` records were written.
    pub(super) fn new(written: u64, refused: &[Refusal], unkeyed: &[Rejection]) -> Self {
        let read = refused.iter().map(|refusal| {
            let field = (!refusal.path.is_empty()).then(|| refusal.path.clone());
            RecordError::of(refusal.record, refusal.code, field, &refusal.reason)
        });
        let keyed = unkeyed.iter().map(|rejection| RecordError::of(rejection.record, rejection.code, None, &rejection.reason));
        let mut errors: Vec<RecordError> = read.chain(keyed).collect();
        errors.sort_by_key(|error| error.index);
        let rejected = errors.len() as u64;
        errors.truncate(LISTED);
        Self { accepted: written, rejected, errors_left_out: rejected - errors.len() as u64, errors }
    }

    /// How many bytes its errors' texts take, with their places in the list.
    pub(super) fn text_bytes(&self) -> usize {
        let texts = |error: &RecordError| error.code.len() + error.field.as_ref().map_or(0, String::len) + error.reason.len();
        self.errors.iter().map(|error| size_of::<RecordError>() + texts(error)).sum()
    }

    fn status(&self) -> StatusCode {
        match (self.accepted, self.rejected) {
            (_, 0) => StatusCode::OK,
            (0, _) => StatusCode::UNPROCESSABLE_ENTITY,
            _ => StatusCode::MULTI_STATUS,
        }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        (self.status(), Json(self)).into_response()
    }
}

/// Why a request as a whole was not taken. Nothing of it was written, unless it says otherwise.
#[derive(Debug, Clone)]
pub(super) struct Refused {
    pub(super) status: StatusCode,
    pub(super) code: Option<Code>,
    pub(super) message: String,
    /// The paths there are, for who asked for another.
    pub(super) paths: Option<Vec<String>>,
    /// How long the sender should wait before it repeats.
    pub(super) retry_after: Option<Duration>,
}

/// How long a sender should wait for what is away.
const AWAY: Duration = Duration::from_secs(5);

impl Refused {
    pub(super) fn new(status: StatusCode, code: impl Into<Option<Code>>, message: impl Into<String>) -> Self {
        Self { status, code: code.into(), message: message.into(), paths: None, retry_after: None }
    }

    /// Too many of its pipeline's records were rejected of late for those of this request.
    pub(super) fn over_quota() -> Self {
        let message = "too many records of this pipeline were rejected within the last minute, and this request has more of them; \
                       nothing of it was written";
        Self::new(StatusCode::TOO_MANY_REQUESTS, Code::RejectionQuota, message).retry_after(AWAY)
    }

    /// One of its records, or what would be kept of them, is larger than can be written.
    pub(super) fn too_large(fault: &Fault) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, fault.code(), fault.message())
    }

    /// What should not be: nothing that the sender did.
    pub(super) fn broken(message: &str) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, Code::Internal, message)
    }

    /// Not now: the sender may repeat.
    pub(super) fn unavailable(code: Code, message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, message).retry_after(AWAY)
    }

    /// The same, and when to repeat.
    pub(super) fn retry_after(self, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..self }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut body = serde_json::json!({ "error": { "code": self.code.map(Code::as_str), "reason": self.message } });
        if let Some(paths) = self.paths {
            body["paths"] = paths.into();
        }
        let mut response = (self.status, Json(body)).into_response();
        let said = match self.status {
            StatusCode::METHOD_NOT_ALLOWED => Some((header::ALLOW, HeaderValue::from_static("POST"))),
            StatusCode::UNAUTHORIZED => Some((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"millrace\""))),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Some((header::ACCEPT_ENCODING, HeaderValue::from_static("gzip, zstd"))),
            _ => self.retry_after.map(|wait| (header::RETRY_AFTER, seconds(wait))),
        };
        response.headers_mut().extend(said);
        response
    }
}

/// In whole seconds, and never too early.
fn seconds(wait: Duration) -> HeaderValue {
    HeaderValue::from(wait.as_secs() + u64::from(wait.subsec_nanos() > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(record: u32) -> Refusal {
        Refusal { record, code: Code::FieldType, path: "a.b".into(), reason: "expected int".into() }
    }

    #[test]
    fn the_status_says_how_many_were_accepted() {
        assert_eq!(Answer::new(2, &[], &[]).status(), StatusCode::OK);
        assert_eq!(Answer::new(1, &[refusal(1)], &[]).status(), StatusCode::MULTI_STATUS);
        assert_eq!(Answer::new(0, &[refusal(0)], &[]).status(), StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(Answer::new(0, &[], &[]).status(), StatusCode::OK);
    }

    #[test]
    fn errors_come_in_the_order_of_the_records_and_say_the_field() {
        let answer = Answer::new(1, &[refusal(2)], &[Rejection::new(0, Code::KeyInvalid, "the key's column is null")]);
        let json = serde_json::to_value(&answer).expect("JSON");
        assert_eq!(json["errors"][0]["code"], "MR0505");
        assert_eq!(json["errors"][1], serde_json::json!({ "index": 2, "code": "MR0404", "field": "a.b", "reason": "expected int" }));
    }

    #[test]
    fn a_long_list_of_errors_is_cut_and_counted() {
        let refused: Vec<Refusal> = (0..1500).map(refusal).collect();
        let answer = Answer::new(0, &refused, &[]);
        assert_eq!((answer.rejected, answer.errors.len(), answer.errors_left_out), (1500, 1000, 500));
    }
}
