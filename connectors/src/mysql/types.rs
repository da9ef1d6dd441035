//! Which types of MySQL hold which kinds of columns, and what such a column takes.
//!
//! | Avro | a table that Millrace makes | existing columns that fit as well |
//! |---|---|---|
//! | boolean | `tinyint(1)` | other integers, `bit` |
//! | int | `int` | other integers, signed or not; `decimal`, `double` |
//! | long | `bigint` | other integers, signed or not; `decimal` |
//! | float | `float` | `double` |
//! | double | `double` | |
//! | string, enum | `longtext` | `char`, `varchar`, smaller texts, `enum`, `json` |
//! | bytes, fixed | `longblob` | `varbinary`, smaller blobs; for a fixed `binary` of its length |
//! | uuid | `char(36)` | `varchar`, texts, `binary(16)`, MariaDB's `uuid` |
//! | decimal | `decimal(p,s)`; of more than 65 digits, or 30 behind the point, `varchar(80)` | `decimal` of the same scale or a larger one |
//! | date | `date` | |
//! | time-millis, time-micros | `time(6)` | `time(3)` for milliseconds |
//! | timestamp-* | `datetime(6)`, in UTC | `timestamp`, `datetime(3)` for milliseconds |
//! | local-timestamp-* | `datetime(6)` | `datetime(3)` for milliseconds |
//! | duration | `varchar(80)`: `1 mons 2 days 3.000000000 secs` | texts |
//! | array, map, record, union of several types | `json` | texts |
//!
//! A key of text is `varchar(255)`, or shorter where there are many keys, and one of bytes `varbinary(255)`: an index takes 3,072 bytes. Its
//! collation compares bytes, trailing blanks included. A narrower column takes the values that fit it; the records of the others are rejected.
//! Nanoseconds are cut to microseconds. There is no NaN and no infinity.

use std::ops::RangeInclusive;

use crate::table::{Kind, Role, Unit};

/// How many bytes the columns of an index have together.
const INDEX_BYTES: usize = 3072;
/// The digits that `decimal` has, in all and behind the point.
const DIGITS: (u8, i8) = (65, 30);
/// What holds a decimal of 76 digits, or a duration.
const SHOWN: &str = "varchar(80)";
const SHOWN_CHARACTERS: u64 = 80;

/// The SQL type that a new table gets for a kind of column.
pub(super) fn sql_type(kind: Kind, role: Role) -> String {
    match (kind, role) {
        (Kind::Text | Kind::Symbol, Role::Key { of }) => format!("varchar({})", share(of) / 4),
        (Kind::Bytes | Kind::Fixed, Role::Key { of }) => format!("varbinary({})", share(of).min(255)),
        (Kind::Boolean, _) => "tinyint(1)".into(),
        (Kind::Int, _) => "int".into(),
        (Kind::Long, _) => "bigint".into(),
        (Kind::Float, _) => "float".into(),
        (Kind::Double, _) => "double".into(),
        (Kind::Null | Kind::Text | Kind::Symbol, _) => "longtext".into(),
        (Kind::Bytes | Kind::Fixed, _) => "longblob".into(),
        (Kind::Uuid, _) => "char(36)".into(),
        (Kind::Decimal { precision, scale } | Kind::WideDecimal { precision, scale }, _) => decimal(precision, scale),
        (Kind::Date, _) => "date".into(),
        (Kind::Time(_), _) => "time(6)".into(),
        (Kind::Timestamp { .. }, _) => "datetime(6)".into(),
        (Kind::Duration, _) => SHOWN.into(),
        (Kind::Nested, _) => "json".into(),
    }
}

/// How many bytes each of so many keys has: 255 characters, as long as an index has room for them.
fn share(keys: usize) -> usize {
    (INDEX_BYTES / keys.max(1) - 8).min(255 * 4)
}

fn decimal(precision: u8, scale: i8) -> String {
    if is_decimal(precision, scale) { format!("decimal({precision},{scale})") } else { SHOWN.into() }
}

fn is_decimal(precision: u8, scale: i8) -> bool {
    precision <= DIGITS.0 && (0..=DIGITS.1).contains(&scale)
}

/// A column's type as the catalogue has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Declared<'a> {
    /// `DATA_TYPE`: the type without what stands in parentheses.
    pub(super) name: &'a str,
    pub(super) unsigned: bool,
    /// The length of a text or of bytes.
    pub(super) length: u64,
    /// Digits in all; of a `float` or `double` whatever the catalogue has.
    pub(super) precision: u64,
    /// Digits behind the point; none where a `float` or `double` does not say.
    pub(super) scale: Option<u64>,
    /// Digits of fractions of a second.
    pub(super) fractions: u64,
}

/// How a column's values go into its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// As numbers, text or bytes.
    Plain,
    Float,
    /// A UUID as its 16 bytes.
    UuidBytes,
    Decimal {
        scale: i8,
    },
    Date,
    Time(Unit),
    /// `narrow`: a `timestamp`, which begins with 1970 and ends in 2038.
    Timestamp {
        unit: Unit,
        narrow: bool,
    },
}

/// What a column takes beyond its form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Limit {
    /// All that the form can say.
    None,
    /// Whole numbers of a range.
    Whole(RangeInclusive<i64>),
    /// So many digits before the point.
    Digits(u8),
    /// So many characters.
    Characters(usize),
    /// A text of so many bytes.
    TextBytes(usize),
    /// So many bytes.
    Bytes(RangeInclusive<usize>),
}

/// The form in which a kind of column goes into a column of the target; none when it doesn't fit.
pub(super) fn fit(kind: Kind, declared: Declared<'_>) -> Option<(Form, Limit)> {
    match (kind, declared.name) {
        (Kind::Null, _)
        | (Kind::Boolean, "tinyint" | "smallint" | "mediumint" | "int" | "bigint" | "bit")
        | (Kind::Nested, "json" | "longtext" | "mediumtext" | "text") => Some((Form::Plain, Limit::None)),
        (Kind::Int | Kind::Long, _) => fit_whole(kind, declared),
        // Digits that are declared round.
        (Kind::Float, "float" | "double") | (Kind::Double, "double") => declared.scale.is_none().then_some((Form::Float, Limit::None)),
        (Kind::Text | Kind::Symbol, _) => fit_text(declared),
        (Kind::Bytes | Kind::Fixed, name) => fit_bytes(kind, name, declared.length).map(|limit| (Form::Plain, limit)),
        (Kind::Uuid, _) => fit_uuid(declared),
        (Kind::Decimal { precision, scale } | Kind::WideDecimal { precision, scale }, _) => fit_decimal(precision, scale, declared),
        (Kind::Date, "date") => Some((Form::Date, Limit::None)),
        (Kind::Duration, _) => is_text_of(declared, SHOWN_CHARACTERS).then_some((Form::Plain, Limit::None)),
        _ => fit_time(kind, declared),
    }
}

fn fit_whole(kind: Kind, declared: Declared<'_>) -> Option<(Form, Limit)> {
    let bits = match declared.name {
        "tinyint" => 8,
        "smallint" => 16,
        "mediumint" => 24,
        "int" => 32,
        "bigint" => 64,
        "decimal" => return whole_digits(declared).map(|limit| (Form::Plain, limit)),
        "double" if kind == Kind::Int && declared.scale.is_none() => return Some((Form::Plain, Limit::None)),
        _ => return None,
    };
    Some((Form::Plain, Limit::Whole(whole(bits, declared.unsigned))))
}

/// The whole numbers of so many bits that we have as well.
fn whole(bits: u32, unsigned: bool) -> RangeInclusive<i64> {
    match (bits, unsigned) {
        (64, true) => 0..=i64::MAX,
        (_, true) => 0..=(1 << bits) - 1,
        _ => i64::MIN >> (64 - bits)..=i64::MAX >> (64 - bits),
    }
}

fn fit_text(declared: Declared<'_>) -> Option<(Form, Limit)> {
    let limit = match declared.name {
        "char" | "varchar" => Limit::Characters(length(declared)),
        "tinytext" | "text" | "mediumtext" => Limit::TextBytes(length(declared)),
        "longtext" | "enum" | "json" => Limit::None,
        _ => return None,
    };
    Some((Form::Plain, limit))
}

fn length(declared: Declared<'_>) -> usize {
    usize::try_from(declared.length).unwrap_or(usize::MAX)
}

/// `binary` fills up what is shorter.
fn fit_bytes(kind: Kind, name: &str, length: u64) -> Option<Limit> {
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    match name {
        "varbinary" | "tinyblob" | "blob" | "mediumblob" => Some(Limit::Bytes(0..=length)),
        "longblob" => Some(Limit::None),
        "binary" if kind == Kind::Fixed => Some(Limit::Bytes(length..=length)),
        _ => None,
    }
}

fn fit_uuid(declared: Declared<'_>) -> Option<(Form, Limit)> {
    let form = match declared.name {
        "uuid" => Form::Plain,
        "binary" | "varbinary" if declared.length == 16 => Form::UuidBytes,
        _ if is_text_of(declared, 36) => Form::Plain,
        _ => return None,
    };
    Some((form, Limit::None))
}

/// Whether a column takes a text of so many characters.
fn is_text_of(declared: Declared<'_>, characters: u64) -> bool {
    match declared.name {
        "char" | "varchar" => declared.length >= characters,
        "tinytext" | "text" | "mediumtext" | "longtext" => true,
        _ => false,
    }
}

fn fit_decimal(precision: u8, scale: i8, declared: Declared<'_>) -> Option<(Form, Limit)> {
    if declared.name != "decimal" {
        let is_shown = !is_decimal(precision, scale) && is_text_of(declared, SHOWN_CHARACTERS);
        return is_shown.then_some((Form::Plain, Limit::None));
    }
    let keeps_scale = u64::try_from(scale).is_ok_and(|scale| declared.scale.unwrap_or_default() >= scale);
    whole_digits(declared).filter(|_| keeps_scale).map(|limit| (Form::Decimal { scale }, limit))
}

fn whole_digits(declared: Declared<'_>) -> Option<Limit> {
    let digits = declared.precision.checked_sub(declared.scale.unwrap_or_default())?;
    u8::try_from(digits).ok().map(Limit::Digits)
}

/// A declared precision of fractions of a second (`datetime` alone has none) must not cut what the column brings.
fn fit_time(kind: Kind, declared: Declared<'_>) -> Option<(Form, Limit)> {
    let (form, unit) = match (kind, declared.name) {
        (Kind::Time(unit), "time") => (Form::Time(unit), unit),
        (Kind::Timestamp { unit, .. }, "datetime") => (Form::Timestamp { unit, narrow: false }, unit),
        (Kind::Timestamp { unit, utc: true }, "timestamp") => (Form::Timestamp { unit, narrow: true }, unit),
        _ => return None,
    };
    let needed = if unit == Unit::Millisecond { 3 } else { 6 };
    (declared.fractions >= needed).then_some((form, Limit::None))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(name: &'static str) -> Declared<'static> {
        Declared { name, unsigned: false, length: 0, precision: 0, scale: None, fractions: 0 }
    }

    #[test]
    fn a_narrower_column_takes_what_fits_it() {
        let limit = |kind, declared| fit(kind, declared).map(|(_, limit)| limit);
        assert_eq!(limit(Kind::Long, declared("tinyint")), Some(Limit::Whole(-128..=127)));
        assert_eq!(limit(Kind::Long, Declared { unsigned: true, ..declared("mediumint") }), Some(Limit::Whole(0..=16_777_215)));
        assert_eq!(limit(Kind::Int, declared("bigint")), Some(Limit::Whole(i64::MIN..=i64::MAX)));
        assert_eq!(limit(Kind::Text, Declared { length: 10, ..declared("varchar") }), Some(Limit::Characters(10)));
        assert_eq!(limit(Kind::Text, Declared { length: 65_535, ..declared("text") }), Some(Limit::TextBytes(65_535)));
        assert_eq!(limit(Kind::Fixed, Declared { length: 4, ..declared("binary") }), Some(Limit::Bytes(4..=4)));
        let price = Kind::Decimal { precision: 20, scale: 2 };
        assert_eq!(limit(price, Declared { precision: 10, scale: Some(4), ..declared("decimal") }), Some(Limit::Digits(6)));
    }

    #[test]
    fn a_column_that_would_change_values_does_not_fit() {
        let price = Kind::Decimal { precision: 10, scale: 4 };
        assert_eq!(fit(price, Declared { precision: 10, scale: Some(2), ..declared("decimal") }), None);
        assert_eq!(fit(price, declared("longtext")), None);
        assert_eq!(fit(Kind::Float, Declared { precision: 7, scale: Some(2), ..declared("float") }), None);
        assert_eq!(fit(Kind::Double, declared("float")), None);
        assert_eq!(fit(Kind::Long, declared("double")), None);
        assert_eq!(fit(Kind::Bytes, Declared { length: 4, ..declared("binary") }), None);
        let instant = Kind::Timestamp { unit: Unit::Microsecond, utc: true };
        assert_eq!(fit(instant, Declared { fractions: 3, ..declared("timestamp") }), None);
        let local = Kind::Timestamp { unit: Unit::Millisecond, utc: false };
        assert_eq!(fit(local, Declared { fractions: 6, ..declared("timestamp") }), None);
        assert!(fit(local, Declared { fractions: 3, ..declared("datetime") }).is_some());
    }

    #[test]
    fn keys_share_an_index() {
        let text = |of| sql_type(Kind::Text, Role::Key { of });
        assert_eq!([text(1), text(3), text(4), text(16)], ["varchar(255)", "varchar(254)", "varchar(190)", "varchar(46)"]);
        assert_eq!(sql_type(Kind::Bytes, Role::Key { of: 16 }), "varbinary(184)");
    }

    #[test]
    fn a_decimal_that_is_too_long_is_text() {
        assert_eq!(sql_type(Kind::WideDecimal { precision: 65, scale: 30 }, Role::Plain), "decimal(65,30)");
        assert_eq!(sql_type(Kind::WideDecimal { precision: 66, scale: 0 }, Role::Plain), "varchar(80)");
        let wide = Kind::WideDecimal { precision: 76, scale: 31 };
        assert!(fit(wide, Declared { length: 80, ..declared("varchar") }).is_some());
    }
}
