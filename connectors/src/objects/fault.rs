//! What an object store's errors mean for a pipeline.

use std::error::Error as _;
use std::time::Duration;

use millrace_model::{Code, Fault, Retry};
use object_store::Error;

/// The fault that an error is, met while `doing` something.
pub(crate) fn fault(doing: &str, error: &Error) -> Fault {
    let (code, retry, hint) = classify(error);
    let fault = Fault::new(code, retry, format!("{doing} failed{hint}")).because(told(error));
    match wait(error) {
        Some(wait) => fault.not_before(wait),
        None => fault,
    }
}

/// How long the link leaves the store alone, if that is the error.
fn wait(error: &Error) -> Option<Duration> {
    error.source()?.downcast_ref::<Fault>()?.wait()
}

/// Whether the store is away or in trouble.
pub(super) fn is_passing(error: &Error) -> bool {
    classify(error).1 == Retry::BackOff
        && !matches!(error, Error::Precondition { .. } | Error::AlreadyExists { .. } | Error::NotModified { .. })
}

/// What the client says, and why, without the queries of URLs: a signature is a secret.
pub(crate) fn told(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    without_queries(&text)
}

fn without_queries(text: &str) -> String {
    let shown = |word: &str| match word.split_once('?') {
        Some((url, _)) if url.contains("://") => format!("{url}?***"),
        _ => word.to_owned(),
    };
    text.split(' ').map(shown).collect::<Vec<_>>().join(" ")
}

fn classify(error: &Error) -> (Code, Retry, &'static str) {
    match error {
        Error::NotFound { .. } => (Code::FileUnreadable, Retry::Operator, "; check that the bucket and the name exist"),
        Error::Unauthenticated { .. } => (Code::StoreRefused, Retry::Operator, "; mend the credentials of `store`, or of the environment"),
        Error::PermissionDenied { .. } => (Code::StoreRefused, Retry::Operator, "; grant these credentials the right to list and read"),
        Error::NotSupported { .. } | Error::NotImplemented { .. } => {
            (Code::FileUnreadable, Retry::Operator, "; the server does not offer this")
        }
        Error::InvalidPath { .. } => (Code::FileUnreadable, Retry::Operator, ""),
        _ if is_refusal(error) => (Code::StoreRefused, Retry::Operator, "; mend `store`, or the URL"),
        _ => (Code::StoreUnavailable, Retry::BackOff, ""),
    }
}

/// Whether the store answered that the request is wrong (4xx), which no repetition mends. The client's own error type that has
/// the status is not public: its text has.
fn is_refusal(error: &Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if let Some((_, status)) = text.split_once("non-2xx status code: ") {
            return status.starts_with('4') && !["408", "429"].iter().any(|passing| status.starts_with(passing));
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_not_told() {
        let fault = fault("reading https://h/a", &generic("HEAD https://h/a?sig=hunter2 in 1 ms - 403: why? no"));
        assert!(fault.to_string().ends_with("HEAD https://h/a?*** in 1 ms - 403: why? no"), "{fault}");
    }

    fn generic(text: &str) -> Error {
        Error::Generic { store: "S3", source: text.into() }
    }

    #[test]
    fn what_passes_is_waited_for_and_what_an_operator_must_mend_halts() {
        let class = |text: &str| {
            let fault = fault("listing s3://b", &generic(text));
            (fault.code(), fault.retry())
        };
        assert_eq!(class("connection refused"), (Code::StoreUnavailable, Retry::BackOff));
        assert_eq!(class("Server returned non-2xx status code: 503 Slow Down"), (Code::StoreUnavailable, Retry::BackOff));
        assert_eq!(class("Server returned non-2xx status code: 429 Too Many"), (Code::StoreUnavailable, Retry::BackOff));
        assert_eq!(class("Server returned non-2xx status code: 400 Bad Request"), (Code::StoreRefused, Retry::Operator));
    }
}
