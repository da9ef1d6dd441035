//! What the catalogue shows that the target will not take, looked for in columns before anything is sent.

use std::ops::RangeInclusive;

use arrow::array::Array;
use arrow::datatypes::FieldRef;
use arrow::error::ArrowError;

use super::encode::{EPOCH_DAYS, EPOCH_MICROS};
use super::target::Loaded;
use super::types::{Form, Limit};
use crate::table::{Limits, Refused};

/// Days from 1970-01-01 that `date` has: from 4714-11-24 BC to 5874897-12-31.
const DATES: RangeInclusive<i64> = -2_451_545 + EPOCH_DAYS..=2_145_031_948 + EPOCH_DAYS;
/// Microseconds from 1970-01-01 that `timestamp` has: from 4714-11-24 BC on; its end, in 294276, is past what 64 bits count.
const TIMESTAMPS: RangeInclusive<i64> = -211_813_488_000_000_000 + EPOCH_MICROS..=i64::MAX;

/// Finds the rows of a column that do not fit.
pub(super) fn check(loaded: &Loaded, field: &FieldRef, array: &dyn Array, refused: &mut Refused) -> Result<(), ArrowError> {
    if loaded.required {
        refused.nulls(&loaded.name, array);
    }
    match loaded.limit {
        Limit::Bytes(bytes) => limits(loaded, array, refused).whole(&range(bytes)),
        Limit::Digits(digits) => limits(loaded, array, refused).digits(digits),
        Limit::Characters(most) => limits(loaded, array, refused).characters(most as usize),
        Limit::None => {}
    }
    match loaded.form {
        Form::Text | Form::TextAsJsonb | Form::Json | Form::Jsonb => return refused.nul_characters(field, array),
        Form::Date => limits(loaded, array, refused).dates(&DATES),
        Form::Time(unit) => limits(loaded, array, refused).times(unit),
        Form::Timestamp(unit) => limits(loaded, array, refused).timestamps(unit, &TIMESTAMPS),
        _ => {}
    }
    Ok(())
}

fn limits<'a>(loaded: &'a Loaded, array: &'a dyn Array, refused: &'a mut Refused) -> Limits<'a> {
    Limits::of(&loaded.name, array, refused)
}

/// The whole numbers of so many bytes.
fn range(bytes: u8) -> RangeInclusive<i64> {
    let most = (1_i64 << (8 * bytes - 1)) - 1;
    -most - 1..=most
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Unit;
    use arrow::array::{ArrayRef, Date32Array, Int64Array, RecordBatch, TimestampMicrosecondArray};
    use arrow::datatypes::Field;
    use millrace_model::{Batch, Code, Origin, Record, RecordsBuilder};
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
    fn times_that_the_calendar_of_the_target_lacks_are_refused() {
        let out = Code::ValueOutOfRange;
        let dates: ArrayRef = Arc::new(Date32Array::from(vec![0, i32::MIN, i32::MAX]));
        assert_eq!(refused(Form::Date, Limit::None, dates), [(1, out), (2, out)]);
        let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![i64::MIN, 0, i64::MAX]));
        assert_eq!(refused(Form::Timestamp(Unit::Microsecond), Limit::None, times), [(0, out)]);
    }
}
