//! What was found in a project: errors and warnings, as text with the source line, as plain lines, and as JSON.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, NamedSource, SourceCode, SourceSpan, SpanContents,
};
use millrace_model::Code;
use serde_json::{Value, json};

use super::masking::masked;
use super::place::Place;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The project can't be run.
    Error,
    /// The project can be run; its owner should know.
    Warning,
}

impl Severity {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The kind of finding.
    pub code: Code,
    /// What is wrong and what was expected.
    pub message: String,
    /// What to do, or what was probably meant.
    pub help: Option<String>,
    /// Where.
    pub place: Option<Place>,
}

impl Finding {
    /// An error.
    pub fn error(code: Code, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, code, message: message.into(), help: None, place: None }
    }

    /// A warning.
    pub fn warning(code: Code, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, message) }
    }

    /// The same with what to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<Option<String>>) -> Self {
        self.help = help.into();
        self
    }

    /// The same with its place.
    #[must_use]
    pub fn at(mut self, place: impl Into<Option<Place>>) -> Self {
        self.place = place.into();
        self
    }

    fn to_json(&self) -> Value {
        let place = self.place.as_ref();
        json!({
            "severity": self.severity.as_str(),
            "code": self.code.as_str(),
            "message": self.message,
            "help": self.help,
            "file": place.map(|place| place.file.to_string_lossy()),
            "line": place.map(|place| place.line),
            "column": place.map(|place| place.column),
            "length": place.map(|place| place.length),
        })
    }
}

/// As compilers write it: `file:line:column: error[MR0104]: message (help)`.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        write!(f, "{}[{}]: {}", self.severity.as_str(), self.code, self.message)?;
        self.help.as_ref().map_or(Ok(()), |help| write!(f, " ({help})"))
    }
}

/// The texts of the files that findings point into.
pub(super) type Sources = BTreeMap<Arc<Path>, Arc<str>>;

/// Everything that was found in a project, and the files that it was found in.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    list: Vec<Finding>,
    sources: Sources,
}

impl Findings {
    pub(super) fn push(&mut self, finding: Finding) {
        self.list.push(finding);
    }

    pub(super) fn add_source(&mut self, file: &Arc<Path>, text: &Arc<str>) {
        self.sources.insert(Arc::clone(file), Arc::clone(text));
    }

    pub(super) fn source(&self, file: &Path) -> Option<&Arc<str>> {
        self.sources.get(file)
    }

    /// Orders the findings by file and line.
    pub(super) fn sort(&mut self) {
        self.list.sort_by(|one, other| one.place.cmp(&other.place));
        self.list.dedup();
    }

    /// The findings, by file and line.
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

    /// A JSON array with an object for each finding: `severity`, `code`, `message`, `help`, `file`, `line`, `column`, `length`.
    pub fn to_json(&self) -> Value {
        self.list.iter().map(Finding::to_json).collect()
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.to_lines().trim_end())
    }
}

impl std::error::Error for Findings {}

/// A finding as miette shows it.
#[derive(Debug)]
struct Shown<'a> {
    finding: &'a Finding,
    source: Option<OneLine>,
    span: Option<(usize, usize)>,
}

impl<'a> Shown<'a> {
    fn new(finding: &'a Finding, sources: &Sources) -> Self {
        let shown = finding.place.as_ref().and_then(|place| sources.get(&place.file).map(|text| (place, text)));
        let span = shown.map(|(place, text)| place.bytes(text));
        let source = shown.zip(span).map(|((place, text), (offset, _))| OneLine::new(place, text, offset));
        Self { finding, source, span }
    }
}

/// A file of which miette sees the line of the finding only: those around it may hold what is not for logs.
#[derive(Debug)]
struct OneLine {
    file: NamedSource<String>,
    line: SourceSpan,
}

impl OneLine {
    fn new(place: &Place, text: &str, offset: usize) -> Self {
        let start = text[..offset].rfind('\n').map_or(0, |end| end + 1);
        let length = text[start..].find('\n').unwrap_or(text.len() - start);
        Self { file: NamedSource::new(place.file.to_string_lossy(), masked(text)), line: (start, length).into() }
    }
}

impl SourceCode for OneLine {
    fn read_span<'a>(&'a self, span: &SourceSpan, before: usize, _: usize) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        // Without lines before it, it is asked for the place, to say its line and column.
        self.file.read_span(if before == 0 { span } else { &self.line }, 0, 0)
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(place), None) = (&self.finding.place, &self.source) {
            write!(f, "{place}: ")?;
        }
        f.write_str(&self.finding.message)
    }
}

impl std::error::Error for Shown<'_> {}

impl Diagnostic for Shown<'_> {
    fn code(&self) -> Option<Box<dyn fmt::Display + '_>> {
        Some(Box::new(format!("{}[{}]", self.finding.severity.as_str(), self.finding.code)))
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.finding.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help(&self) -> Option<Box<dyn fmt::Display + '_>> {
        self.finding.help.as_ref().map(|help| Box::new(help) as _)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|source| source as _)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let (offset, length) = self.span?;
        Some(Box::new(std::iter::once(LabeledSpan::new(Some("here".into()), offset, length))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings() -> Findings {
        let file: Arc<Path> = Arc::from(Path::new("millrace.yaml"));
        let mut findings = Findings::default();
        findings.add_source(&file, &Arc::from("load:\n  t: { from: flights.rwa }\n"));
        let place = Place { file, line: 2, column: 14, length: 11 };
        findings.push(Finding::error(Code::ProjectFlow, "no topic `flights.rwa`").help("did you mean `flights.raw`?".to_owned()).at(place));
        findings
    }

    #[test]
    fn people_see_the_source_line() {
        let shown = findings().to_text(false);
        let expected = [
            "error[MR0104]",
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
        assert_eq!((json[0]["line"].as_u64(), json[0]["code"].as_str()), (Some(2), Some("MR0104")));
        assert!(findings.has_errors());
    }

    #[test]
    fn a_finding_in_a_file_that_is_not_at_hand_is_still_shown() {
        let mut findings = findings();
        findings.sources.clear();
        assert!(findings.to_text(false).contains("millrace.yaml:2:14: no topic"));
    }
}
