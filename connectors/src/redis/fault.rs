//! What Redis's errors mean for a pipeline, by the word that they begin with
//! (<https://redis.io/docs/latest/develop/reference/protocol-spec/#simple-errors>; the words themselves are in the server's source).

use millrace_model::{Code, Fault, Retry};
use millrace_runtime::project::HostAddress;
use redis::{ErrorKind, RedisError};

use super::config::Config;

/// The fault that an error is, met while `doing` something.
pub(super) fn fault(doing: &str, error: RedisError) -> Fault {
    let (code, retry) = classify(&error);
    let hint = match word(&error).as_str() {
        "NOPERM" => "; the connection's user needs the right that the server names: ACL SETUSER",
        "OOM" => "; give the server more memory, or rows a `ttl`",
        "MISCONF" => "; the server can't write its snapshots: see its log",
        "MOVED" | "ASK" | "CROSSSLOT" | "CLUSTERDOWN" => {
            "; this is a cluster, whose transactions do not reach over its nodes: name a server of its own"
        }
        _ => "",
    };
    Fault::new(code, retry, format!("Redis: {doing} failed{hint}")).because(error)
}

/// The fault of a connection that did not come about; it tells which settings were refused.
pub(super) fn connect_fault(config: &Config, HostAddress { host, port }: &HostAddress, error: RedisError) -> Fault {
    let (code, retry) = classify(&error);
    let Config { user, password, .. } = config;
    let hint = match (code, password) {
        (Code::TargetAuthentication, Some(_)) if user.is_some() => "; mend `user` and `password`",
        (Code::TargetAuthentication, Some(_)) => "; mend `password`, or name the `user` that it is of",
        (Code::TargetAuthentication, None) => "; set the `password`",
        (Code::TargetSchema, _) => "; mend `database`",
        _ => "",
    };
    Fault::new(code, retry, format!("Redis: connecting to {host}:{port} failed{hint}")).because(error)
}

fn classify(error: &RedisError) -> (Code, Retry) {
    match error.kind() {
        // An answer that breaks off shows as one that can't be parsed.
        ErrorKind::Io | ErrorKind::Parse => (Code::TargetUnavailable, Retry::BackOff),
        ErrorKind::AuthenticationFailed => (Code::TargetAuthentication, Retry::Operator),
        ErrorKind::InvalidClientConfig | ErrorKind::Client => (Code::TargetUnavailable, Retry::Operator),
        _ => classify_word(&word(error), &error.to_string()),
    }
}

fn classify_word(word: &str, text: &str) -> (Code, Retry) {
    match word {
        // Starting, handing over, out of memory or of disk, a script that runs too long, too few replicas.
        "LOADING" | "READONLY" | "MASTERDOWN" | "TRYAGAIN" | "OOM" | "MISCONF" | "BUSY" | "NOREPLICAS" | "UNKILLABLE" => {
            (Code::TargetUnavailable, Retry::BackOff)
        }
        "NOAUTH" | "WRONGPASS" => (Code::TargetAuthentication, Retry::Operator),
        "NOPERM" | "DENIED" => (Code::TargetDenied, Retry::Operator),
        "MOVED" | "ASK" | "CROSSSLOT" | "CLUSTERDOWN" => (Code::TargetSchema, Retry::Operator),
        "ERR" if text.contains("max number of clients") => (Code::TargetUnavailable, Retry::BackOff),
        "ERR" if text.contains("DB index") => (Code::TargetSchema, Retry::Operator),
        "ERR" if text.contains("without any password configured") || text.contains("Authentication required") => {
            (Code::TargetAuthentication, Retry::Operator)
        }
        _ => (Code::TargetOther, Retry::Never),
    }
}

/// The word that the server's error begins with. Of a transaction that was refused it is that of the command to blame.
fn word(error: &RedisError) -> String {
    let errors = error.clone().into_server_errors();
    let first = errors.as_deref().and_then(|errors| errors.first()).map(|(_, error)| error.code().to_owned());
    first.or_else(|| error.code().map(str::to_owned)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_that_passes_is_told_from_what_an_operator_must_mend() {
        assert_eq!(classify_word("LOADING", ""), (Code::TargetUnavailable, Retry::BackOff));
        assert_eq!(classify_word("READONLY", ""), (Code::TargetUnavailable, Retry::BackOff));
        assert_eq!(classify_word("OOM", ""), (Code::TargetUnavailable, Retry::BackOff));
        assert_eq!(classify_word("ERR", "ERR max number of clients reached"), (Code::TargetUnavailable, Retry::BackOff));
        assert_eq!(classify_word("WRONGPASS", ""), (Code::TargetAuthentication, Retry::Operator));
        assert_eq!(classify_word("NOPERM", ""), (Code::TargetDenied, Retry::Operator));
        assert_eq!(classify_word("MOVED", ""), (Code::TargetSchema, Retry::Operator));
        assert_eq!(classify_word("WRONGTYPE", ""), (Code::TargetOther, Retry::Never));
    }
}
