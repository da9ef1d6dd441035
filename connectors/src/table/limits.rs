//! Values that are outside what a column of the target takes, looked for before anything is sent.

use std::ops::RangeInclusive;

use arrow::array::{Array, AsArray, Decimal128Array, Decimal256Array, StringArray};
use arrow::datatypes::{
    DataType, Date32Type, Int32Type, Int64Type, Time32MillisecondType, Time64MicrosecondType, TimeUnit, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, i256,
};
use millrace_model::Code;

use super::{Refused, Unit};

const DAY_MILLIS: i64 = 86_400_000;

/// A column of a batch, and the rows of it that are refused.
pub(crate) struct Limits<'a> {
    name: &'a str,
    array: &'a dyn Array,
    refused: &'a mut Refused,
}

impl<'a> Limits<'a> {
    /// Of the column called `name`.
    pub(crate) fn of(name: &'a str, array: &'a dyn Array, refused: &'a mut Refused) -> Self {
        Self { name, array, refused }
    }

    /// Whole numbers within a range.
    pub(crate) fn whole(self, range: &RangeInclusive<i64>) {
        let value = whole(self.array);
        self.in_range(|row| range.contains(&value(row)));
    }

    /// Numbers with so many digits before the point at most.
    pub(crate) fn digits(self, digits: u8) {
        let array = self.array;
        let fits: Box<dyn Fn(usize) -> bool + '_> = match *array.data_type() {
            DataType::Decimal128(_, scale) => fits_decimal(array.as_primitive(), digits, scale),
            DataType::Decimal256(_, scale) => fits_wide_decimal(array.as_primitive(), digits, scale),
            _ => {
                let value = whole(array);
                let bound = 10_i128.checked_pow(digits.into());
                Box::new(move |row| bound.is_none_or(|bound| i128::from(value(row)).abs() < bound))
            }
        };
        self.in_range(fits);
    }

    /// Texts of so many characters at most.
    pub(crate) fn characters(self, most: usize) {
        self.texts(most, "characters", |text| text.len() > most && text.chars().count() > most);
    }

    /// Texts of so many bytes of UTF-8 at most.
    pub(crate) fn bytes_of_text(self, most: usize) {
        self.texts(most, "bytes", |text| text.len() > most);
    }

    /// Bytes, or fixed ones, whose length is within a range.
    pub(crate) fn bytes(self, range: &RangeInclusive<usize>) {
        let Self { name, array, refused } = self;
        let length: Box<dyn Fn(usize) -> usize + '_> = match array.data_type() {
            DataType::Binary => {
                let bytes = array.as_binary::<i32>();
                Box::new(move |row| bytes.value_length(row) as usize)
            }
            &DataType::FixedSizeBinary(length) => Box::new(move |_| length as usize),
            _ => return,
        };
        for row in valid_rows(array).filter(|&row| !range.contains(&length(row))) {
            refused.row(row, Code::ValueTooLong, || match (range.start(), range.end()) {
                (least, most) if least == most => format!("column {name:?} does not have the target's {most} bytes"),
                (_, most) => format!("column {name:?} is longer than the target's {most} bytes"),
            });
        }
    }

    /// Dates within a range of days since 1970-01-01.
    pub(crate) fn dates(self, range: &RangeInclusive<i64>) {
        let days = self.array.as_primitive::<Date32Type>().values();
        self.in_range(|row| range.contains(&i64::from(days[row])));
    }

    /// Times of a day.
    pub(crate) fn times(self, unit: Unit) {
        let array = self.array;
        match unit {
            Unit::Millisecond => {
                let millis = array.as_primitive::<Time32MillisecondType>().values();
                self.in_range(|row| (0..DAY_MILLIS).contains(&i64::from(millis[row])));
            }
            Unit::Microsecond | Unit::Nanosecond => {
                let micros = array.as_primitive::<Time64MicrosecondType>().values();
                self.in_range(|row| (0..DAY_MILLIS * 1_000).contains(&micros[row]));
            }
        }
    }

    /// Timestamps within a range of microseconds since 1970.
    pub(crate) fn timestamps(self, unit: Unit, range: &RangeInclusive<i64>) {
        let counts = timestamps(self.array);
        self.in_range(|row| unit.micros(counts[row]).is_some_and(|micros| range.contains(&micros)));
    }

    fn in_range(self, fits: impl Fn(usize) -> bool) {
        let Self { name, array, refused } = self;
        for row in valid_rows(array).filter(|&row| !fits(row)) {
            refused.row(row, Code::ValueOutOfRange, || format!("column {name:?} is outside the range of the target's type"));
        }
    }

    fn texts(self, most: usize, unit: &str, too_long: impl Fn(&str) -> bool) {
        let Self { name, array, refused } = self;
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
            refused.row(row, Code::ValueTooLong, || format!("column {name:?} is longer than the target's {most} {unit}"));
        }
    }
}

/// The counts of a column of timestamps, in its unit.
pub(crate) fn timestamps(array: &dyn Array) -> &[i64] {
    match array.data_type() {
        DataType::Timestamp(TimeUnit::Millisecond, _) => array.as_primitive::<TimestampMillisecondType>().values(),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => array.as_primitive::<TimestampNanosecondType>().values(),
        _ => array.as_primitive::<TimestampMicrosecondType>().values(),
    }
}

fn valid_rows(array: &dyn Array) -> impl Iterator<Item = usize> {
    (0..array.len()).filter(|&row| array.is_valid(row))
}

fn whole(array: &dyn Array) -> Box<dyn Fn(usize) -> i64 + '_> {
    if *array.data_type() == DataType::Int32 {
        let values = array.as_primitive::<Int32Type>().values();
        return Box::new(|row| values[row].into());
    }
    let values = array.as_primitive::<Int64Type>().values();
    Box::new(|row| values[row])
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

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, BinaryArray, Int64Array, RecordBatch};
    use millrace_model::{Batch, Origin, Record, RecordsBuilder};
    use std::sync::Arc;

    fn refused(array: ArrayRef, check: impl FnOnce(Limits<'_>)) -> Vec<(u32, Code)> {
        let mut records = RecordsBuilder::new("t".into(), array.len());
        for offset in 0..array.len() as i64 {
            records.push(&Record { topic: "t", partition: 0, offset, timestamp: 0, key: None, value: None, headers: &[] });
        }
        let mut refused = Refused::default();
        check(Limits::of("c", &array, &mut refused));
        let columns = RecordBatch::try_from_iter_with_nullable([("c", array, true)]).expect("one column");
        let (_, rejections) = refused.sort_out(&Batch::new(columns, Origin::all(Arc::new(records.finish())))).expect("sorts");
        rejections.iter().map(|one| (one.record, one.code)).collect()
    }

    #[test]
    fn a_narrower_integer_takes_its_own_range() {
        let values: ArrayRef = Arc::new(Int64Array::from(vec![Some(32_767), Some(32_768), None, Some(-32_768), Some(-32_769)]));
        let out = Code::ValueOutOfRange;
        assert_eq!(refused(values, |limits| limits.whole(&(-32_768..=32_767))), [(1, out), (4, out)]);
    }

    #[test]
    fn a_length_is_one_of_characters_or_of_bytes() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["ééé", "éééé", "abc"]));
        assert_eq!(refused(Arc::clone(&texts), |limits| limits.characters(3)), [(1, Code::ValueTooLong)]);
        assert_eq!(refused(texts, |limits| limits.bytes_of_text(6)), [(1, Code::ValueTooLong)]);
        let bytes: ArrayRef = Arc::new(BinaryArray::from(vec![&b"abc"[..], b"ab", b"abcd"]));
        assert_eq!(refused(bytes, |limits| limits.bytes(&(0..=3))), [(2, Code::ValueTooLong)]);
    }

    #[test]
    fn digits_are_those_before_the_point() {
        let decimals = Decimal128Array::from(vec![99_999, 100_000, -100_000]).with_precision_and_scale(9, 2).expect("fits");
        let out = Code::ValueOutOfRange;
        assert_eq!(refused(Arc::new(decimals), |limits| limits.digits(3)), [(1, out), (2, out)]);
        let wide = Decimal256Array::from(vec![i256::from_i128(99_999), i256::from_i128(-100_000), i256::MIN]);
        let wide = wide.with_precision_and_scale(76, 2).expect("fits");
        assert_eq!(refused(Arc::new(wide), |limits| limits.digits(3)), [(1, out), (2, out)]);
    }
}
