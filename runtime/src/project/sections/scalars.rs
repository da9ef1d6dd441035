//! The small values of the project file that have a form of their own.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, Error, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// A path. One that is not absolute is taken from the project's folder: the reader of the project file has
/// joined the two, so that the path is good from the working directory.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename = "ProjectPath")]
#[schemars(inline)]
pub struct ProjectPath(PathBuf);

impl ProjectPath {
    /// The name by which a deserializer knows that it must join the project's folder.
    pub(crate) const NAME: &str = "ProjectPath";

    /// That path, from the working directory.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }
}

impl Deref for ProjectPath {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl AsRef<Path> for ProjectPath {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

/// The version of the project file's format; there is one, 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version;

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u64::deserialize(deserializer)? {
            1 => Ok(Self),
            other => Err(D::Error::invalid_value(Unexpected::Unsigned(other), &"1, the version that this program reads")),
        }
    }
}

impl JsonSchema for Version {
    fn schema_name() -> Cow<'static, str> {
        "Version".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "const": 1 })
    }
}

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

/// A setting that is passed on as text, whichever of text, number or boolean the file has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scalar(String);

impl Scalar {
    /// A setting of that text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

struct ScalarVisitor;

impl Visitor<'_> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text, a number, true or false")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Scalar, E> {
        Ok(Scalar(text.into()))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Scalar, E> {
        Ok(Scalar(value.to_string()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Scalar, E> {
        Ok(Scalar(value.to_string()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Scalar, E> {
        Ok(Scalar(value.to_string()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Scalar, E> {
        Ok(Scalar(value.to_string()))
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

impl JsonSchema for Scalar {
    fn schema_name() -> Cow<'static, str> {
        "Scalar".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number", "boolean"] })
    }
}

/// A number with a unit after it, such as `100ms` or `1MiB`; parsed by its type's table of units.
fn with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit.trim()))?.1;
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// The number in the largest unit that keeps it whole.
fn in_units(value: u64, units: &[(&str, u64)]) -> String {
    let whole = units.iter().filter(|(_, factor)| value >= *factor && value.is_multiple_of(*factor));
    let (unit, factor) = whole.max_by_key(|(_, factor)| *factor).copied().unwrap_or(units[0]);
    format!("{}{unit}", value / factor)
}

/// A time span, written with its unit: `100ms`, `5s`, `2m`, `1h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Millis(u64);

impl Millis {
    const UNITS: &[(&str, u64)] = &[("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)];
    const EXPECTED: &str = "a time with its unit, such as 100ms, 5s, 2m or 1h";

    /// That many milliseconds.
    pub const fn new(millis: u64) -> Self {
        Self(millis)
    }

    /// The time span.
    pub const fn duration(self) -> Duration {
        Duration::from_millis(self.0)
    }
}

impl Serialize for Millis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&in_units(self.0, Self::UNITS))
    }
}

impl<'de> Deserialize<'de> for Millis {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Scalar::deserialize(deserializer)?;
        let millis = with_unit(text.as_str(), Self::UNITS);
        millis.map(Self).ok_or_else(|| D::Error::invalid_value(Unexpected::Str(text.as_str()), &Self::EXPECTED))
    }
}

impl JsonSchema for Millis {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": r"^(\d+ ?(ms|s|m|h)|.*\$\{.*)$" })
    }
}

/// A size in bytes, written with its unit: `512KiB`, `1MiB`, or plain bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteSize(u64);

impl ByteSize {
    const UNITS: &[(&str, u64)] =
        &[("", 1), ("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("kB", 1000), ("MB", 1_000_000), ("GB", 1_000_000_000)];
    const EXPECTED: &str = "a size such as 512KiB, 1MiB or a number of bytes";

    /// That many bytes.
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// The size in bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&in_units(self.0, Self::UNITS))
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Scalar::deserialize(deserializer)?;
        let bytes = with_unit(text.as_str(), Self::UNITS);
        bytes.map(Self).ok_or_else(|| D::Error::invalid_value(Unexpected::Str(text.as_str()), &Self::EXPECTED))
    }
}

impl JsonSchema for ByteSize {
    fn schema_name() -> Cow<'static, str> {
        "ByteSize".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            { "type": "integer", "minimum": 0 },
            { "type": "string", "pattern": r"^(\d+ ?([KMG]i?B|kB|B)?|.*\$\{.*)$" },
        ] })
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

    #[test]
    fn a_passed_through_setting_may_be_written_as_what_it_is() {
        let scalars: Vec<Scalar> = from_value(json!(["a", 7, -7, 0.5, true])).expect("scalars");
        let texts: Vec<_> = scalars.iter().map(Scalar::as_str).collect();
        assert_eq!(texts, ["a", "7", "-7", "0.5", "true"]);
    }

    #[test]
    fn sizes_and_times_carry_their_unit() {
        let size = |value| from_value::<ByteSize>(value).map(ByteSize::bytes).ok();
        assert_eq!(size(json!("1MiB")), Some(1 << 20));
        assert_eq!(size(json!("2 kB")), Some(2000));
        assert_eq!(size(json!(77)), Some(77));
        assert_eq!(size(json!("1 mile")), None);
        assert_eq!(size(json!("99999999999999999999GiB")), None);
        let time = |value| from_value::<Millis>(value).map(Millis::duration).ok();
        assert_eq!(time(json!("100ms")), Some(Duration::from_millis(100)));
        assert_eq!(time(json!("2m")), Some(Duration::from_mins(2)));
        assert_eq!(time(json!(100)), None);
        let written = (serde_json::to_string(&Millis::new(100)).ok(), serde_json::to_string(&ByteSize::new(1 << 20)).ok());
        assert_eq!(written, (Some("\"100ms\"".into()), Some("\"1MiB\"".into())));
    }

    #[test]
    fn another_version_is_refused() {
        assert!(from_value::<Version>(json!(1)).is_ok());
        assert!(from_value::<Version>(json!(2)).is_err());
    }
}
