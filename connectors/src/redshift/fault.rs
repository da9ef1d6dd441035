//! What Redshift's errors mean for a pipeline.

use millrace_model::{Code, Fault, Retry};
use sqlx::Error;

use crate::postgres::{classify, refusal as postgres_refusal};

/// The fault that an error is, met while `doing` something.
pub(super) fn fault(doing: &str, error: Error) -> Fault {
    let (code, retry) = if is_passing(&error) { (Code::TargetUnavailable, Retry::BackOff) } else { classify(&error) };
    Fault::new(code, retry, format!("Redshift: {doing} failed")).because(error)
}

/// The server's words when an error is about the rows that were sent; none when it is not.
pub(super) fn refusal(error: &Error) -> Option<String> {
    let message = error.as_database_error()?.message();
    let is_load_error = ["stl_load_errors", "sys_load_error_detail"].into_iter().any(|table| message.to_ascii_lowercase().contains(table));
    if is_load_error { Some(message.to_owned()) } else { postgres_refusal(error) }
}

/// Two transactions that changed one table: Redshift's error 1023. It has no state of its own.
fn is_passing(error: &Error) -> bool {
    error.as_database_error().is_some_and(|error| error.message().to_ascii_lowercase().contains("serializable isolation violation"))
}
