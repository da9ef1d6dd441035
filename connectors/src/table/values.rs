//! Values of columns, one at a time: for statements with parameters, or as text.

use std::borrow::Cow;
use std::fmt;
use std::io::Write as _;

use arrow::array::{
    Array, AsArray, BinaryArray, BooleanArray, FixedSizeBinaryArray, Float32Array, Float64Array, Int32Array, Int64Array, StringArray,
};
use arrow::datatypes::{FieldRef, Float32Type, Float64Type, Int32Type, Int64Type};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use sqlx::error::BoxDynError;

use super::{JsonText, Kind, Moments, iso_8601, write_uuid};

/// One value of a row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value<'a> {
    Null,
    Boolean(bool),
    Int(i32),
    Long(i64),
    Float(f32),
    Double(f64),
    Text(Cow<'a, str>),
    Bytes(&'a [u8]),
}

/// The values of one column. Decimals, dates, times and durations are text, UUIDs have hyphens, nested values are JSON.
pub(crate) struct Values<'a> {
    array: &'a dyn Array,
    read: Read<'a>,
}

enum Read<'a> {
    Null,
    Boolean(&'a BooleanArray),
    Int(&'a Int32Array),
    Long(&'a Int64Array),
    Float(&'a Float32Array),
    Double(&'a Float64Array),
    Text(&'a StringArray),
    Symbol(&'a Int32Array, &'a StringArray),
    Bytes(&'a BinaryArray),
    Fixed(&'a FixedSizeBinaryArray),
    Uuid(&'a FixedSizeBinaryArray),
    Shown(ArrayFormatter<'a>),
    /// Points in time, and what shows those that are far away.
    Moments(Moments<'a>, ArrayFormatter<'a>),
    Json(JsonText<'a>),
}

impl<'a> Values<'a> {
    /// Those of `array`, which is the column of `field`; `shown` says how dates and times are written.
    pub(crate) fn new(field: &'a FieldRef, array: &'a dyn Array, shown: &FormatOptions<'a>) -> Result<Self, ArrowError> {
        let read = match Kind::of(field) {
            None | Some(Kind::Null) => Read::Null,
            Some(Kind::Boolean) => Read::Boolean(array.as_boolean()),
            Some(Kind::Int) => Read::Int(array.as_primitive::<Int32Type>()),
            Some(Kind::Long) => Read::Long(array.as_primitive::<Int64Type>()),
            Some(Kind::Float) => Read::Float(array.as_primitive::<Float32Type>()),
            Some(Kind::Double) => Read::Double(array.as_primitive::<Float64Type>()),
            Some(Kind::Text) => Read::Text(array.as_string()),
            Some(Kind::Symbol) => {
                let symbols = array.as_dictionary::<Int32Type>();
                Read::Symbol(symbols.keys(), symbols.values().as_string())
            }
            Some(Kind::Bytes) => Read::Bytes(array.as_binary()),
            Some(Kind::Fixed) => Read::Fixed(array.as_fixed_size_binary()),
            Some(Kind::Uuid) => Read::Uuid(array.as_fixed_size_binary()),
            Some(Kind::Nested) => Read::Json(JsonText::new(field, array)?),
            Some(_) => Read::Shown(ArrayFormatter::try_new(array, shown)?),
        };
        Ok(Self { array, read })
    }

    /// The same with dates and times in ISO 8601.
    pub(crate) fn in_iso_8601(field: &'a FieldRef, array: &'a dyn Array) -> Result<Self, ArrowError> {
        let values = Self::new(field, array, &iso_8601(array.data_type()))?;
        Ok(match (values.read, Moments::of(array)) {
            (Read::Shown(shown), Some(moments)) => Self { array, read: Read::Moments(moments, shown) },
            (read, _) => Self { array, read },
        })
    }

    /// Those of a column of UUIDs, as their 16 bytes.
    pub(crate) fn uuid_bytes(array: &'a dyn Array) -> Self {
        Self { array, read: Read::Fixed(array.as_fixed_size_binary()) }
    }

    /// That of a row.
    pub(crate) fn of(&mut self, row: usize) -> Result<Value<'a>, BoxDynError> {
        if self.array.is_null(row) {
            return Ok(Value::Null);
        }
        Ok(match &mut self.read {
            Read::Null => Value::Null,
            Read::Boolean(array) => Value::Boolean(array.value(row)),
            Read::Int(array) => Value::Int(array.value(row)),
            Read::Long(array) => Value::Long(array.value(row)),
            Read::Float(array) => Value::Float(array.value(row)),
            Read::Double(array) => Value::Double(array.value(row)),
            Read::Text(array) => Value::Text(Cow::Borrowed(array.value(row))),
            Read::Symbol(keys, symbols) => Value::Text(Cow::Borrowed(symbols.value(keys.value(row) as usize))),
            Read::Bytes(array) => Value::Bytes(array.value(row)),
            Read::Fixed(array) => Value::Bytes(array.value(row)),
            Read::Uuid(array) => text(|out| write_uuid(array.value(row), out))?,
            Read::Moments(moments, shown) => match moments.at(row) {
                Some(moment) => text(|out| moment.write(out))?,
                None => Value::Text(Cow::Owned(shown.value(row).try_to_string()?)),
            },
            Read::Shown(shown) => Value::Text(Cow::Owned(shown.value(row).try_to_string()?)),
            Read::Json(json) => text(|out| json.write(row, out))?,
        })
    }

    /// Appends that of a row, which is not null: as text, but bytes as they are.
    pub(crate) fn write(&mut self, row: usize, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        match &mut self.read {
            Read::Null => {}
            Read::Boolean(array) => out.extend_from_slice(if array.value(row) { b"true" } else { b"false" }),
            Read::Int(array) => write!(out, "{}", array.value(row))?,
            Read::Long(array) => write!(out, "{}", array.value(row))?,
            // The form with an exponent where the digits would be many.
            Read::Float(array) => write!(out, "{:?}", array.value(row))?,
            Read::Double(array) => write!(out, "{:?}", array.value(row))?,
            Read::Text(array) => out.extend_from_slice(array.value(row).as_bytes()),
            Read::Symbol(keys, symbols) => out.extend_from_slice(symbols.value(keys.value(row) as usize).as_bytes()),
            Read::Bytes(array) => out.extend_from_slice(array.value(row)),
            Read::Fixed(array) => out.extend_from_slice(array.value(row)),
            Read::Uuid(array) => write_uuid(array.value(row), out),
            Read::Moments(moments, shown) => match moments.at(row) {
                Some(moment) => moment.write(out),
                None => shown.value(row).write(&mut Buffer(out))?,
            },
            Read::Shown(shown) => shown.value(row).write(&mut Buffer(out))?,
            Read::Json(json) => json.write(row, out),
        }
        Ok(())
    }
}

/// A buffer of bytes that text is written to.
struct Buffer<'a>(&'a mut Vec<u8>);

impl fmt::Write for Buffer<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

fn text(write: impl FnOnce(&mut Vec<u8>)) -> Result<Value<'static>, BoxDynError> {
    // Most are no longer, so that the buffer seldom grows.
    let mut out = Vec::with_capacity(128);
    write(&mut out);
    Ok(Value::Text(Cow::Owned(String::from_utf8(out)?)))
}
