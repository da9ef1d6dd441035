//! What the catalogue shows that the target will not take, looked for in columns before anything is sent.

use std::ops::RangeInclusive;

use arrow::array::{Array, AsArray, Decimal128Array, Decimal256Array, StringArray};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Decimal256Type, FieldRef, Int32Type, Int64Type, Time32MillisecondType, Time64MicrosecondType,
    i256,
};
use arrow::error::ArrowError;
use millrace_model::Code;

use super::encode::{EPOCH_DAYS, EPOCH_MICROS, timestamps};
use super::target::Loaded;
use super::types::{Form, Limit};
use crate::table::{Refused, Unit};

/// Days from 1970-01-01 that `date` has: from 4714-11-24 BC to 5874897-12-31.
const DATES: RangeInclusive<i64> = -2_451_545 + EPOCH_DAYS..=2_145_031_948 + EPOCH_DAYS;
/// Microseconds from 1970-01-01 that `timestamp` has: from 4714-11-24 BC on; its end, in 294276, is past what 64 bits count.
const TIMESTAMPS: RangeInclusive<i64> = -211_813_488_000_000_000 + EPOCH_MICROS..=i64::MAX;
const DAY_MILLIS: i64 = 86_400_000;

/// Finds the rows of a column that do not fit.
pub(super) fn check(loaded: &Loaded, field: &FieldRef, array: &dyn Array, refused: &mut Refused) -> Result<(), ArrowError> {
    if loaded.required {
        refused.nulls(&loaded.name, array);
    }
    match loaded.limit {
        Limit::Bytes(bytes) => check_whole(loaded, array, bytes, refused),
        Limit::Digits(digits) => check_digits(loaded, array, digits, refused),
        Limit::Characters(most) => check_length(loaded, array, most as usize, refused),
        Limit::None => {}
    }
    match loaded.form {
        Form::Text | Form::TextAsJsonb | Form::Json | Form::Jsonb => refused.nul_characters(field, array),
        Form::Date | Form::Time(_) | Form::Timestamp(_) => {
            check_time(loaded, array, refused);
            Ok(())
        }
        _ => Ok(()),
    }
}

fn valid_rows(array: &dyn Array) -> impl Iterator<Item = usize> {
    (0..array.len()).filter(|&row| array.is_valid(row))
}

fn out_of_range(refused: &mut Refused, row: usize, name: &str) {
    refused.row(row, Code::ValueOutOfRange, || format!("column {name:?} is outside the range of the target's type"));
}

fn whole(array: &dyn Array) -> Box<dyn Fn(usize) -> i64 + '_> {
    if *array.data_type() == DataType::Int32 {
        let values = array.as_primitive::<Int32Type>().values();
        return Box::new(|row| values[row].into());
    }
    let values = array.as_primitive::<Int64Type>().values();
    Box::new(|row| values[row])
}

fn check_whole(loaded: &Loaded, array: &dyn Array, bytes: u8, refused: &mut Refused) {
    let value = whole(array);
    let most = (1_i64 << (8 * bytes - 1)) - 1;
    for row in valid_rows(array).filter(|&row| !(-most - 1..=most).contains(&value(row))) {
        out_of_range(refused, row, &loaded.name);
    }
}

fn check_digits(loaded: &Loaded, array: &dyn Array, digits: u8, refused: &mut Refused) {
    let fits: Box<dyn Fn(usize) -> bool + '_> = match (array.data_type(), loaded.form) {
        (DataType::Decimal128(..), Form::Numeric { scale }) => fits_decimal(array.as_primitive::<Decimal128Type>(), digits, scale),
        (DataType::Decimal256(..), Form::Numeric { scale }) => fits_wide_decimal(array.as_primitive::<Decimal256Type>(), digits, scale),
        _ => {
            let value = whole(array);
            let bound = 10_i128.checked_pow(digits.into());
            Box::new(move |row| bound.is_none_or(|bound| i128::from(value(row)).abs() < bound))
        }
    };
    for row in valid_rows(array).filter(|&row| !fits(row)) {
        out_of_range(refused, row, &loaded.name);
    }
}

fn places(digits: u8, scale: i8) -> u32 {
    u32::from(digits) + u32::from(scale.max(0).unsigned_abs())
}

fn fits_decimal(array: &Decimal128Array, digits: u8, scale: i8) -> Box<dyn Fn(usize) -> bool + '_> {
    let bound = 10_u128.checked_pow(places(digits, scale));
    Box::new(move |row| bound.is_none_or(|bound| array.value(row).unsigned_abs() < bound))
}

fn fits_wide_decimal(array: &Decimal256Array, digits: u8, scale: i8) -> Box<dyn Fn(usize) -> bool + '_> {
    let bound = i256::from_i128(10).checked_pow(places(digits, scale));
    Box::new(move |row| bound.is_none_or(|bound| array.value(row) < bound && array.value(row) > bound.wrapping_neg()))
}

fn check_length(loaded: &Loaded, array: &dyn Array, most: usize, refused: &mut Refused) {
    let too_long = |text: &str| text.len() > most && text.chars().count() > most;
    let is_too_long: Box<dyn Fn(usize) -> bool + '_> = match array.data_type() {
        DataType::Utf8 => {
            let texts: &StringArray = array.as_string();
            Box::new(move |row| too_long(texts.value(row)))
        }
        DataType::Dictionary(..) => {
            let symbols = array.as_dictionary::<Int32Type>();
            let texts: &StringArray = symbols.values().as_string();
            Box::new(move |row| too_long(texts.value(symbols.keys().value(row) as usize)))
        }
        // A UUID's text.
        _ => Box::new(move |_| most < 36),
    };
    for row in valid_rows(array).filter(|&row| is_too_long(row)) {
        refused.row(row, Code::ValueTooLong, || format!("column {:?} is longer than the target's {most} characters", loaded.name));
    }
}

fn check_time(loaded: &Loaded, array: &dyn Array, refused: &mut Refused) {
    let fits: Box<dyn Fn(usize) -> bool + '_> = match loaded.form {
        Form::Date => {
            let days = array.as_primitive::<Date32Type>().values();
            Box::new(|row| DATES.contains(&i64::from(days[row])))
        }
        Form::Time(Unit::Millisecond) => {
            let millis = array.as_primitive::<Time32MillisecondType>().values();
            Box::new(|row| (0..DAY_MILLIS).contains(&i64::from(millis[row])))
        }
        Form::Time(_) => {
            let micros = array.as_primitive::<Time64MicrosecondType>().values();
            Box::new(|row| (0..DAY_MILLIS * 1_000).contains(&micros[row]))
        }
        Form::Timestamp(unit) => {
            let counts = timestamps(array);
            Box::new(move |row| unit.micros(counts[row]).is_some_and(|micros| TIMESTAMPS.contains(&micros)))
        }
        _ => return,
    };
    for row in valid_rows(array).filter(|&row| !fits(row)) {
        out_of_range(refused, row, &loaded.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Date32Array, Int64Array, RecordBatch, TimestampMicrosecondArray};
    use arrow::datatypes::Field;
    use millrace_model::{Batch, Origin, Record, RecordsBuilder};
    use std::sync::Arc;

    fn refused(form: Form, limit: Limit, array: ArrayRef) -> Vec<(u32, Code)> {
        let mut records = RecordsBuilder::new("t".into(), array.len());
        for offset in 0..array.len() as i64 {
            records.push(&Record { topic: "t", partition: 0, offset, timestamp: 0, key: None, value: None, headers: &[] });
        }
        let field = Arc::new(Field::new("c", array.data_type().clone(), true));
        let mut refused = Refused::default();
        check(&Loaded { name: "c".into(), form, limit, required: false }, &field, &array, &mut refused).expect("checks");
        let columns = RecordBatch::try_from_iter_with_nullable([("c", array, true)]).expect("one column");
        let (_, rejections) = refused.sort_out(&Batch::new(columns, Origin::all(Arc::new(records.finish())))).expect("sorts");
        rejections.iter().map(|one| (one.record, one.code)).collect()
    }

    #[test]
    fn a_narrower_integer_takes_its_own_range() {
        let values: ArrayRef = Arc::new(Int64Array::from(vec![Some(32_767), Some(32_768), None, Some(-32_768), Some(-32_769)]));
        let out = Code::ValueOutOfRange;
        assert_eq!(refused(Form::Int2, Limit::Bytes(2), values), [(1, out), (4, out)]);
    }

    #[test]
    fn a_length_is_one_of_characters() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["ééé", "éééé", "abc"]));
        assert_eq!(refused(Form::Text, Limit::Characters(3), texts), [(1, Code::ValueTooLong)]);
    }

    #[test]
    fn digits_are_those_before_the_point() {
        let values: ArrayRef = Arc::new(Decimal128Array::from(vec![99_999, 100_000, -100_000]));
        let out = Code::ValueOutOfRange;
        assert_eq!(refused(Form::Numeric { scale: 2 }, Limit::Digits(3), values), [(1, out), (2, out)]);
        let wide: ArrayRef = Arc::new(Decimal256Array::from(vec![i256::from_i128(99_999), i256::from_i128(-100_000), i256::MIN]));
        assert_eq!(refused(Form::Numeric { scale: 2 }, Limit::Digits(3), wide), [(1, out), (2, out)]);
    }

    #[test]
    fn times_that_the_calendar_of_the_target_lacks_are_refused() {
        let out = Code::ValueOutOfRange;
        let dates: ArrayRef = Arc::new(Date32Array::from(vec![0, i32::MIN, i32::MAX]));
        assert_eq!(refused(Form::Date, Limit::None, dates), [(1, out), (2, out)]);
        let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![i64::MIN, 0, i64::MAX]));
        assert_eq!(refused(Form::Timestamp(Unit::Microsecond), Limit::None, times), [(0, out)]);
    }
}
