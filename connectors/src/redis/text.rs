//! Values as the bytes of a key or a field.

use std::io::Write;

use arrow::array::{Array, AsArray, BinaryArray, BooleanArray, FixedSizeBinaryArray, Float32Array, Float64Array, StringArray};
use arrow::array::{Int32Array, Int64Array};
use arrow::datatypes::{FieldRef, Float32Type, Float64Type, Int32Type, Int64Type};
use arrow::error::ArrowError;
use arrow::util::display::ArrayFormatter;

use crate::table::{JsonText, Kind, iso_8601, write_uuid};

/// The values of one column.
pub(super) enum Texts<'a> {
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
    /// Decimals, dates, times and durations.
    Shown(ArrayFormatter<'a>),
    Json(JsonText<'a>),
}

impl<'a> Texts<'a> {
    /// For the values of `array`, which is the column of `field`.
    pub(super) fn new(field: &'a FieldRef, array: &'a dyn Array) -> Result<Self, ArrowError> {
        Ok(match Kind::of(field) {
            None | Some(Kind::Null) => Self::Null,
            Some(Kind::Boolean) => Self::Boolean(array.as_boolean()),
            Some(Kind::Int) => Self::Int(array.as_primitive::<Int32Type>()),
            Some(Kind::Long) => Self::Long(array.as_primitive::<Int64Type>()),
            Some(Kind::Float) => Self::Float(array.as_primitive::<Float32Type>()),
            Some(Kind::Double) => Self::Double(array.as_primitive::<Float64Type>()),
            Some(Kind::Text) => Self::Text(array.as_string()),
            Some(Kind::Symbol) => {
                let symbols = array.as_dictionary::<Int32Type>();
                Self::Symbol(symbols.keys(), symbols.values().as_string())
            }
            Some(Kind::Bytes) => Self::Bytes(array.as_binary()),
            Some(Kind::Fixed) => Self::Fixed(array.as_fixed_size_binary()),
            Some(Kind::Uuid) => Self::Uuid(array.as_fixed_size_binary()),
            Some(Kind::Nested) => Self::Json(JsonText::new(field, array)?),
            Some(_) => Self::Shown(ArrayFormatter::try_new(array, &iso_8601(array.data_type()))?),
        })
    }

    /// Appends the value of `row`, which is not null.
    pub(super) fn write(&mut self, row: usize, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        match self {
            Self::Null => {}
            Self::Boolean(array) => out.extend_from_slice(if array.value(row) { b"true" } else { b"false" }),
            Self::Int(array) => write!(out, "{}", array.value(row))?,
            Self::Long(array) => write!(out, "{}", array.value(row))?,
            // The form with an exponent where the digits would be many.
            Self::Float(array) => write!(out, "{:?}", array.value(row))?,
            Self::Double(array) => write!(out, "{:?}", array.value(row))?,
            Self::Text(array) => out.extend_from_slice(array.value(row).as_bytes()),
            Self::Symbol(keys, symbols) => out.extend_from_slice(symbols.value(keys.value(row) as usize).as_bytes()),
            Self::Bytes(array) => out.extend_from_slice(array.value(row)),
            Self::Fixed(array) => out.extend_from_slice(array.value(row)),
            Self::Uuid(array) => write_uuid(array.value(row), out),
            Self::Shown(shown) => write!(out, "{}", shown.value(row))?,
            Self::Json(json) => json.write(row, out),
        }
        Ok(())
    }
}
