//! Values in PostgreSQL's binary form, as cells (each type's `send` function in `src/backend/utils/adt`).

use std::borrow::Cow;

use millrace_runtime::formats::{Cell, CellType};

use super::encode::{EPOCH_DAYS, EPOCH_MICROS};
use super::numeric;

/// The types whose binary form is read here; values of other types are asked for as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scalar {
    Bool,
    Int2,
    Int4,
    Int8,
    Oid,
    Float4,
    Float8,
    Numeric,
    Text,
    Bytes,
    Uuid,
    Date,
    Time,
    Timestamp,
    Timestamptz,
    Json,
    Jsonb,
}

/// A type that is read here, or an array of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Binary {
    pub(super) scalar: Scalar,
    pub(super) is_array: bool,
}

impl Binary {
    /// The type that sqlx calls so.
    pub(super) fn named(name: &str) -> Option<Self> {
        let (item, is_array) = name.strip_suffix("[]").map_or((name, false), |item| (item, true));
        let scalar = match item {
            "BOOL" => Scalar::Bool,
            "INT2" => Scalar::Int2,
            "INT4" => Scalar::Int4,
            "INT8" => Scalar::Int8,
            "OID" => Scalar::Oid,
            "FLOAT4" => Scalar::Float4,
            "FLOAT8" => Scalar::Float8,
            "NUMERIC" => Scalar::Numeric,
            "TEXT" | "VARCHAR" | "CHAR" | "NAME" => Scalar::Text,
            "BYTEA" => Scalar::Bytes,
            "UUID" => Scalar::Uuid,
            "DATE" => Scalar::Date,
            "TIME" => Scalar::Time,
            "TIMESTAMP" => Scalar::Timestamp,
            "TIMESTAMPTZ" => Scalar::Timestamptz,
            "JSON" => Scalar::Json,
            "JSONB" => Scalar::Jsonb,
            _ => return None,
        };
        Some(Self { scalar, is_array })
    }

    /// What its cells are.
    pub(super) fn cells(self) -> CellType {
        let item = match self.scalar {
            Scalar::Bool => CellType::Boolean,
            Scalar::Int2 | Scalar::Int4 | Scalar::Int8 | Scalar::Oid => CellType::Integer,
            Scalar::Float4 | Scalar::Float8 => CellType::Float,
            Scalar::Numeric => CellType::Number,
            Scalar::Text => CellType::Text,
            Scalar::Bytes => CellType::Bytes,
            Scalar::Uuid => CellType::Uuid,
            Scalar::Date => CellType::Date,
            Scalar::Time => CellType::Time,
            Scalar::Timestamp => CellType::LocalTimestamp,
            Scalar::Timestamptz => CellType::Timestamp,
            Scalar::Json | Scalar::Jsonb => CellType::Json,
        };
        if self.is_array { CellType::List(Box::new(item)) } else { item }
    }

    /// A value; none when the bytes are not of this type.
    pub(super) fn cell(self, bytes: &[u8]) -> Option<Cell<'static>> {
        if self.is_array { array(self.scalar, bytes) } else { scalar(self.scalar, bytes) }
    }
}

fn scalar(of: Scalar, bytes: &[u8]) -> Option<Cell<'static>> {
    Some(match of {
        Scalar::Bool => Cell::Boolean(u8::from_be_bytes(bytes.try_into().ok()?) != 0),
        Scalar::Int2 => Cell::Integer(i16::from_be_bytes(bytes.try_into().ok()?).into()),
        Scalar::Int4 => Cell::Integer(i32::from_be_bytes(bytes.try_into().ok()?).into()),
        Scalar::Int8 => Cell::Integer(long(bytes)?),
        Scalar::Oid => Cell::Integer(u32::from_be_bytes(bytes.try_into().ok()?).into()),
        Scalar::Float4 => Cell::Float(f32::from_be_bytes(bytes.try_into().ok()?).into()),
        Scalar::Float8 => Cell::Float(f64::from_be_bytes(bytes.try_into().ok()?)),
        Scalar::Numeric => match numeric::read(bytes)? {
            Ok(number) => Cell::Number(Cow::Owned(number)),
            Err(special) => Cell::Invalid(Cow::Borrowed(special)),
        },
        Scalar::Text => Cell::Text(text(bytes)?),
        Scalar::Bytes => Cell::Bytes(Cow::Owned(bytes.to_vec())),
        Scalar::Uuid => Cell::Uuid(bytes.try_into().ok()?),
        Scalar::Date => match i32::from_be_bytes(bytes.try_into().ok()?) {
            days @ (i32::MIN | i32::MAX) => infinity(days < 0),
            days => days.checked_add(EPOCH_DAYS as i32).map_or_else(|| infinity(false), Cell::Date),
        },
        Scalar::Time => Cell::Time(long(bytes)?),
        Scalar::Timestamp => time(bytes, Cell::LocalTimestamp)?,
        Scalar::Timestamptz => time(bytes, Cell::Timestamp)?,
        Scalar::Json => Cell::Json(text(bytes)?),
        // A version stands before the text.
        Scalar::Jsonb => Cell::Json(text(bytes.get(1..)?)?),
    })
}

fn long(bytes: &[u8]) -> Option<i64> {
    bytes.try_into().ok().map(i64::from_be_bytes)
}

fn text(bytes: &[u8]) -> Option<Cow<'static, str>> {
    String::from_utf8(bytes.to_vec()).ok().map(Cow::Owned)
}

fn time(bytes: &[u8], cell: impl FnOnce(i64) -> Cell<'static>) -> Option<Cell<'static>> {
    Some(match long(bytes)? {
        micros @ (i64::MIN | i64::MAX) => infinity(micros < 0),
        micros => micros.checked_add(EPOCH_MICROS).map_or_else(|| infinity(false), cell),
    })
}

fn infinity(negative: bool) -> Cell<'static> {
    Cell::Invalid(Cow::Borrowed(if negative { "-infinity" } else { "infinity" }))
}

/// Dimensions, flags and the items' type, then length and lower bound of each dimension, then the items, each with its length (`array_send`).
fn array(of: Scalar, bytes: &[u8]) -> Option<Cell<'static>> {
    let mut bytes = bytes;
    let dimensions = int(&mut bytes)?;
    take(&mut bytes, 8)?;
    match dimensions {
        0 => return Some(Cell::List(Vec::new())),
        1 => {}
        _ => return Some(Cell::Invalid(Cow::Borrowed("an array of several dimensions"))),
    }
    let count = int(&mut bytes)?;
    take(&mut bytes, 4)?;
    let item = |_| match int(&mut bytes)? {
        -1 => Some(Cell::Null),
        length => scalar(of, take(&mut bytes, usize::try_from(length).ok()?)?),
    };
    (0..count).map(item).collect::<Option<_>>().map(Cell::List)
}

fn int(bytes: &mut &[u8]) -> Option<i32> {
    take(bytes, 4)?.try_into().ok().map(i32::from_be_bytes)
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, bytes: &[u8]) -> Option<Cell<'static>> {
        Binary::named(name).expect("a known type").cell(bytes)
    }

    #[test]
    fn numbers_and_times_are_those_of_the_server() {
        assert_eq!(read("INT2", &[0xff, 0xff]), Some(Cell::Integer(-1)));
        assert_eq!(read("DATE", &0_i32.to_be_bytes()), Some(Cell::Date(10_957)));
        assert_eq!(read("TIMESTAMPTZ", &1_i64.to_be_bytes()), Some(Cell::Timestamp(946_684_800_000_001)));
        assert_eq!(read("TIMESTAMP", &i64::MAX.to_be_bytes()), Some(Cell::Invalid("infinity".into())));
        assert_eq!(read("JSONB", b"\x01{}"), Some(Cell::Json("{}".into())));
    }

    #[test]
    fn an_array_has_its_nulls() {
        let header = [1_i32, 1, 23, 2, 1].map(i32::to_be_bytes).concat();
        let items = [4_i32, 7, -1].map(i32::to_be_bytes).concat();
        assert_eq!(read("INT4[]", &[header, items].concat()), Some(Cell::List(vec![Cell::Integer(7), Cell::Null])));
        assert_eq!(read("INT4[]", &[0; 12]), Some(Cell::List(vec![])));
    }

    #[test]
    fn bytes_that_are_not_of_the_type_give_nothing() {
        assert_eq!(read("INT4", &[0, 1]), None);
        assert_eq!(read("TEXT", &[0xff]), None);
        assert_eq!(read("INT4[]", &[0, 0, 0, 1]), None);
        assert_eq!(Binary::named("INET"), None);
    }
}
