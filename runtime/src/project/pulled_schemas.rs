//! What can be told of pulled schemas from files alone: whether each was pulled, from what is declared, and left as it was.

use std::collections::BTreeMap;
use std::fs;

use millrace_model::Code;

use super::document::Document;
use super::finding::Finding;
use super::findings::Findings;
use super::kind::Kind;
use super::lock::{Locked, SchemaLock, hash};
use super::sections::PulledSchema;
use super::suggest;

/// Looks at the files and the lock file of the schemas that `declared` names.
pub(super) fn check<C>(
    declared: &BTreeMap<String, PulledSchema>,
    connections: &BTreeMap<String, C>,
    document: &Document,
    findings: &mut Findings,
) {
    if declared.is_empty() {
        return;
    }
    let lock = match SchemaLock::read(&PulledSchema::lock_file(&document.folder)) {
        Ok(lock) => lock,
        Err(fault) => {
            let place = document.locate(["schemas"]);
            return findings.push(Finding::error(fault.code(), fault.message()).at(place));
        }
    };
    for (name, schema) in declared {
        let file = PulledSchema::file(&document.folder, name);
        let stale = match (lock.schemas.get(name), fs::read_to_string(&file)) {
            (Some(locked), Ok(text)) => stale(schema, locked, &text).map(str::to_owned),
            _ => Some("was not pulled yet".to_owned()),
        };
        if let Some(stale) = stale {
            let finding = Finding::warning(Code::SchemaDrift, format!("the schema `{name}` {stale}"));
            let help = "run `millrace schema pull` and commit what it writes".to_owned();
            findings.push(finding.help(help).at(document.locate(["schemas", name])));
        }
        findings_of_connection(name, schema, connections, document, findings);
    }
}

/// Why what was pulled is not what is declared or there, if it is not.
fn stale(declared: &PulledSchema, locked: &Locked, text: &str) -> Option<&'static str> {
    if locked.from != declared.origin {
        return Some("was pulled from something else than is declared now");
    }
    (locked.hash != hash(text)).then_some("was changed since it was pulled")
}

fn findings_of_connection<C>(
    name: &str,
    schema: &PulledSchema,
    connections: &BTreeMap<String, C>,
    document: &Document,
    findings: &mut Findings,
) {
    let Some(connection) = schema.origin.connection().filter(|connection| !connections.contains_key(*connection)) else { return };
    let known = connections.keys().map(String::as_str);
    let finding = Finding::error(Code::ProjectFlow, format!("there is no connection `{connection}`")).kind(Kind::UnknownConnection);
    let help =
        suggest::help(connection, "connections", known).unwrap_or_else(|| format!("declare it under `connections:`, as `{connection}:`"));
    findings.push(finding.help(help).at(document.locate(["schemas", name, "connection"])));
}
