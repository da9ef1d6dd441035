//! Differences as findings of `millrace check --connected`.

use millrace_model::{Code, Fault};
use millrace_runtime::project::Finding;

use crate::differences::What;

/// The finding of a difference; none for what is made without asking when a service starts, as a subject is.
pub fn finding(what: &What) -> Option<Finding> {
    let (is_error, code) = weight(what)?;
    let finding = if is_error { Finding::error(code, what.message()) } else { Finding::warning(code, what.message()) };
    Some(finding.help(what.remedy()))
}

/// Whether pipelines fail by it, and its kind.
fn weight(what: &What) -> Option<(bool, Code)> {
    Some(match what {
        What::TopicMissing { creatable: true, .. } => (false, Code::KafkaTopicMissing),
        What::TopicMissing { .. } => (true, Code::KafkaTopicMissing),
        What::TopicHidden(_) | What::TopicDenied { .. } | What::GroupDenied { .. } | What::TransactionsDenied { .. } => {
            (true, Code::KafkaAuthorization)
        }
        What::Partitions { .. } | What::Replication { .. } | What::Settings { .. } => (false, Code::ServerDiffers),
        What::Unregistered { .. } => return None,
        What::Refused { .. } => (true, Code::RegistryRefused),
        What::Undefined { definition, .. } => (definition.kind != "table", Code::TargetSchema),
        What::Unfit { grows, .. } => (!grows, Code::TargetSchema),
        What::TargetDenied { .. } => (true, Code::TargetDenied),
        What::TargetAdvice { .. } => (false, Code::ProjectAdvice),
    })
}

/// The finding of a server that did not answer.
pub fn unanswered(fault: &Fault) -> Finding {
    let text = fault.to_string();
    let message = text.strip_prefix(&format!("{}: ", fault.code())).unwrap_or(&text);
    Finding::error(fault.code(), message).help(fault.code().help().to_owned())
}
