//! What is wrong with the shape of a project file, in the words of someone who writes one.

use std::fmt;

use millrace_model::Code;
use serde::de::{Error, Expected, Unexpected};

use super::finding::Finding;
use super::kind::Kind;
use super::place::Place;
use super::suggest;
use super::tree::{Node, Value};

/// One thing that is wrong, and where.
#[derive(Debug)]
pub(super) struct ShapeError {
    what: Box<What>,
    pub(super) place: Option<Place>,
}

#[derive(Debug)]
struct What {
    kind: Kind,
    /// What is wrong; without it, that what was found is not what was expected.
    message: Option<String>,
    expected: Option<String>,
    found: Option<String>,
    suggestion: Option<String>,
    help: Option<String>,
}

impl From<What> for ShapeError {
    fn from(what: What) -> Self {
        Self { what: Box::new(what), place: None }
    }
}

impl ShapeError {
    fn new(kind: Kind, message: String) -> Self {
        What { kind, message: Some(message), expected: None, found: None, suggestion: None, help: None }.into()
    }

    fn unfit(found: String, expected: String) -> Self {
        let (found, expected) = (Some(found), Some(expected));
        What { kind: Kind::WrongValue, message: None, expected, found, suggestion: None, help: None }.into()
    }

    /// That `node` is not one of the forms that an enum of `variants` has.
    pub(super) fn no_variant(node: &Node, variants: &[&str]) -> Self {
        let found = match &node.value {
            Value::Map(entries) if entries.is_empty() => "nothing".into(),
            Value::Map(entries) => {
                format!("several: {}", entries.iter().map(|entry| format!("`{}`", entry.key)).collect::<Vec<_>>().join(", "))
            }
            Value::Null => "nothing".into(),
            _ => "something else".into(),
        };
        Self::unfit(found, one_of(variants))
    }

    /// The same, at `place` unless it is known more closely.
    pub(super) fn at(mut self, place: &Place) -> Self {
        self.place.get_or_insert_with(|| place.clone());
        self
    }

    /// The same, at `to` if it is at `from`.
    pub(super) fn moved(mut self, from: &Place, to: &Place) -> Self {
        if self.place.as_ref().is_none_or(|place| place == from) {
            self.place = Some(to.clone());
        }
        self
    }

    /// The same without what was found, which came from `variables` and may be a secret.
    pub(super) fn hide(mut self, variables: &[String]) -> Self {
        if self.what.found.is_some() {
            self.what.found = Some(format!("the value of {}", variables.join(", ")));
        }
        self
    }

    /// The same with an advice, unless it has one.
    pub(super) fn advised(mut self, advice: impl FnOnce() -> String) -> Self {
        if self.what.help.is_none() && self.what.suggestion.is_none() {
            self.what.help = Some(advice());
        }
        self
    }

    /// What is wrong, as a finding.
    pub(super) fn finding(&self) -> Finding {
        let What { kind, expected, suggestion, help, .. } = &*self.what;
        let finding = Finding::error(Code::ProjectSyntax, self.to_string()).kind(*kind).expected(expected.clone());
        let finding = finding.suggestion(suggestion.clone()).at(self.place.clone());
        if help.is_some() { finding.help(help.clone()) } else { finding }
    }
}

impl fmt::Display for ShapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.what.message, &self.what.expected, &self.what.found) {
            (Some(message), ..) => f.write_str(message),
            (None, expected, found) => {
                let nothing = String::from("something else");
                write!(f, "expected {}, found {}", expected.as_ref().unwrap_or(&nothing), found.as_ref().unwrap_or(&nothing))
            }
        }
    }
}

impl std::error::Error for ShapeError {}

impl Error for ShapeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(Kind::WrongValue, message.to_string())
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let mut error = Self::invalid_value(unexpected, expected);
        error.what.help = mend(unexpected, &expected.to_string()).map(str::to_owned);
        error
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::unfit(found(unexpected), expectation(&expected.to_string()))
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        let found = if length == 0 { "nothing".into() } else { format!("{length} of them") };
        Self::unfit(found, expectation(&expected.to_string()))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let suggestion = suggest::nearest(variant, expected.iter().copied()).map(str::to_owned);
        let mut error = Self::unfit(format!("`{variant}`"), one_of(expected));
        error.what.suggestion = suggestion;
        error
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let suggestion = suggest::nearest(field, expected.iter().copied()).map(str::to_owned);
        let help = suggestion.is_none().then(|| suggest::help(field, "keys", expected.iter().copied())).flatten();
        let (message, expected) = (Some(format!("unknown key `{field}`")), Some(one_of(expected)));
        What { kind: Kind::UnknownKey, message, expected, found: None, suggestion, help }.into()
    }

    fn missing_field(field: &'static str) -> Self {
        let (message, expected) = (Some(format!("the key `{field}` is missing here")), Some(format!("the key `{field}`")));
        // The one key that has one value.
        let help = (field == "version").then(|| "begin the file with `version: 1`".to_owned());
        What { kind: Kind::MissingKey, message, expected, found: None, suggestion: None, help }.into()
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::new(Kind::DeclaredTwice, format!("the key `{field}` is there twice"))
    }
}

/// What makes a value of the wrong type one of the right type.
fn mend(unexpected: Unexpected<'_>, expected: &str) -> Option<&'static str> {
    match (unexpected, expected) {
        (Unexpected::Bool(_) | Unexpected::Unsigned(_) | Unexpected::Signed(_) | Unexpected::Float(_), "a string" | "path string") => {
            Some("put it in quotes")
        }
        (Unexpected::Str("true" | "false"), "a boolean") => Some("leave the quotes out"),
        (Unexpected::Str(text), number) if is_number(number) && text.parse::<f64>().is_ok() => Some("leave the quotes out"),
        (Unexpected::Seq, keys) if expectation(keys) == KEYS => {
            Some("leave the dashes out: each entry is a name, and below it what it has")
        }
        _ => None,
    }
}

fn is_number(expected: &str) -> bool {
    matches!(expected, "u8" | "u16" | "u32" | "u64" | "usize" | "i8" | "i16" | "i32" | "i64" | "f32" | "f64")
}

fn one_of(names: &[&str]) -> String {
    format!("one of {}", suggest::quoted(names))
}

fn found(unexpected: Unexpected<'_>) -> String {
    match unexpected {
        Unexpected::Unit | Unexpected::Option => "nothing".into(),
        Unexpected::Bool(value) => format!("`{value}`"),
        Unexpected::Unsigned(value) => format!("the number {value}"),
        Unexpected::Signed(value) => format!("the number {value}"),
        Unexpected::Float(value) => format!("the number {value}"),
        Unexpected::Str(text) => format!("the text {}", shortened(text)),
        Unexpected::Seq => "a list".into(),
        Unexpected::Map => "keys with values".into(),
        other => other.to_string(),
    }
}

fn shortened(text: &str) -> String {
    let mut shown: String = text.chars().take(40).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    format!("{shown:?}")
}

/// What has parts by name.
const KEYS: &str = "keys with values";

/// Serde's word for what it expected, as a user of the file would say it.
fn expectation(serde: &str) -> String {
    match serde {
        "a string" => "text".into(),
        "path string" => "a path".into(),
        "a boolean" => "true or false".into(),
        "a character" => "one character".into(),
        "a sequence" => "a list".into(),
        "a map" => KEYS.into(),
        "u8" => "a whole number from 0 to 255".into(),
        "u16" => "a whole number from 0 to 65535".into(),
        "u32" | "u64" | "usize" => "a whole number, not negative".into(),
        "i8" | "i16" | "i32" | "i64" => "a whole number".into(),
        "f32" | "f64" => "a number".into(),
        "socket address" => "an address such as 127.0.0.1:8080".into(),
        other if other.starts_with("struct ") => KEYS.into(),
        other => other.to_owned(),
    }
}
