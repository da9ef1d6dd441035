//! What MySQL's errors mean for a pipeline, by error number
//! (<https://mariadb.com/kb/en/mariadb-error-code-reference/>, <https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html>).

use millrace_model::{Code, Fault, Retry};
use millrace_runtime::project::HostAddress;
use sqlx::Error;
use sqlx::mysql::MySqlDatabaseError;

use super::config::Config;

/// The fault that an error is, met while `doing` something.
pub(super) fn fault(doing: &str, error: Error) -> Fault {
    let (code, retry) = classify(&error);
    let hint = match code {
        Code::TargetDenied => "; grant the connection's user what it lacks",
        Code::TargetSchema => "; mend the statement, or what it names",
        _ => "",
    };
    Fault::new(code, retry, format!("MySQL: {doing} failed{hint}")).because(error)
}

/// The fault of a connection that did not come about; it tells which settings were refused.
pub(super) fn connect_fault(config: &Config, host: &HostAddress, error: Error) -> Fault {
    let (code, retry) = classify(&error);
    let Config { database, user, .. } = config;
    let settings = number(&error).and_then(|number| refused_settings(number, config.password.is_some()));
    let hint = settings.map(|settings| format!("; {settings} of the connection to {host}/{database}")).unwrap_or_default();
    Fault::new(code, retry, format!("MySQL: connecting to {host} as {user:?} failed{hint}")).because(error)
}

fn refused_settings(number: u16, has_password: bool) -> Option<&'static str> {
    match number {
        1045 if has_password => Some("mend `user` and `password`"),
        1045 => Some("set the `password`"),
        1044 => Some("grant the user this database, or mend `user` and `database`"),
        1049 => Some("create the database, or mend `database`"),
        1130 => Some("let this client's address in"),
        _ => None,
    }
}

/// The fault of a query that someone wrote.
pub(super) fn query_fault(error: Error) -> Fault {
    let (code, retry) = classify(&error);
    Fault::new(code, retry, "MySQL did not run the query").because(error)
}

fn number(error: &Error) -> Option<u16> {
    error.as_database_error()?.try_downcast_ref::<MySqlDatabaseError>().map(MySqlDatabaseError::number)
}

fn classify(error: &Error) -> (Code, Retry) {
    match error {
        Error::Database(_) => classify_number(number(error).unwrap_or_default()),
        // A connection that breaks in the middle of a message shows as a broken protocol.
        Error::Io(_) | Error::Protocol(_) => (Code::TargetUnavailable, Retry::BackOff),
        Error::Tls(_) | Error::Configuration(_) => (Code::TargetUnavailable, Retry::Operator),
        _ => (Code::TargetOther, Retry::Never),
    }
}

fn classify_number(number: u16) -> (Code, Retry) {
    match number {
        // Too many connections, shutting down, killed, timeouts, locks and deadlocks, disk full, read aborted.
        1040 | 1053 | 1021 | 1158..=1161 | 1203 | 1205 | 1213 | 1226 | 1317 | 1927 | 1969 | 3024 => {
            (Code::TargetUnavailable, Retry::BackOff)
        }
        1045 | 1049 | 1698 | 1862 => (Code::TargetAuthentication, Retry::Operator),
        1044 | 1130 | 1142 | 1143 | 1227 | 1290 | 1370 | 1836 => (Code::TargetDenied, Retry::Operator),
        // No such table, column or function; syntax; ambiguous or repeated names; a value that is none of its column's.
        1046 | 1051 | 1052 | 1054 | 1055 | 1060 | 1064 | 1109 | 1110 | 1146 | 1149 | 1241 | 1248 | 1267 | 1271 | 1305 | 1349 | 1356 => {
            (Code::TargetSchema, Retry::Operator)
        }
        _ => (Code::TargetOther, Retry::Never),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_that_passes_is_told_from_what_an_operator_must_mend() {
        assert_eq!(classify_number(1213), (Code::TargetUnavailable, Retry::BackOff));
        assert_eq!(classify_number(1045), (Code::TargetAuthentication, Retry::Operator));
        assert_eq!(classify_number(1142), (Code::TargetDenied, Retry::Operator));
        assert_eq!(classify_number(1146), (Code::TargetSchema, Retry::Operator));
        assert_eq!(classify_number(9999), (Code::TargetOther, Retry::Never));
    }

    #[test]
    fn refused_settings_are_told_by_their_names() {
        assert_eq!(refused_settings(1045, false), Some("set the `password`"));
        assert!(refused_settings(1049, true).is_some_and(|told| told.contains("`database`")));
        assert_eq!(refused_settings(1040, true), None);
    }
}
