//! What the registry's errors mean.

use std::error::Error;

use millrace_model::{Code, Fault};
use schema_registry_converter::error::SRCError;
use schema_registry_converter::schema_registry_common::RawError;

/// Confluent's code for "schema not found", as opposed to a wrong path, which is a 404 too.
const SCHEMA_NOT_FOUND: u32 = 40_403;

/// Why a call brought nothing.
#[derive(Debug)]
pub(super) enum Failure {
    /// The registry's answer.
    Refused(SRCError),
    /// No address answered, or the registry is left alone for a while.
    Trouble(Fault),
}

/// An answer, be it a refusal; else passing trouble.
pub(super) fn answer_of<T>(called: Result<T, SRCError>) -> Result<Result<T, SRCError>, Fault> {
    match called {
        Err(error) if is_passing(&error) => Err(Fault::passing(Code::RegistryUnavailable, "it does not answer").because(words(&error))),
        answered => Ok(answered),
    }
}

/// Whether the registry itself says that it has no such schema.
pub(super) fn is_unknown(failure: &Failure) -> bool {
    let Failure::Refused(error) = failure else { return false };
    status(error) == Some(404) && answer(error).is_some_and(|answer| answer.error_code == SCHEMA_NOT_FOUND)
}

/// Whether the registry is away or in trouble, so that another address, or a later try, may have the answer.
fn is_passing(error: &SRCError) -> bool {
    match status(error) {
        None => error.retriable && !is_of_certificates(error),
        Some(status) => matches!(status, 408 | 429 | 500..),
    }
}

/// Confluent's codes for "subject not found", "version not found" and "schema not found".
const NOT_FOUND: [u32; 3] = [40_401, 40_402, SCHEMA_NOT_FOUND];

/// Whether the registry itself says that it has no such subject, version, or schema under the subject.
pub(super) fn is_no_subject(failure: &Failure) -> bool {
    let Failure::Refused(error) = failure else { return false };
    status(error) == Some(404) && answer(error).is_some_and(|answer| NOT_FOUND.contains(&answer.error_code))
}

/// Whether the registry has nothing at that path.
pub(super) fn is_not_found(failure: &Failure) -> bool {
    matches!(failure, Failure::Refused(error) if status(error) == Some(404))
}

/// The fault of a call that failed, which was doing `what`.
pub(super) fn of(failure: Failure, what: &str) -> Fault {
    match failure {
        Failure::Trouble(fault) => fault.at(what),
        Failure::Refused(error) => of_refusal(&error, what),
    }
}

fn of_refusal(error: &SRCError, what: &str) -> Fault {
    let fault = match status(error) {
        None if is_of_certificates(error) => {
            let advice = "TLS fails; check registry.ca, and registry.certificate and registry.key where the registry asks for them";
            Fault::operator(Code::RegistryUnavailable, format!("{what}: {advice}"))
        }
        Some(401 | 403) => {
            let advice = "it refuses access; check SCHEMA_REGISTRY_USERNAME and SCHEMA_REGISTRY_PASSWORD, or SCHEMA_REGISTRY_TOKEN";
            Fault::operator(Code::RegistryUnavailable, format!("{what}: {advice}"))
        }
        Some(404) => {
            Fault::operator(Code::RegistryUnavailable, format!("{what}: there is no schema registry; check registry.url and its path"))
        }
        _ => Fault::operator(Code::RegistryUnavailable, what),
    };
    fault.because(words(error))
}

/// The fault of a schema that another refers to and that could not be read.
pub(super) fn of_reference(failure: Failure, what: &str) -> Fault {
    match failure {
        Failure::Refused(error) if status(&error) == Some(404) => {
            Fault::operator(Code::SchemaInvalid, format!("{what}: it is gone")).because(words(&error))
        }
        failure => of(failure, what),
    }
}

/// The fault of a schema that was not registered.
pub(super) fn of_register(failure: Failure, subject: &str, address: &str) -> Fault {
    let what = unregistered(subject, address);
    let Failure::Refused(error) = failure else { return of(failure, &what) };
    match status(&error) {
        Some(409) => incompatible(subject, address).because(words(&error)),
        Some(422) => Fault::operator(Code::RegistryRefused, format!("{what}: the registry does not take it")).because(words(&error)),
        _ => of_refusal(&error, &what),
    }
}

/// The fault of a schema that the subject's compatibility rules out.
pub(super) fn incompatible(subject: &str, address: &str) -> Fault {
    let advice = "it is not compatible with an earlier version; give new fields a default, or change the subject's compatibility";
    Fault::operator(Code::RegistryRefused, format!("{}: {advice}", unregistered(subject, address)))
}

fn unregistered(subject: &str, address: &str) -> String {
    format!("the schema can't be registered as {subject} in the registry at {address}")
}

fn answer(error: &SRCError) -> Option<&RawError> {
    error.source()?.downcast_ref()
}

/// The HTTP status, which the client library has in its text only.
fn status(error: &SRCError) -> Option<u16> {
    answer(error)?;
    let (_, rest) = error.error.rsplit_once("status ")?;
    rest.split(' ').next()?.parse().ok()
}

/// Whether one side does not take the other's certificate: waiting does not mend that. The TLS library says it in words only.
fn is_of_certificates(error: &SRCError) -> bool {
    answer(error).is_none() && words(error).to_lowercase().contains("certificate")
}

/// The registry's own words, or those of the connection's errors down to the first.
fn words(error: &SRCError) -> String {
    if let Some(answer) = answer(error) {
        return format!("{}: {}", error.error, answer.message);
    }
    let mut text = error.error.clone();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use millrace_model::Retry;

    fn answered(status: &str, body: &str) -> SRCError {
        let answer: RawError = serde_json::from_str(body).expect("is an error's body");
        SRCError::non_retryable_with_cause(answer, &format!("HTTP request to schema registry failed with status {status}"))
    }

    fn failure(status: &str, body: &str) -> Failure {
        answer_of::<()>(Err(answered(status, body)))
            .map_or_else(Failure::Trouble, |answer| Failure::Refused(answer.expect_err("a refusal")))
    }

    #[test]
    fn only_the_registrys_own_word_makes_a_schema_unknown() {
        assert!(is_unknown(&failure("404 Not Found", r#"{"error_code":40403,"message":"Schema 7 not found"}"#)));
        let elsewhere = failure("404 Not Found", r#"{"error_code":404,"message":"HTTP 404 Not Found"}"#);
        assert!(!is_unknown(&elsewhere));
        assert_eq!(of(elsewhere, "x").retry(), Retry::Operator);
    }

    #[test]
    fn trouble_of_the_registry_passes_and_refused_credentials_do_not() {
        let retry = |status: &str| of(failure(status, r#"{"error_code":1,"message":"m"}"#), "x").retry();
        assert_eq!(retry("500 Internal Server Error"), Retry::BackOff);
        assert_eq!(retry("503 Service Unavailable"), Retry::BackOff);
        assert_eq!(retry("429 Too Many Requests"), Retry::BackOff);
        assert_eq!(retry("401 Unauthorized"), Retry::Operator);
        assert_eq!(retry("403 Forbidden"), Retry::Operator);
    }

    #[test]
    fn a_refused_schema_brings_the_registrys_words_and_what_to_do() {
        let body = r#"{"error_code":409,"message":"field x has no default"}"#;
        let fault = of_register(failure("409 Conflict", body), "t-value", "http://r");
        assert_eq!((fault.code(), fault.retry()), (Code::RegistryRefused, Retry::Operator));
        let text = fault.to_string();
        assert!(text.contains("field x has no default") && text.contains("t-value") && text.contains("compatibility"), "{text}");
    }
}
