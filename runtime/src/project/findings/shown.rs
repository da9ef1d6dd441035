//! A finding with its line of the file, as miette draws it.

use std::fmt;

use miette::{Diagnostic, LabeledSpan, MietteError, NamedSource, SourceCode, SourceSpan, SpanContents};

use super::Sources;
use crate::project::finding::{Finding, Severity};
use crate::project::masking::masked;
use crate::project::place::Place;

/// A finding as miette shows it.
#[derive(Debug)]
pub(super) struct Shown<'a> {
    finding: &'a Finding,
    source: Option<OneLine>,
    span: Option<(usize, usize)>,
}

impl<'a> Shown<'a> {
    pub(super) fn new(finding: &'a Finding, sources: &Sources) -> Self {
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
        Some(Box::new(format!("{}[{}] {}", self.finding.severity.as_str(), self.finding.code, self.finding.kind)))
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
        Some(Box::new(std::iter::once(LabeledSpan::new(Some(self.finding.label()), offset, length))))
    }
}
