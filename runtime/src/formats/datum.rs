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

impl Datum<'_> {
    /// The same, without what it borrows.
    pub(super) fn into_owned(self) -> Datum<'static> {
        match self {
            Self::Null => Datum::Null,
            Self::Boolean(value) => Datum::Boolean(value),
            Self::Integer(value) => Datum::Integer(value),
            Self::Float(value) => Datum::Float(value),
            Self::Text(text) => Datum::Text(Cow::Owned(text.into_owned())),
            Self::Bytes(bytes) => Datum::Bytes(Cow::Owned(bytes.into_owned())),
            Self::Decimal(value) => Datum::Decimal(value),
            Self::Symbol(index) => Datum::Symbol(index),
            Self::Array(items) => Datum::Array(items.into_iter().map(Datum::into_owned).collect()),
            Self::Map(entries) => {
                Datum::Map(entries.into_iter().map(|(name, value)| (Cow::Owned(name.into_owned()), value.into_owned())).collect())
            }
            Self::Record(row) => Datum::Record(row.into_iter().map(Datum::into_owned).collect()),
        }
    }
}
