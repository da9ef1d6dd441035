//! One thing that was found in a project.

use std::fmt;

use millrace_model::Code;
use serde_json::{Value, json};

use super::findings::Sources;
use super::kind::Kind;
use super::masking::masked_message;
use super::place::Place;
use super::suggest;

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
    /// The code, whose page says what to do.
    pub code: Code,
    /// What sort of finding it is.
    pub kind: Kind,
    /// What is wrong, in a line.
    pub message: String,
    /// What was expected instead, where that can be said: it follows the word "expected".
    pub expected: Option<String>,
    /// The name that was probably meant instead of the one that is there.
    pub suggestion: Option<String>,
    /// What to do.
    pub help: Option<String>,
    /// Where.
    pub place: Option<Place>,
}

impl Finding {
    /// An error.
    pub fn error(code: Code, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { severity: Severity::Error, code, kind: Kind::of(code), message, expected: None, suggestion: None, help: None, place: None }
    }

    /// A warning.
    pub fn warning(code: Code, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, message) }
    }

    /// The same, of that kind.
    #[must_use]
    pub fn kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// The same with what was expected instead.
    #[must_use]
    pub fn expected(mut self, expected: impl Into<Option<String>>) -> Self {
        self.expected = expected.into();
        self
    }

    /// The same with the one of `known` that `name` was probably meant to be; if there is none such, with all that there are,
    /// as `what` (such as "columns").
    #[must_use]
    pub fn meant<'a>(self, name: &str, what: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        let known: Vec<&str> = known.into_iter().collect();
        match suggest::nearest(name, known.iter().copied()) {
            Some(meant) => self.suggestion(meant.to_owned()),
            None if known.is_empty() => self,
            None => {
                self.expected(format!("one of the {what} {}", suggest::quoted(&known))).help(format!("known {what}: {}", known.join(", ")))
            }
        }
    }

    /// The same with the name that was probably meant, unless there is none.
    #[must_use]
    pub fn suggestion(mut self, name: impl Into<Option<String>>) -> Self {
        if let Some(name) = name.into() {
            self.help = Some(format!("did you mean `{name}`?"));
            self.suggestion = Some(name);
        }
        self
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

    /// The same without the passwords of URLs in its texts.
    pub(super) fn masked(mut self) -> Self {
        let texts = [Some(&mut self.message), self.expected.as_mut(), self.suggestion.as_mut(), self.help.as_mut()];
        for text in texts.into_iter().flatten().filter(|text| text.contains("://")) {
            *text = masked_message(text);
        }
        self
    }

    /// What is said at its place: what was expected, unless the message has it.
    pub(super) fn label(&self) -> String {
        let expected = self.expected.as_ref().filter(|expected| !self.message.contains(expected.as_str()));
        expected.map_or_else(|| "here".into(), |expected| format!("expected {expected}"))
    }

    pub(super) fn to_json(&self, sources: &Sources) -> Value {
        let place = self.place.as_ref();
        json!({
            "severity": self.severity.as_str(),
            "code": self.code.as_str(),
            "kind": self.kind.as_str(),
            "message": self.message,
            "expected": self.expected,
            "suggestion": self.suggestion,
            "help": self.help,
            "file": place.map(|place| place.file.to_string_lossy()),
            "line": place.map(|place| place.line),
            "column": place.map(|place| place.column),
            "length": place.map(|place| place.length),
            "source": place.and_then(|place| sources.line(&place.file, place.line)),
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
