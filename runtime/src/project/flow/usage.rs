//! What is declared and nobody uses.

use std::collections::BTreeSet;

use millrace_model::Code;

use super::check::{Checker, Named};
use crate::project::finding::Finding;
use crate::project::kind::Kind;

impl<C> Checker<'_, C> {
    /// Finds topics and connections that no pipeline uses.
    pub(super) fn usage(&mut self, pipelines: &[Named<'_, C>]) {
        self.unused_topics(pipelines);
        self.unused_connections(pipelines);
    }

    fn unused_topics(&mut self, pipelines: &[Named<'_, C>]) {
        let ends = pipelines.iter().map(Named::ends).flat_map(|ends| [ends.reads, ends.writes]).flatten();
        let used: BTreeSet<&str> = ends.chain(pipelines.iter().map(|named| named.pipeline.dead_letters())).collect();
        for topic in self.shared.declared.keys().filter(|topic| !used.contains(topic.as_str())) {
            let finding = Finding::warning(Code::ProjectAdvice, format!("no pipeline reads or writes the topic `{topic}`"));
            self.unused(finding.kind(Kind::UnusedTopic), ["topics", topic]);
        }
    }

    fn unused_connections(&mut self, pipelines: &[Named<'_, C>]) {
        let pulled = self.shared.pulled.values().filter_map(|schema| schema.origin.connection());
        let used: BTreeSet<&str> = pipelines.iter().flat_map(|named| named.pipeline.connections()).chain(pulled).collect();
        for name in self.shared.connections.keys().filter(|name| !used.contains(name.as_str())) {
            let finding = Finding::warning(Code::ProjectAdvice, format!("no pipeline uses the connection `{name}`"));
            self.unused(finding.kind(Kind::UnusedConnection), ["connections", name]);
        }
    }

    fn unused(&mut self, finding: Finding, at: [&str; 2]) {
        let finding = if finding.help.is_some() { finding } else { finding.help("remove it, or use it".to_owned()) };
        self.findings.push(finding.at(self.document.locate(at)));
    }
}
