//! The columns that a record's key is made of.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};

/// The column, or columns, of a key: one name or a list of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key(Vec<String>);

impl Key {
    /// A key of these columns; there must be at least one.
    pub fn new(columns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self(columns.into_iter().map(Into::into).collect())
    }

    /// The columns in their order; there is at least one.
    pub fn columns(&self) -> &[String] {
        &self.0
    }
}

struct KeyVisitor;

impl<'de> Visitor<'de> for KeyVisitor {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a column's name or a list of them")
    }

    fn visit_str<E: Error>(self, column: &str) -> Result<Key, E> {
        Ok(Key(vec![column.into()]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Key, A::Error> {
        let mut columns = Vec::new();
        while let Some(column) = list.next_element()? {
            columns.push(column);
        }
        if columns.is_empty() {
            return Err(A::Error::invalid_length(0, &"at least one column"));
        }
        Ok(Key(columns))
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(KeyVisitor)
    }
}

impl JsonSchema for Key {
    fn schema_name() -> Cow<'static, str> {
        "Key".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" }, "minItems": 1 }] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json};

    #[test]
    fn a_key_is_one_column_or_several() {
        let key = |value| from_value::<Key>(value).map(|key| key.columns().join(","));
        assert_eq!(key(json!("carrier")).expect("one"), "carrier");
        assert_eq!(key(json!(["carrier", "flight"])).expect("two"), "carrier,flight");
        assert!(key(json!([])).is_err());
        assert!(key(json!(7)).is_err());
    }
}
