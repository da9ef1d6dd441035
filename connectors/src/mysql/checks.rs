//! What the catalogue shows that the target will not take, looked for in columns before anything is sent.

use std::ops::RangeInclusive;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Float32Type, Float64Type};
use millrace_model::Code;

use super::target::Loaded;
use super::types::{Form, Limit};
use crate::table::{Limits, Refused};

/// Days from 1970-01-01 that `date` has: from 0001-01-01 to 9999-12-31.
const DATES: RangeInclusive<i64> = -719_162..=2_932_896;
const DAY_MICROS: i64 = 86_400_000_000;
/// The microseconds of those days, which `datetime` has.
const DATETIMES: RangeInclusive<i64> = *DATES.start() * DAY_MICROS..=(*DATES.end() + 1) * DAY_MICROS - 1;
/// What `timestamp` has: from 1970-01-01 00:00:01 to 2038-01-19 03:14:07.999999.
const TIMESTAMPS: RangeInclusive<i64> = 1_000_000..=i32::MAX as i64 * 1_000_000 + 999_999;

/// Finds the rows of a column that do not fit.
pub(super) fn check(loaded: &Loaded, array: &dyn Array, refused: &mut Refused) {
    if loaded.required {
        refused.nulls(&loaded.name, array);
    }
    match &loaded.limit {
        Limit::Whole(range) => limits(loaded, array, refused).whole(range),
        Limit::Digits(digits) => limits(loaded, array, refused).digits(*digits),
        Limit::Characters(most) => limits(loaded, array, refused).characters(*most),
        Limit::TextBytes(most) => limits(loaded, array, refused).bytes_of_text(*most),
        Limit::Bytes(range) => limits(loaded, array, refused).bytes(range),
        Limit::None => {}
    }
    match loaded.form {
        Form::Float => floats(&loaded.name, array, refused),
        Form::Date => limits(loaded, array, refused).dates(&DATES),
        Form::Time(unit) => limits(loaded, array, refused).times(unit),
        Form::Timestamp { unit, narrow } => limits(loaded, array, refused).timestamps(unit, if narrow { &TIMESTAMPS } else { &DATETIMES }),
        Form::Plain | Form::UuidBytes | Form::Decimal { .. } => {}
    }
}

fn limits<'a>(loaded: &'a Loaded, array: &'a dyn Array, refused: &'a mut Refused) -> Limits<'a> {
    Limits::of(&loaded.name, array, refused)
}

fn floats(name: &str, array: &dyn Array, refused: &mut Refused) {
    let is_finite: Box<dyn Fn(usize) -> bool + '_> = if *array.data_type() == DataType::Float32 {
        let floats = array.as_primitive::<Float32Type>().values();
        Box::new(|row| floats[row].is_finite())
    } else {
        let floats = array.as_primitive::<Float64Type>().values();
        Box::new(|row| floats[row].is_finite())
    };
    for row in (0..array.len()).filter(|&row| array.is_valid(row) && !is_finite(row)) {
        refused.row(row, Code::ValueForbidden, || format!("column {name:?} is NaN or infinite, which MySQL has no value for"));
    }
}
