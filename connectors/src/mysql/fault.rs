//! What MySQL's errors mean for a pipeline, by error number
//! (<https://mariadb.com/kb/en/mariadb-error-code-reference/>, <https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html>).

use millrace_model::{Code, Fault, Retry};
use millrace_runtime::project::HostAddress;
use sqlx::Error;
use sqlx::mysql::MySqlDatabaseError;

use super::config::Config;
use super::statements::is_of_another_row;

/// How many characters of the server's words go into a reason: they may hold a value.
const WORDS: usize = 300;

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

/// The server's words when an error is about the rows that were sent; none when it is not.
pub(super) fn refusal(error: &Error) -> Option<String> {
    let Error::Database(error) = error else { return None };
    let error = error.try_downcast_ref::<MySqlDatabaseError>()?;
    is_about_rows(error.code().unwrap_or_default(), error.number()).then(|| reason(error.message()))
}

/// Cardinality, data exceptions, constraints, a view's check and what triggers signal, by their classes of SQLSTATE; and those that the server
/// gives no class of their own: no default, values cut off, no partition, a row too large for its page, a broken `CHECK`.
fn is_about_rows(state: &str, number: u16) -> bool {
    let class = matches!(state.get(..2), Some("21" | "22" | "23" | "44" | "45"));
    class || matches!(number, 1118 | 1265 | 1364 | 1366 | 1369 | 1406 | 1411 | 1526 | 1690 | 3819 | 4025)
}

fn reason(words: &str) -> String {
    if is_of_another_row(words) {
        return "a row of other keys has what a unique index of the table lets one row have".into();
    }
    words.chars().take(WORDS).collect()
}

/// Whether the user lacks a right.
pub(super) fn is_denied(error: &Error) -> bool {
    classify(error).0 == Code::TargetDenied
}

/// The server's number of an error.
pub(super) fn number(error: &Error) -> Option<u16> {
    error.as_database_error()?.try_downcast_ref::<MySqlDatabaseError>().map(MySqlDatabaseError::number)
}

fn classify(error: &Error) -> (Code, Retry) {
    match error {
        Error::Database(refused) if is_read_only(number(error).unwrap_or_default(), refused.message()) => {
            (Code::TargetUnavailable, Retry::BackOff)
        }
        Error::Database(_) => classify_number(number(error).unwrap_or_default()),
        // A connection that breaks in the middle of a message shows as a broken protocol.
        Error::Io(_) | Error::Protocol(_) => (Code::TargetUnavailable, Retry::BackOff),
        Error::Tls(_) | Error::Configuration(_) => (Code::TargetUnavailable, Retry::Operator),
        _ => (Code::TargetOther, Retry::Never),
    }
}

/// Whether the server takes no rows at present: it follows another one, or hands over to it. Number 1290 is of any option that is in the way.
fn is_read_only(number: u16, words: &str) -> bool {
    number == 1836 || (number == 1290 && ["read-only", "read_only"].iter().any(|option| words.contains(option)))
}

fn classify_number(number: u16) -> (Code, Retry) {
    match number {
        // Disk or table full, no memory, too many connections, shutting down, killed, timeouts, locks and deadlocks, read aborted, a row that
        // another has changed, a node that is not of its cluster (yet).
        1020
        | 1021
        | 1037
        | 1038
        | 1040
        | 1041
        | 1047
        | 1053
        | 1114
        | 1158..=1161
        | 1203
        | 1205
        | 1213
        | 1226
        | 1317
        | 1927
        | 1969
        | 3024
        | 3169
        | 4031 => (Code::TargetUnavailable, Retry::BackOff),
        1045 | 1049 | 1698 | 1862 => (Code::TargetAuthentication, Retry::Operator),
        1044 | 1095 | 1130 | 1142 | 1143 | 1227 | 1290 | 1370 => (Code::TargetDenied, Retry::Operator),
        // No such table, column or function; syntax; ambiguous or repeated names; a value that is none of its column's; too many or too large
        // columns and keys.
        1046
        | 1059
        | 1061
        | 1067
        | 1068..=1075
        | 1101
        | 1113
        | 1117
        | 1118
        | 1138
        | 1170
        | 1293
        | 1051
        | 1052
        | 1054
        | 1055
        | 1060
        | 1064
        | 1109
        | 1110
        | 1146
        | 1149
        | 1241
        | 1248
        | 1267
        | 1271
        | 1305
        | 1349
        | 1356 => (Code::TargetSchema, Retry::Operator),
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
    fn a_server_that_takes_no_rows_is_told_from_other_options() {
        let words = ["running with the --read-only option so it", "running with the --super-read-only option so it", "--read_only=ON"];
        assert!(words.iter().all(|words| is_read_only(1290, words)) && is_read_only(1836, ""));
        assert!(!is_read_only(1290, "running with the --secure-file-priv option so it") && !is_read_only(1142, "read-only"));
    }

    #[test]
    fn only_errors_that_rows_cause_reject_rows() {
        assert!(
            [("23000", 1062), ("22001", 1406), ("HY000", 1364), ("HY000", 3819), ("45000", 1644), ("01000", 1265)].iter().all(about_rows)
        );
        assert!(![("40001", 1213), ("HY000", 1205), ("42S02", 1146), ("70100", 1317), ("HY000", 1114)].iter().any(about_rows));
    }

    fn about_rows(&(state, number): &(&str, u16)) -> bool {
        is_about_rows(state, number)
    }

    #[test]
    fn refused_settings_are_told_by_their_names() {
        assert_eq!(refused_settings(1045, false), Some("set the `password`"));
        assert!(refused_settings(1049, true).is_some_and(|told| told.contains("`database`")));
        assert_eq!(refused_settings(1040, true), None);
    }
}
