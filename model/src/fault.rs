//! Operations that failed: what, why, and what happens next.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use crate::code::Code;

/// `Result` with a [`Fault`].
pub type Result<T, E = Fault> = std::result::Result<T, E>;

/// What the caller does about a fault. Decided once, where the fault arises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Passing trouble (network, broker, lock): try again with backoff, for as long as it lasts.
    BackOff,
    /// An operator must act (configuration, credentials): halt this pipeline alone, say what to do, and look again at long intervals.
    Operator,
    /// The same call can only fail again: halt this pipeline alone.
    Never,
}

/// An operation that failed, with a stable code, what to do next, and the cause.
///
/// Its text is for operators and holds no secret: connectors put only what they would log into it.
#[derive(Debug)]
pub struct Fault {
    code: Code,
    retry: Retry,
    not_before: Option<Duration>,
    message: String,
    cause: Option<Box<dyn Error + Send + Sync>>,
}

impl Fault {
    /// A fault of `code`: `message` says what was being done, with what, and how to mend it.
    pub fn new(code: Code, retry: Retry, message: impl Into<String>) -> Self {
        Self { code, retry, not_before: None, message: message.into(), cause: None }
    }

    /// Passing trouble.
    pub fn passing(code: Code, message: impl Into<String>) -> Self {
        Self::new(code, Retry::BackOff, message)
    }

    /// Trouble that an operator must mend.
    pub fn operator(code: Code, message: impl Into<String>) -> Self {
        Self::new(code, Retry::Operator, message)
    }

    /// Trouble that the same call can only meet again.
    pub fn fatal(code: Code, message: impl Into<String>) -> Self {
        Self::new(code, Retry::Never, message)
    }

    /// The same fault with the error that caused it.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// The same fault, of which it is known that another try before so long is in vain: a server asked for patience, or is left alone.
    #[must_use]
    pub fn not_before(mut self, wait: Duration) -> Self {
        self.not_before = Some(wait);
        self
    }

    /// The same fault, whose message begins with the place that it is about.
    #[must_use]
    pub fn at(mut self, place: &str) -> Self {
        self.message = format!("{place}: {}", self.message);
        self
    }

    /// The stable code.
    pub fn code(&self) -> Code {
        self.code
    }

    /// What the caller does about it.
    pub fn retry(&self) -> Retry {
        self.retry
    }

    /// How long to wait before another try; `None` leaves it to the caller's backoff.
    pub fn wait(&self) -> Option<Duration> {
        self.not_before
    }

    /// What was being done, without code and cause.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)?;
        let (mut cause, mut said) = (self.source(), String::new());
        while let Some(error) = cause {
            let text = error.to_string();
            // Many an error has its cause in its own text.
            if !said.contains(&text) {
                write!(f, ": {text}")?;
                said = text;
            }
            cause = error.source();
        }
        Ok(())
    }
}

impl Error for Fault {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_ref().map(|cause| cause.as_ref() as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the server answered: {0}")]
    struct Answered(#[source] std::num::ParseIntError);

    #[test]
    fn a_cause_is_told_once() {
        let cause = "x".parse::<i32>().expect_err("is no number");
        let fault = Fault::fatal(Code::Internal, "asking failed").because(Answered(cause));
        assert_eq!(fault.to_string(), "MR0901: asking failed: the server answered: invalid digit found in string");
    }
}
