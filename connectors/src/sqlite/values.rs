//! Which values SQLite keeps.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Field, Float32Type, Float64Type};
use millrace_model::Code;

use crate::table::Refused;

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
