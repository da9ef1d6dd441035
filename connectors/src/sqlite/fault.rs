//! What SQLite's errors mean for a pipeline, by result code (<https://www.sqlite.org/rescode.html>).

use std::borrow::Cow;

use millrace_model::{Code, Fault, Retry};
use sqlx::Error;
use sqlx::error::{DatabaseError, ErrorKind};

const ERROR: i32 = 1;
const PERM: i32 = 3;
const BUSY: i32 = 5;
const LOCKED: i32 = 6;
const READONLY: i32 = 8;
const IOERR: i32 = 10;
const CORRUPT: i32 = 11;
const FULL: i32 = 13;
const CANTOPEN: i32 = 14;
const TOOBIG: i32 = 18;
const CONSTRAINT: i32 = 19;
const MISMATCH: i32 = 20;
const AUTH: i32 = 23;
const NOTADB: i32 = 26;

/// The fault that an error is, met while `doing` something.
pub(super) fn fault(doing: &str, error: Error) -> Fault {
    let (code, retry) = classify(&error);
    let hint = match primary(&error) {
        Some(CANTOPEN | NOTADB) => "; check the path and its permissions",
        Some(CONSTRAINT) => {
            "; a constraint that is deferred to the commit can't tell which row it refuses, and one that rolls back takes the others with it: \
             make it immediate, and let it abort"
        }
        Some(ERROR) => "; make the table fit the pipeline's schema, or name another table",
        _ => "",
    };
    Fault::new(code, retry, format!("SQLite: {doing} failed{hint}")).because(error)
}

/// The fault of a query that someone typed.
pub(super) fn query_fault(error: Error) -> Fault {
    let (code, retry) = classify(&error);
    Fault::new(code, retry, "SQLite did not run the query").because(error)
}

fn classify(error: &Error) -> (Code, Retry) {
    match primary(error) {
        Some(BUSY | LOCKED | IOERR | FULL) => (Code::TargetUnavailable, Retry::BackOff),
        Some(PERM | READONLY | CANTOPEN | AUTH) => (Code::TargetDenied, Retry::Operator),
        Some(CORRUPT | NOTADB) => (Code::TargetOther, Retry::Operator),
        Some(ERROR | CONSTRAINT) => (Code::TargetSchema, Retry::Operator),
        _ => (Code::TargetOther, Retry::Never),
    }
}

/// SQLite's words when an error is about the rows that were sent; none when it is not.
pub(super) fn refusal(error: &Error) -> Option<String> {
    let about_rows = matches!(primary(error), Some(CONSTRAINT | MISMATCH | TOOBIG));
    error.as_database_error().filter(|_| about_rows).map(|error| error.message().to_owned())
}

/// What rusqlite met, as sqlx would tell it.
pub(super) fn of_rusqlite(error: rusqlite::Error) -> Error {
    match error {
        rusqlite::Error::SqliteFailure(failure, message) => {
            Error::Database(Box::new(Failure { code: failure.extended_code, message: message.unwrap_or_else(|| failure.to_string()) }))
        }
        other => Error::Encode(other.into()),
    }
}

/// An error of the database itself.
#[derive(Debug, thiserror::Error)]
#[error("(code: {code}) {message}")]
struct Failure {
    /// The extended result code.
    code: i32,
    message: String,
}

impl DatabaseError for Failure {
    fn message(&self) -> &str {
        &self.message
    }

    fn code(&self) -> Option<Cow<'_, str>> {
        Some(self.code.to_string().into())
    }

    fn as_error(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
        self
    }

    fn as_error_mut(&mut self) -> &mut (dyn std::error::Error + Send + Sync + 'static) {
        self
    }

    fn into_error(self: Box<Self>) -> Box<dyn std::error::Error + Send + Sync + 'static> {
        self
    }

    fn kind(&self) -> ErrorKind {
        ErrorKind::Other
    }
}

/// The primary code: the low byte of the extended one.
fn primary(error: &Error) -> Option<i32> {
    let code = error.as_database_error()?.code()?;
    code.parse::<i32>().ok().map(|code| code & 0xff)
}
