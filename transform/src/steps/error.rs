//! Why steps can't be compiled, with the place in the SQL.

use std::fmt;

use datafusion_common::DataFusionError;
use datafusion_sql::sqlparser::tokenizer::Span;
use millrace_model::Code;
use millrace_runtime::project::Kind;
use millrace_runtime::project::suggest::nearest;

use super::wording;

/// A step that can't be compiled: what is wrong with it, where, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct StepError {
    /// The step's number in its pipeline, from 0.
    pub step: usize,
    /// The number of the rule in a `validate` step, from 0.
    pub rule: Option<usize>,
    /// The code, whose page says what to do.
    pub code: Code,
    /// What sort of finding it is.
    pub kind: Kind,
    /// What is wrong, and what to do.
    pub message: String,
    /// Line and column in the step's SQL text, both from 1.
    pub place: Option<(usize, usize)>,
    /// The name that was probably meant.
    pub suggestion: Option<String>,
}

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step {}", self.step)?;
        if let Some(rule) = self.rule {
            write!(f, ", rule {rule}")?;
        }
        if let Some((line, column)) = self.place {
            write!(f, ", line {line}, column {column}")?;
        }
        write!(f, ": {}", self.message)?;
        self.suggestion.as_ref().map_or(Ok(()), |name| write!(f, " (did you mean {name}?)"))
    }
}

/// The result of compiling a part of a step.
pub(super) type Compiled<T> = Result<T, StepError>;

impl StepError {
    /// SQL that is wrong.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self { step: 0, rule: None, code: Code::SqlInvalid, kind: Kind::Sql, message: message.into(), place: None, suggestion: None }
    }

    /// SQL that is right, but is not row by row.
    pub(super) fn unsupported(message: impl Into<String>) -> Self {
        Self { code: Code::SqlUnsupported, kind: Kind::NotRowWise, ..Self::invalid(message) }
    }

    /// An error of the planner.
    pub(super) fn planning(error: &DataFusionError) -> Self {
        Self::invalid(text(error))
    }

    /// The same error, of that kind.
    pub(super) fn kind(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }

    /// The same error at the beginning of `span`, unless it has a place already.
    pub(super) fn at(mut self, span: Span) -> Self {
        let start = span.start;
        if self.place.is_none() && start.line > 0 {
            self.place = Some((start.line as usize, start.column as usize));
        }
        self
    }

    /// The same error with the name that was probably meant instead of `name`.
    pub(super) fn suggesting<'a>(mut self, name: &str, known: impl Iterator<Item = &'a str>) -> Self {
        self.suggestion = nearest(name, known).map(str::to_owned);
        self
    }
}

/// The text of a planner's or kernel's error in the words of the project, without its category and backtrace.
pub(super) fn text(error: &DataFusionError) -> String {
    let message = error.message();
    let first = message.split("\n\nbacktrace").next().unwrap_or_default();
    wording::message(first.lines().next().unwrap_or_default())
}
