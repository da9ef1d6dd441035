//! What is wrong with the shape of a project file, in the words of someone who writes one.

use std::fmt;

use serde::de::{Error, Expected, Unexpected};

use super::place::Place;
use super::suggest;
use super::tree::{Node, Value};

/// One thing that is wrong, and where.
#[derive(Debug)]
pub(super) struct ShapeError {
    found: Option<String>,
    message: String,
    pub(super) help: Option<String>,
    pub(super) place: Option<Place>,
}

impl ShapeError {
    fn new(message: String, help: Option<String>) -> Self {
        Self { found: None, message, help, place: None }
    }

    fn unfit(found: String, expected: &dyn Expected) -> Self {
        Self { found: Some(found), message: format!("expected {}", expectation(&expected.to_string())), help: None, place: None }
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
        let message = format!("expected one of {}", quoted(variants));
        Self { found: Some(found), message, help: None, place: None }
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
        if self.found.is_some() {
            self.found = Some(format!("the value of {}", variables.join(", ")));
        }
        self
    }

    /// What is wrong, in a line.
    pub(super) fn message(&self) -> String {
        match &self.found {
            Some(found) => format!("{}, found {found}", self.message),
            None => self.message.clone(),
        }
    }
}

impl fmt::Display for ShapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message())
    }
}

impl std::error::Error for ShapeError {}

impl Error for ShapeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message.to_string(), None)
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let mut error = Self::unfit(found(unexpected), expected);
        let wants_text = matches!(expected.to_string().as_str(), "a string" | "path string");
        if wants_text && matches!(unexpected, Unexpected::Bool(_) | Unexpected::Unsigned(_) | Unexpected::Signed(_) | Unexpected::Float(_))
        {
            error.help = Some("put it in quotes".into());
        }
        error
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::unfit(found(unexpected), expected)
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        Self::unfit(if length == 0 { "nothing".into() } else { format!("{length} of them") }, expected)
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let help = suggest::nearest(variant, expected.iter().copied()).map(|meant| format!("did you mean `{meant}`?"));
        Self { found: Some(format!("`{variant}`")), message: format!("expected one of {}", quoted(expected)), help, place: None }
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::new(format!("unknown key `{field}`"), suggest::help(field, "keys", expected.iter().copied()))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(format!("the key `{field}` is missing here"), None)
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::new(format!("the key `{field}` is there twice"), None)
    }
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
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

/// Serde's word for what it expected, as a user of the file would say it.
fn expectation(serde: &str) -> String {
    match serde {
        "a string" => "text".into(),
        "path string" => "a path".into(),
        "a boolean" => "true or false".into(),
        "a character" => "one character".into(),
        "a sequence" => "a list".into(),
        "a map" => "keys with values".into(),
        "u8" => "a whole number from 0 to 255".into(),
        "u16" => "a whole number from 0 to 65535".into(),
        "u32" | "u64" | "usize" => "a whole number, not negative".into(),
        "i8" | "i16" | "i32" | "i64" => "a whole number".into(),
        "f32" | "f64" => "a number".into(),
        "socket address" => "an address such as 127.0.0.1:8080".into(),
        other if other.starts_with("struct ") => "keys with values".into(),
        other => other.to_owned(),
    }
}
