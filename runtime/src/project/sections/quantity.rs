//! Quantities that are written with their unit: time spans and sizes.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, Error, Unexpected};
use serde::{Deserialize, Serialize, Serializer};

use super::Scalar;

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
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

impl fmt::Display for ByteSize {
    /// As it is written in a project file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&in_units(self.0, Self::UNITS))
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
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
}
