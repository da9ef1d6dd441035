//! What the errors of a lake's store mean for a pipeline.

use std::fmt::Display;

use millrace_model::{Code, Fault, Retry};
use object_store::Error;

use crate::objects;

/// The fault that an error is, met while `doing` something.
pub(super) fn fault(doing: &str, error: &Error) -> Fault {
    let met = objects::fault(doing, error);
    let code = match met.code() {
        Code::StoreUnavailable => Code::TargetUnavailable,
        Code::StoreRefused | Code::FileUnreadable => Code::TargetDenied,
        _ => Code::TargetOther,
    };
    let fault = Fault::new(code, met.retry(), met.message().to_owned()).because(objects::told(error));
    match met.wait() {
        Some(wait) => fault.not_before(wait),
        None => fault,
    }
}

/// The same of an error of this machine's file system.
pub(super) fn local(doing: &str, error: std::io::Error) -> Fault {
    let (code, retry, hint) = match error.kind() {
        std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
            (Code::TargetDenied, Retry::Operator, "; grant this user the right to write there")
        }
        std::io::ErrorKind::NotADirectory => (Code::TargetDenied, Retry::Operator, "; name a folder in `url`"),
        _ => (Code::TargetUnavailable, Retry::BackOff, ""),
    };
    Fault::new(code, retry, format!("{doing} failed{hint}")).because(error)
}

/// That a table's log, or a file that it names, is not what the protocol says.
pub(super) fn damaged(what: impl Display) -> Fault {
    let help = "mend or restore the table, or load into another one";
    Fault::operator(Code::TargetSchema, format!("the table's log can't be read: {what}; {help}"))
}

/// That Arrow or Parquet can't do what they always can.
pub(super) fn defect(error: impl std::error::Error + Send + Sync + 'static) -> Fault {
    Fault::fatal(Code::Internal, "a batch can't be written as Parquet").because(error)
}
