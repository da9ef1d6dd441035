//! What was found in a project: errors and warnings, as text with the source line, as plain lines, and as JSON.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use miette::{GraphicalReportHandler, GraphicalTheme};
use millrace_model::Code;
use serde_json::Value;

use super::finding::{Finding, Severity};
use super::place::Place;

mod shown;
mod sources;

use shown::Shown;
pub(super) use sources::Sources;

/// Everything that was found in a project, and the files that it was found in.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    list: Vec<Finding>,
    sources: Sources,
}

impl Findings {
    /// Adds a finding. What it quotes of the file may be a URL with a password in it.
    pub(super) fn push(&mut self, finding: Finding) {
        self.list.push(finding.masked());
    }

    /// Adds what was found after the project's own check, such as by asking servers.
    pub fn add(&mut self, found: impl IntoIterator<Item = Finding>) {
        self.list.extend(found);
        self.sort();
    }

    pub(super) fn add_source(&mut self, file: &Arc<Path>, text: &Arc<str>) {
        self.sources.add(file, text);
    }

    pub(super) fn source(&self, file: &Path) -> Option<&Arc<str>> {
        self.sources.get(file)
    }

    /// Orders the findings: errors before warnings, then by file, in the order in which files were read, and by line.
    pub(super) fn sort(&mut self) {
        let Self { list, sources } = self;
        let place = |place: &Place| (sources.rank(&place.file), place.clone());
        list.sort_by_cached_key(|finding| (finding.severity, finding.place.as_ref().map(place)));
        list.dedup();
    }

    /// The findings: errors before warnings, then by file and line.
    pub fn list(&self) -> &[Finding] {
        &self.list
    }

    /// Whether there is an error among them.
    pub fn has_errors(&self) -> bool {
        self.count(Severity::Error) > 0
    }

    /// Whether there is an error that makes it useless to look further; a variable without a value does not.
    pub(super) fn end_here(&self) -> bool {
        self.list.iter().any(|finding| finding.severity == Severity::Error && finding.code != Code::ProjectVariable)
    }

    /// Whether a variable without a value was found at `place`.
    pub(super) fn is_unset(&self, place: Option<&Place>) -> bool {
        self.list.iter().any(|finding| finding.code == Code::ProjectVariable && finding.place.as_ref() == place)
    }

    /// How many there are of that severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.list.iter().filter(|finding| finding.severity == severity).count()
    }

    /// Each finding with its source line, for people; in colour if `colour`. No other line is shown, and no password.
    pub fn to_text(&self, colour: bool) -> String {
        let theme = if colour { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
        let handler = GraphicalReportHandler::new_themed(theme).with_links(false).with_width(120);
        self.list.iter().map(|finding| self.rendered(finding, &handler)).collect::<Vec<_>>().join("\n")
    }

    fn rendered(&self, finding: &Finding, handler: &GraphicalReportHandler) -> String {
        let mut text = String::new();
        match handler.render_report(&mut text, &Shown::new(finding, &self.sources)) {
            Ok(()) => text,
            Err(fmt::Error) => format!("{finding}\n"),
        }
    }

    /// A line for each finding, as compilers write them.
    pub fn to_lines(&self) -> String {
        self.list.iter().flat_map(|finding| [finding.to_string(), "\n".into()]).collect()
    }

    /// A JSON array with an object for each finding: `severity`, `code`, `kind`, `message`, `expected`, `suggestion`, `help`,
    /// `file`, `line`, `column`, `length`, and `source`, the line itself without passwords. What is not known is null.
    pub fn to_json(&self) -> Value {
        self.list.iter().map(|finding| finding.to_json(&self.sources)).collect()
    }

    /// How many there are, in words, such as `2 errors, 1 warning`; nothing if there are none.
    pub fn summary(&self) -> Option<String> {
        let counted = |severity: Severity| match self.count(severity) {
            0 => None,
            1 => Some(format!("1 {}", severity.as_str())),
            many => Some(format!("{many} {}s", severity.as_str())),
        };
        let parts: Vec<String> = [Severity::Error, Severity::Warning].into_iter().filter_map(counted).collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.to_lines().trim_end())
    }
}

impl std::error::Error for Findings {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::kind::Kind;

    fn findings() -> Findings {
        let file: Arc<Path> = Arc::from(Path::new("millrace.yaml"));
        let mut findings = Findings::default();
        findings.add_source(&file, &Arc::from("load:\n  t: { from: flights.rwa }\n"));
        let place = Place { file, line: 2, column: 14, length: 11 };
        findings.push(
            Finding::error(Code::ProjectFlow, "no topic `flights.rwa`")
                .kind(Kind::UnknownTopic)
                .suggestion("flights.raw".to_owned())
                .at(place),
        );
        findings
    }

    #[test]
    fn people_see_the_source_line() {
        let shown = findings().to_text(false);
        let expected = [
            "error[MR0104] unknown-topic",
            "",
            "  × no topic `flights.rwa`",
            "   ╭─[millrace.yaml:2:14]",
            " 2 │   t: { from: flights.rwa }",
            "   ·              ─────┬─────",
            "   ·                   ╰── here",
            "   ╰────",
            "  help: did you mean `flights.raw`?",
            "",
        ];
        assert_eq!(shown, expected.join("\n"));
    }

    #[test]
    fn tools_see_lines_and_json() {
        let findings = findings();
        assert_eq!(findings.to_lines(), "millrace.yaml:2:14: error[MR0104]: no topic `flights.rwa` (did you mean `flights.raw`?)\n");
        let json = findings.to_json();
        let expected = serde_json::json!([{
            "severity": "error", "code": "MR0104", "kind": "unknown-topic", "message": "no topic `flights.rwa`", "expected": null,
            "suggestion": "flights.raw", "help": "did you mean `flights.raw`?", "file": "millrace.yaml", "line": 2, "column": 14,
            "length": 11, "source": "  t: { from: flights.rwa }",
        }]);
        assert_eq!(json, expected);
        assert!(findings.has_errors());
    }

    #[test]
    fn a_finding_in_a_file_that_is_not_at_hand_is_still_shown() {
        let mut findings = findings();
        findings.sources = Sources::default();
        assert!(findings.to_text(false).contains("millrace.yaml:2:14: no topic"));
    }
}
