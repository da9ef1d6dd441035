//! Answers as Confluent's registry gives them.

use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

const MEDIA_TYPE: &str = "application/vnd.schemaregistry.v1+json";

/// An answer of a handler.
pub(super) type Answer = Result<Json, Refusal>;

/// A body of the registry's own media type.
#[derive(Debug, PartialEq)]
pub(super) struct Json(pub(super) Value);

/// An error as clients know it. The HTTP status is the first three digits of the code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    code: u32,
    message: String,
}

impl Refusal {
    fn new(code: u32, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    pub(super) fn subject_not_found(subject: &str) -> Self {
        Self::new(40_401, format!("Subject '{subject}' not found."))
    }

    pub(super) fn version_not_found(version: &str) -> Self {
        Self::new(40_402, format!("Version {version} not found."))
    }

    pub(super) fn id_not_found(id: &str) -> Self {
        Self::new(40_403, format!("Schema {id} not found"))
    }

    pub(super) fn schema_not_found() -> Self {
        Self::new(40_403, "Schema not found")
    }

    pub(super) fn not_soft_deleted(subject: &str) -> Self {
        Self::new(40_405, format!("Subject '{subject}' was not deleted first before being permanently deleted"))
    }

    pub(super) fn no_config(subject: &str) -> Self {
        Self::new(40_408, format!("Subject '{subject}' does not have subject-level compatibility configured"))
    }

    pub(super) fn no_path() -> Self {
        Self::new(404, "HTTP 404 Not Found")
    }

    pub(super) fn no_method() -> Self {
        Self::new(405, "HTTP 405 Method Not Allowed")
    }

    pub(super) fn incompatible(subject: &str, why: &str) -> Self {
        Self::new(
            409,
            format!("Schema being registered is incompatible with an earlier schema for subject \"{subject}\", details: [{why}]"),
        )
    }

    pub(super) fn invalid_schema(why: &str) -> Self {
        Self::new(42_201, format!("Invalid schema: {why}"))
    }

    pub(super) fn invalid_version(version: &str) -> Self {
        Self::new(
            42_202,
            format!(
                "The specified version '{version}' is not a valid version id. Allowed values are between [1, 2^31-1] and the string \"latest\""
            ),
        )
    }

    pub(super) fn invalid_level(level: &str) -> Self {
        let levels = "NONE, BACKWARD, FORWARD, FULL, BACKWARD_TRANSITIVE, FORWARD_TRANSITIVE, and FULL_TRANSITIVE";
        Self::new(42_203, format!("Invalid compatibility level '{level}'. Valid values are {levels}"))
    }

    pub(super) fn invalid_body(why: &str) -> Self {
        Self::new(400, format!("The request's body is not what this path takes: {why}"))
    }

    pub(super) fn store(why: &str) -> Self {
        Self::new(50_001, format!("Error in the backend data store: {why}"))
    }

    fn status(&self) -> StatusCode {
        let mut status = self.code;
        while status > 999 {
            status /= 10;
        }
        u16::try_from(status).ok().and_then(|status| StatusCode::from_u16(status).ok()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl IntoResponse for Json {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, MEDIA_TYPE)], Body::from(self.0.to_string())).into_response()
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status(), Json(json!({ "error_code": self.code, "message": self.message }))).into_response()
    }
}
