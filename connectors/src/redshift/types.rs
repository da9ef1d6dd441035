//! Which Redshift type holds which kind of column.
//!
//! | Avro | a table that Millrace makes | existing columns that fit as well |
//! |---|---|---|
//! | boolean | `boolean` | |
//! | int | `integer` | `bigint` |
//! | long | `bigint` | |
//! | float | `real` | `double precision` |
//! | double | `double precision` | |
//! | string, enum | `varchar(65535)` | `varchar` of any length |
//! | bytes, fixed | `varbyte(65535)` | |
//! | uuid | `varchar(36)` | a longer `varchar` |
//! | decimal of up to 38 digits | `numeric(p,s)` | one that holds every value |
//! | date | `date` | |
//! | time-* | `time` | |
//! | timestamp-* | `timestamptz` | |
//! | local-timestamp-* | `timestamp` | |
//! | duration | `varchar(128)` | a longer `varchar` |
//! | array, map, record | `super` | |
//!
//! Redshift counts the length of text in bytes, and takes at most 65,535 of them.

use crate::table::Kind;

/// The longest text, in bytes.
const LONGEST: u32 = 65_535;

/// The type that a new table gets for a kind of column.
pub(super) fn sql_type(kind: Kind) -> String {
    match kind {
        Kind::Boolean => "boolean".into(),
        Kind::Int => "integer".into(),
        Kind::Long => "bigint".into(),
        Kind::Float => "real".into(),
        Kind::Double => "double precision".into(),
        Kind::Null | Kind::Text | Kind::Symbol | Kind::WideDecimal { .. } => format!("varchar({LONGEST})"),
        Kind::Bytes | Kind::Fixed => format!("varbyte({LONGEST})"),
        Kind::Uuid => "varchar(36)".into(),
        Kind::Decimal { precision, scale } => format!("numeric({precision},{scale})"),
        Kind::Date => "date".into(),
        Kind::Time(_) => "time".into(),
        Kind::Timestamp { utc: true, .. } => "timestamptz".into(),
        Kind::Timestamp { utc: false, .. } => "timestamp".into(),
        Kind::Duration => "varchar(128)".into(),
        Kind::Nested => "super".into(),
    }
}

/// How many bytes a text may have in a column, where that is bounded.
pub(super) type Longest = Option<u32>;

/// Whether a column of a declared type, as `format_type` shows it, takes a kind of values, and how long they may be.
pub(super) fn fit(kind: Kind, declared: &str) -> Option<Longest> {
    let (name, parameters) = parts(declared);
    let plain = |fits: bool| fits.then_some(None);
    match kind {
        Kind::Boolean => plain(name == "boolean"),
        Kind::Int => plain(matches!(name, "integer" | "bigint")),
        Kind::Long => plain(name == "bigint"),
        Kind::Float => plain(matches!(name, "real" | "double precision")),
        Kind::Double => plain(name == "double precision"),
        Kind::Null => plain(true),
        Kind::Text | Kind::Symbol | Kind::WideDecimal { .. } => text(name, &parameters, 1),
        Kind::Uuid => text(name, &parameters, 36),
        Kind::Duration => text(name, &parameters, 128),
        Kind::Bytes | Kind::Fixed => matches!(name, "varbyte" | "binary varying").then(|| Some(length(&parameters))),
        Kind::Decimal { precision, scale } => plain(name == "numeric" && holds(&parameters, precision.into(), scale.into())),
        Kind::Date => plain(name == "date"),
        Kind::Time(_) => plain(matches!(name, "time" | "time without time zone")),
        Kind::Timestamp { utc: true, .. } => plain(name == "timestamp with time zone"),
        Kind::Timestamp { utc: false, .. } => plain(name == "timestamp without time zone"),
        Kind::Nested => plain(name == "super"),
    }
}

/// A type's name and the numbers in its parentheses.
fn parts(declared: &str) -> (&str, Vec<i64>) {
    match declared.split_once('(') {
        Some((name, rest)) => {
            (name.trim(), rest.trim_end_matches(')').split(',').filter_map(|number| number.trim().parse().ok()).collect())
        }
        None => (declared, Vec::new()),
    }
}

fn text(name: &str, parameters: &[i64], least: u32) -> Option<Longest> {
    let longest = length(parameters);
    (name == "character varying" && longest >= least).then_some(Some(longest))
}

fn length(parameters: &[i64]) -> u32 {
    parameters.first().and_then(|&length| u32::try_from(length).ok()).unwrap_or(LONGEST)
}

/// Whether each number of `precision` digits, `scale` of them behind the point, has its place.
fn holds(parameters: &[i64], precision: i64, scale: i64) -> bool {
    let (wide, behind) = match *parameters {
        [wide, behind] => (wide, behind),
        [wide] => (wide, 0),
        _ => (18, 0),
    };
    behind >= scale && wide - behind >= precision - scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_that_would_change_values_does_not_fit() {
        let price = Kind::Decimal { precision: 9, scale: 2 };
        assert_eq!(fit(price, "numeric(12,4)"), Some(None));
        assert_eq!(fit(price, "numeric(9,1)"), None);
        assert_eq!(fit(price, "numeric(8,2)"), None);
        assert_eq!(fit(Kind::Long, "integer"), None);
        assert_eq!(fit(Kind::Double, "real"), None);
        assert_eq!(fit(Kind::Uuid, "character varying(35)"), None);
    }

    #[test]
    fn what_a_new_table_gets_fits() {
        for (kind, shown) in
            [(Kind::Text, "character varying(65535)"), (Kind::Nested, "super"), (Kind::Date, "date"), (Kind::Boolean, "boolean")]
        {
            assert!(fit(kind, shown).is_some(), "{shown} of {}", sql_type(kind));
        }
        assert_eq!(fit(Kind::Text, "character varying(10)"), Some(Some(10)));
    }
}
