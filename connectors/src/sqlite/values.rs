//! Rows as the arguments of a statement.

use std::borrow::Cow;
use std::ops::Range;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, FieldRef, Float32Type, Float64Type};
use millrace_model::Code;
use sqlx::Arguments;
use sqlx::error::BoxDynError;
use sqlx::sqlite::SqliteArguments;

use crate::table::{Refused, Value, Values};

/// The values of the given rows, row by row, in the order of the batch's columns, which hold what `fields` say.
pub(super) fn arguments(fields: &[FieldRef], batch: &RecordBatch, rows: Range<usize>) -> Result<SqliteArguments, BoxDynError> {
    let columns = fields.iter().zip(batch.columns());
    let mut columns = columns.map(|(field, array)| Values::in_iso_8601(field, array)).collect::<Result<Vec<_>, _>>()?;
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
    refused.undated(field.name(), array);
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
