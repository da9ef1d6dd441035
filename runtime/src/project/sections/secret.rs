//! Passwords, which are read and used but never shown.

use std::fmt;

use schemars::JsonSchema;
use serde::de::{Deserializer, Error, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// A password. Its debug and display forms are `***`; [`Secret::reveal`] gives the text.
#[derive(Clone, PartialEq, Eq, JsonSchema)]
#[schemars(inline)]
pub struct Secret(String);

impl Secret {
    /// A secret of that text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the call that needs it and no message.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Takes text, and says of anything else not what it is: it is a password that lacks its quotes.
struct SecretVisitor;

impl SecretVisitor {
    fn unquoted<E: Error>() -> Result<Secret, E> {
        Err(E::custom("expected text: put the password in quotes"))
    }
}

impl Visitor<'_> for SecretVisitor {
    type Value = Secret;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a password in quotes")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Secret, E> {
        Ok(Secret(text.into()))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Secret, E> {
        Self::unquoted()
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Secret, E> {
        Self::unquoted()
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Secret, E> {
        Self::unquoted()
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Secret, E> {
        Self::unquoted()
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SecretVisitor)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_never_shows_itself() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret} {secret:?}"), "*** ***");
        assert_eq!(serde_json::to_string(&secret).expect("serialises"), r#""***""#);
        assert_eq!(secret.reveal(), "hunter2");
    }

    #[test]
    fn a_secret_that_is_no_text_is_not_shown() {
        let error = serde_json::from_str::<Secret>("12345").expect_err("is no text").to_string();
        assert!(error.contains("in quotes") && !error.contains("12345"), "{error}");
    }
}
