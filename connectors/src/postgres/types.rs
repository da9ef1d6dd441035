//! Which PostgreSQL type holds which kind of column, and in which binary form a value goes into it.
//!
//! | Avro | a table that Millrace makes | existing columns that fit as well |
//! |---|---|---|
//! | boolean | `boolean` | |
//! | int | `integer` | `smallint`, `bigint`, `numeric`, `double precision` |
//! | long | `bigint` | `smallint`, `integer`, `numeric` |
//! | float | `real` | `double precision` |
//! | double | `double precision` | |
//! | string, enum | `text` | `varchar`, `char`, `citext`, enumerated types, `json`, `jsonb` |
//! | bytes, fixed | `bytea` | |
//! | uuid | `uuid` | `text`, `varchar` |
//! | decimal | `numeric(p,s)` | `numeric` of the same scale or a larger one |
//! | date | `date` | |
//! | time-millis, time-micros | `time` | |
//! | timestamp-* | `timestamptz` | |
//! | local-timestamp-* | `timestamp` | |
//! | duration | `interval` | |
//! | array, map, record, union of several types | `jsonb` | `json` |
//!
//! A narrower column takes the values that fit it; the records of the others are rejected. Nanoseconds are cut to microseconds.

use crate::table::{Kind, Unit};

/// The SQL type that a new table gets for a kind of column.
pub(super) fn sql_type(kind: Kind) -> String {
    match kind {
        Kind::Boolean => "boolean".into(),
        Kind::Int => "integer".into(),
        Kind::Long => "bigint".into(),
        Kind::Float => "real".into(),
        Kind::Double => "double precision".into(),
        Kind::Null | Kind::Text | Kind::Symbol => "text".into(),
        Kind::Bytes | Kind::Fixed => "bytea".into(),
        Kind::Uuid => "uuid".into(),
        Kind::Decimal { precision, scale } | Kind::WideDecimal { precision, scale } => format!("numeric({precision},{scale})"),
        Kind::Date => "date".into(),
        Kind::Time(_) => "time".into(),
        Kind::Timestamp { utc: true, .. } => "timestamptz".into(),
        Kind::Timestamp { utc: false, .. } => "timestamp".into(),
        Kind::Duration => "interval".into(),
        Kind::Nested => "jsonb".into(),
    }
}

/// A column's type as the catalogue has it: that of the domain's base where it is of a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Declared<'a> {
    /// `typname`.
    pub(super) name: &'a str,
    /// `typtype`: `e` for an enumerated type.
    pub(super) class: &'a str,
    /// `atttypmod`: what the parentheses say; -1 without them.
    pub(super) modifier: i32,
}

/// The binary form of a column's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Nothing but nulls.
    Null,
    Bool,
    Int2,
    Int4,
    Int8,
    /// A number without fraction as `numeric`.
    WholeNumeric,
    Float4,
    Float8,
    /// An integer of 32 bits as `double precision`.
    WholeFloat8,
    Text,
    /// Text that the server reads as `jsonb`.
    TextAsJsonb,
    Bytes,
    UuidAsText,
    Numeric {
        scale: i8,
    },
    Date,
    Time(Unit),
    Timestamp(Unit),
    Interval,
    Json,
    Jsonb,
}

/// What a column takes beyond its form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limit {
    /// All that the form can say.
    None,
    /// Whole numbers of so many bytes.
    Bytes(u8),
    /// So many digits before the point.
    Digits(u8),
    /// So many characters.
    Characters(u32),
}

/// The form in which a kind of column goes into a column of the target; none when it doesn't fit.
pub(super) fn fit(kind: Kind, declared: Declared<'_>) -> Option<(Form, Limit)> {
    let plain = |form| Some((form, Limit::None));
    match (kind, declared.name) {
        (Kind::Null, _) => plain(Form::Null),
        (Kind::Boolean, "bool") => plain(Form::Bool),
        (Kind::Int | Kind::Long, name) => fit_whole(kind, name, declared.modifier),
        (Kind::Float, "float4") => plain(Form::Float4),
        (Kind::Float | Kind::Double, "float8") => plain(Form::Float8),
        (Kind::Text | Kind::Symbol, name) => fit_text(name, declared),
        (Kind::Bytes | Kind::Fixed, "bytea") | (Kind::Uuid, "uuid") => plain(Form::Bytes),
        (Kind::Uuid, "text" | "varchar") => Some((Form::UuidAsText, characters(declared.modifier))),
        (Kind::Decimal { scale, .. } | Kind::WideDecimal { scale, .. }, "numeric") => fit_decimal(scale, declared.modifier),
        (Kind::Date, "date") => plain(Form::Date),
        (Kind::Duration, "interval") => plain(Form::Interval),
        (Kind::Nested, "jsonb") => plain(Form::Jsonb),
        (Kind::Nested, "json") => plain(Form::Json),
        _ => fit_time(kind, declared),
    }
}

fn fit_whole(kind: Kind, name: &str, modifier: i32) -> Option<(Form, Limit)> {
    Some(match name {
        "int2" => (Form::Int2, Limit::Bytes(2)),
        "int4" => (Form::Int4, Limit::Bytes(4)),
        "int8" => (Form::Int8, Limit::None),
        "numeric" => (Form::WholeNumeric, digits(modifier).map_or(Some(Limit::None), |(precision, scale)| whole_digits(precision, scale))?),
        "float8" if kind == Kind::Int => (Form::WholeFloat8, Limit::None),
        _ => return None,
    })
}

fn fit_text(name: &str, declared: Declared<'_>) -> Option<(Form, Limit)> {
    Some(match name {
        "text" | "citext" | "json" => (Form::Text, Limit::None),
        "varchar" | "bpchar" => (Form::Text, characters(declared.modifier)),
        "jsonb" => (Form::TextAsJsonb, Limit::None),
        _ if declared.class == "e" => (Form::Text, Limit::None),
        _ => return None,
    })
}

fn fit_decimal(scale: i8, modifier: i32) -> Option<(Form, Limit)> {
    let limit = match digits(modifier) {
        None => Limit::None,
        Some((_, declared)) if declared < i32::from(scale) => return None,
        Some((precision, declared)) => whole_digits(precision, declared)?,
    };
    Some((Form::Numeric { scale }, limit))
}

/// A declared precision of fractions of a second (`timestamp(0)`) must not round what the column brings.
fn fit_time(kind: Kind, declared: Declared<'_>) -> Option<(Form, Limit)> {
    let (form, unit) = match (kind, declared.name) {
        (Kind::Time(unit), "time") => (Form::Time(unit), unit),
        (Kind::Timestamp { unit, utc: true }, "timestamptz") | (Kind::Timestamp { unit, utc: false }, "timestamp") => {
            (Form::Timestamp(unit), unit)
        }
        _ => return None,
    };
    let needed = if unit == Unit::Millisecond { 3 } else { 6 };
    (declared.modifier < 0 || declared.modifier >= needed).then_some((form, Limit::None))
}

/// Precision and scale of a declared `numeric(p,s)`: `atttypmod` holds them above a header of 4 bytes, the scale in 11 signed bits.
pub(super) fn digits(modifier: i32) -> Option<(i32, i32)> {
    let packed = modifier.checked_sub(4).filter(|_| modifier >= 4)?;
    Some(((packed >> 16) & 0xffff, ((packed & 0x7ff) ^ 1024) - 1024))
}

fn whole_digits(precision: i32, scale: i32) -> Option<Limit> {
    u8::try_from(precision - scale).ok().filter(|_| scale >= 0).map(Limit::Digits)
}

/// The length of a declared `varchar(n)` or `char(n)`, which `atttypmod` holds above a header of 4 bytes.
fn characters(modifier: i32) -> Limit {
    match modifier {
        4.. => Limit::Characters((modifier - 4) as u32),
        _ => Limit::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(name: &'static str, modifier: i32) -> Declared<'static> {
        Declared { name, class: "b", modifier }
    }

    const fn numeric(precision: i32, scale: i32) -> i32 {
        ((precision << 16) | (scale & 0x7ff)) + 4
    }

    #[test]
    fn a_narrower_column_takes_what_fits_it() {
        assert_eq!(fit(Kind::Long, declared("int2", -1)), Some((Form::Int2, Limit::Bytes(2))));
        assert_eq!(fit(Kind::Text, declared("varchar", 4 + 10)), Some((Form::Text, Limit::Characters(10))));
        let price = Kind::Decimal { precision: 20, scale: 2 };
        assert_eq!(fit(price, declared("numeric", numeric(10, 4))), Some((Form::Numeric { scale: 2 }, Limit::Digits(6))));
    }

    #[test]
    fn a_column_that_would_change_values_does_not_fit() {
        assert_eq!(fit(Kind::Decimal { precision: 10, scale: 4 }, declared("numeric", numeric(10, 2))), None);
        assert_eq!(fit(Kind::Double, declared("float4", -1)), None);
        assert_eq!(fit(Kind::Long, declared("float8", -1)), None);
        assert_eq!(fit(Kind::Timestamp { unit: Unit::Microsecond, utc: true }, declared("timestamptz", 3)), None);
        assert_eq!(fit(Kind::Timestamp { unit: Unit::Millisecond, utc: true }, declared("timestamp", -1)), None);
    }

    #[test]
    fn an_enumerated_type_takes_text() {
        assert_eq!(fit(Kind::Symbol, Declared { name: "mood", class: "e", modifier: -1 }), Some((Form::Text, Limit::None)));
        assert_eq!(fit(Kind::Symbol, declared("point", -1)), None);
    }
}
