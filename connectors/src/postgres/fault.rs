//! What PostgreSQL's errors mean for a pipeline, by SQLSTATE
//! (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).

use millrace_model::{Code, Fault, Retry};
use millrace_runtime::project::HostAddress;
use sqlx::Error;
use sqlx::postgres::PgDatabaseError;

use super::config::Config;

/// How many characters of a server's detail go into a reason.
const DETAIL: usize = 200;

/// The fault that an error is, met while `doing` something.
pub(super) fn fault(doing: &str, error: Error) -> Fault {
    let (code, retry) = classify(&error);
    let hint = match code {
        Code::TargetDenied => "; grant the connection's user what it lacks",
        Code::TargetSchema => "; make the table fit the pipeline's schema, or name another table",
        _ => "",
    };
    Fault::new(code, retry, format!("PostgreSQL: {doing} failed{hint}")).because(error)
}

/// The fault of a connection that did not come about. It tells which settings were refused, by the place that they are for:
/// the connection's name is known to the project file only.
pub(super) fn connect_fault(config: &Config, host: &HostAddress, error: Error) -> Fault {
    let (code, retry) = classify(&error);
    let Config { database, user, .. } = config;
    let settings = error.as_database_error().and_then(|error| refused_settings(error.code()?.as_ref(), config.password.is_some()));
    let hint = settings.map(|settings| format!("; {settings} of the connection to {host}/{database}")).unwrap_or_default();
    Fault::new(code, retry, format!("PostgreSQL: connecting to {host} as {user:?} failed{hint}")).because(error)
}

/// What to do about settings that the server refuses at once.
fn refused_settings(state: &str, has_password: bool) -> Option<&'static str> {
    match state {
        "28P01" if has_password => Some("mend `user` and `password`"),
        "28P01" => Some("set the `password`"),
        "28000" => Some("let this client in by the server's pg_hba.conf, or mend `user`, `database` and `tls`"),
        "3D000" => Some("create the database, or mend `database`"),
        _ => None,
    }
}

/// The fault of a query that someone typed.
pub(super) fn query_fault(error: Error) -> Fault {
    let (code, retry) = classify(&error);
    Fault::new(code, retry, "PostgreSQL did not run the query").because(error)
}

pub(crate) fn classify(error: &Error) -> (Code, Retry) {
    match error {
        Error::Database(error) => classify_state(error.code().as_deref().unwrap_or_default()),
        // A connection that breaks in the middle of a message shows as a broken protocol.
        Error::Io(_) | Error::Protocol(_) => (Code::TargetUnavailable, Retry::BackOff),
        Error::Tls(_) | Error::Configuration(_) => (Code::TargetUnavailable, Retry::Operator),
        _ => (Code::TargetOther, Retry::Never),
    }
}

fn classify_state(state: &str) -> (Code, Retry) {
    match state {
        // Lock not available, canceled by a timeout, shut down, starting up, or terminated by a successor.
        // Or it takes no rows at present: a standby, which may be promoted, or a database that is set to read only.
        "55P03" | "57014" | "57P01" | "57P02" | "57P03" | "57P05" | "25006" => (Code::TargetUnavailable, Retry::BackOff),
        "3D000" => (Code::TargetAuthentication, Retry::Operator),
        "42501" => (Code::TargetDenied, Retry::Operator),
        _ => match state.get(..2).unwrap_or_default() {
            "08" | "40" | "53" | "58" => (Code::TargetUnavailable, Retry::BackOff),
            "28" => (Code::TargetAuthentication, Retry::Operator),
            "42" | "3F" | "0A" | "55" => (Code::TargetSchema, Retry::Operator),
            _ => (Code::TargetOther, Retry::Never),
        },
    }
}

/// The server's words when an error is about the rows that were sent; none when it is not.
pub(crate) fn refusal(error: &Error) -> Option<String> {
    let Error::Database(error) = error else { return None };
    let error = error.try_downcast_ref::<PgDatabaseError>()?;
    is_about_rows(error.code()).then(|| reason(error))
}

/// Data exceptions, constraints, a second change of one row by a merge, a view's check, a trigger's exception, and limits of size.
fn is_about_rows(state: &str) -> bool {
    matches!(state.get(..2), Some("21" | "22" | "23" | "44" | "54" | "P0"))
}

/// A detail names the key of a conflict, which helps; of a failed check it is the whole row, which does not belong into logs.
fn reason(error: &PgDatabaseError) -> String {
    let detail = error.detail().filter(|_| matches!(error.code(), "23503" | "23505" | "23P01"));
    match detail {
        Some(detail) => format!("{}: {}", error.message(), detail.chars().take(DETAIL).collect::<String>()),
        None => error.message().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_errors_that_rows_cause_reject_rows() {
        assert!(["22003", "23505", "23514", "21000", "P0001", "54000"].iter().all(|state| is_about_rows(state)));
        assert!(!["40P01", "42P01", "57P01", "53100", "28P01", "25P02", ""].iter().any(|state| is_about_rows(state)));
    }

    #[test]
    fn refused_settings_are_told_by_their_names() {
        assert!(refused_settings("28P01", true).is_some_and(|told| told.contains("`user` and `password`")));
        assert_eq!(refused_settings("28P01", false), Some("set the `password`"));
        assert!(refused_settings("28000", true).is_some_and(|told| told.contains("pg_hba.conf")));
        assert_eq!(refused_settings("57P03", true), None);
    }

    #[test]
    fn trouble_that_passes_is_told_from_what_an_operator_must_mend() {
        assert_eq!(classify_state("57P01"), (Code::TargetUnavailable, Retry::BackOff));
        assert_eq!(classify_state("40P01"), (Code::TargetUnavailable, Retry::BackOff));
        assert_eq!(classify_state("28P01"), (Code::TargetAuthentication, Retry::Operator));
        assert_eq!(classify_state("42501"), (Code::TargetDenied, Retry::Operator));
        assert_eq!(classify_state("42P01"), (Code::TargetSchema, Retry::Operator));
        assert_eq!(classify_state("XX000"), (Code::TargetOther, Retry::Never));
    }
}
