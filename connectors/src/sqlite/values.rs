//! Rows as the arguments of a statement.

use std::ops::Range;

use arrow::array::{
    Array, AsArray, BinaryArray, BooleanArray, FixedSizeBinaryArray, Float32Array, Float64Array, Int32Array, Int64Array, RecordBatch,
    StringArray,
};
use arrow::datatypes::{DataType, Field, FieldRef, Float32Type, Float64Type, Int32Type, Int64Type, TimeUnit};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use millrace_model::Code;
use sqlx::Arguments;
use sqlx::error::BoxDynError;
use sqlx::sqlite::SqliteArguments;

use crate::table::{JsonText, Kind, Refused, write_uuid};

/// The values of the given rows, row by row, in the order of the batch's columns, which hold what `fields` say.
pub(super) fn arguments(fields: &[FieldRef], batch: &RecordBatch, rows: Range<usize>) -> Result<SqliteArguments, BoxDynError> {
    let columns = fields.iter().zip(batch.columns());
    let mut columns = columns.map(|(field, array)| Values::new(field, array)).collect::<Result<Vec<_>, _>>()?;
    let mut arguments = SqliteArguments::default();
    arguments.reserve(rows.len() * columns.len(), 0);
    for row in rows {
        for (values, array) in columns.iter_mut().zip(batch.columns()) {
            if array.is_null(row) {
                arguments.add(None::<i64>)?;
            } else {
                values.add(row, &mut arguments)?;
            }
        }
    }
    Ok(arguments)
}

/// Finds the rows with values that SQLite would not keep: NaN, and times that have no text.
pub(super) fn check(field: &Field, array: &dyn Array, refused: &mut Refused) {
    let valid = (0..array.len()).filter(|&row| array.is_valid(row));
    match array.data_type() {
        DataType::Float32 => {
            let floats = array.as_primitive::<Float32Type>().values();
            valid.filter(|&row| floats[row].is_nan()).for_each(|row| refuse_nan(field, row, refused));
        }
        DataType::Float64 => {
            let floats = array.as_primitive::<Float64Type>().values();
            valid.filter(|&row| floats[row].is_nan()).for_each(|row| refuse_nan(field, row, refused));
        }
        data_type if data_type.is_temporal() => {
            // The calendar of the library that writes them has fewer years than the numbers.
            let Ok(shown) = ArrayFormatter::try_new(array, &format(data_type)) else { return };
            let mut text = String::new();
            for row in valid {
                text.clear();
                if shown.value(row).write(&mut text).is_err() {
                    refused.row(row, Code::ValueOutOfRange, || {
                        format!("column {:?} is outside the range of dates that have a text", field.name())
                    });
                }
            }
        }
        _ => {}
    }
}

fn refuse_nan(field: &Field, row: usize, refused: &mut Refused) {
    refused.row(row, Code::ValueForbidden, || format!("column {:?} is NaN, which SQLite would store as null", field.name()));
}

/// The values of one column.
enum Values<'a> {
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
    /// Decimals, dates, times and durations, as text.
    Shown(ArrayFormatter<'a>),
    Json(JsonText<'a>),
}

impl<'a> Values<'a> {
    fn new(field: &'a FieldRef, array: &'a dyn Array) -> Result<Self, ArrowError> {
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
            Some(_) => Self::Shown(ArrayFormatter::try_new(array, &format(array.data_type()))?),
        })
    }

    fn add(&mut self, row: usize, to: &mut SqliteArguments) -> Result<(), BoxDynError> {
        match self {
            Self::Null => to.add(None::<i64>),
            Self::Boolean(array) => to.add(array.value(row)),
            Self::Int(array) => to.add(array.value(row)),
            Self::Long(array) => to.add(array.value(row)),
            Self::Float(array) => to.add(f64::from(array.value(row))),
            Self::Double(array) => to.add(array.value(row)),
            Self::Text(array) => to.add(array.value(row)),
            Self::Symbol(keys, symbols) => to.add(symbols.value(keys.value(row) as usize)),
            Self::Bytes(array) => to.add(array.value(row)),
            Self::Fixed(array) => to.add(array.value(row)),
            Self::Uuid(array) => to.add(text(|out| write_uuid(array.value(row), out))?),
            Self::Shown(shown) => to.add(shown.value(row).try_to_string()?),
            Self::Json(json) => to.add(text(|out| json.write(row, out))?),
        }
    }
}

fn text(write: impl FnOnce(&mut Vec<u8>)) -> Result<String, BoxDynError> {
    let mut out = Vec::new();
    write(&mut out);
    Ok(String::from_utf8(out)?)
}

/// ISO 8601, as many digits as the unit has.
fn format(data_type: &DataType) -> FormatOptions<'static> {
    let options = FormatOptions::new().with_display_error(false);
    match data_type {
        DataType::Timestamp(TimeUnit::Millisecond, Some(_)) => options.with_timestamp_tz_format(Some("%Y-%m-%dT%H:%M:%S%.3fZ")),
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => options.with_timestamp_tz_format(Some("%Y-%m-%dT%H:%M:%S%.6fZ")),
        DataType::Timestamp(_, Some(_)) => options.with_timestamp_tz_format(Some("%Y-%m-%dT%H:%M:%S%.9fZ")),
        DataType::Timestamp(TimeUnit::Millisecond, None) => options.with_timestamp_format(Some("%Y-%m-%dT%H:%M:%S%.3f")),
        DataType::Timestamp(TimeUnit::Microsecond, None) => options.with_timestamp_format(Some("%Y-%m-%dT%H:%M:%S%.6f")),
        DataType::Timestamp(_, None) => options.with_timestamp_format(Some("%Y-%m-%dT%H:%M:%S%.9f")),
        DataType::Time32(_) => options.with_time_format(Some("%H:%M:%S%.3f")),
        DataType::Time64(_) => options.with_time_format(Some("%H:%M:%S%.6f")),
        _ => options,
    }
}
