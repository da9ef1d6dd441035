//! Rows as the arguments of a statement.

use std::borrow::Cow;
use std::ops::Range;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, FieldRef, Float32Type, Float64Type, TimeUnit};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use millrace_model::Code;
use sqlx::Arguments;
use sqlx::error::BoxDynError;
use sqlx::sqlite::SqliteArguments;

use crate::table::{Refused, Value, Values};

/// The values of the given rows, row by row, in the order of the batch's columns, which hold what `fields` say.
pub(super) fn arguments(fields: &[FieldRef], batch: &RecordBatch, rows: Range<usize>) -> Result<SqliteArguments, BoxDynError> {
    let columns = fields.iter().zip(batch.columns());
    let mut columns = columns.map(|(field, array)| Values::new(field, array, &format(array.data_type()))).collect::<Result<Vec<_>, _>>()?;
    let mut arguments = SqliteArguments::default();
    arguments.reserve(rows.len() * columns.len(), 0);
    for row in rows {
        for values in &mut columns {
            add(values.of(row)?, &mut arguments)?;
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

fn add(value: Value<'_>, to: &mut SqliteArguments) -> Result<(), BoxDynError> {
    match value {
        Value::Null => to.add(None::<i64>),
        Value::Boolean(value) => to.add(value),
        Value::Int(value) => to.add(value),
        Value::Long(value) => to.add(value),
        Value::Float(value) => to.add(f64::from(value)),
        Value::Double(value) => to.add(value),
        Value::Text(Cow::Borrowed(text)) => to.add(text),
        Value::Text(Cow::Owned(text)) => to.add(text),
        Value::Bytes(bytes) => to.add(bytes),
    }
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
