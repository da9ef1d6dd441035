//! A value that has been checked against its schema, on its way into a column.

use std::borrow::Cow;

/// A checked value. Which variant a type has is fixed: see [`super::shape::Kind`].
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Datum<'a> {
    Null,
    Boolean(bool),
    /// int, long, date (days), time and timestamp (in their unit).
    Integer(i64),
    /// float and double.
    Float(f64),
    Text(Cow<'a, str>),
    /// bytes, fixed and uuid.
    Bytes(Cow<'a, [u8]>),
    /// The unscaled value.
    Decimal(i128),
    /// The index of an enum's symbol.
    Symbol(usize),
    Array(Vec<Datum<'a>>),
    Map(Vec<(Cow<'a, str>, Datum<'a>)>),
    /// A value for each field in the schema's order.
    Record(Vec<Datum<'a>>),
}
