//! What can be wrong with the `service` section beyond its shape.

use millrace_model::Code;

use super::document::Document;
use super::finding::Finding;
use super::findings::Findings;
use super::kind::Kind;
use super::sections::ServiceConfig;
use crate::budget::Budget;

pub(super) fn check(service: &ServiceConfig, document: &Document, findings: &mut Findings) {
    if service.memory.is_some_and(|memory| memory < Budget::LEAST) {
        let finding = Finding::error(Code::ProjectSyntax, "a pipeline can't work with so little memory").kind(Kind::Settings);
        let finding = finding.help("set `memory:` to 8MiB for each pipeline of a process, or more".to_owned());
        findings.push(finding.at(document.locate(["service", "memory"])));
    }
}
