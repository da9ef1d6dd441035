//! Points in time as text: what [`iso_8601`](super::iso_8601) writes, some times faster, of the years with four digits.

use arrow::array::Array;
use arrow::datatypes::{DataType, TimeUnit};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::timestamps;

/// The values of a column of timestamps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moments<'a> {
    counts: &'a [i64],
    /// How many of the counts are a second, and how many digits that gives the fraction.
    a_second: i64,
    digits: u32,
    zoned: bool,
}

/// One of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    at: DateTime,
    fraction: i64,
    digits: u32,
    zoned: bool,
}

impl<'a> Moments<'a> {
    /// Those of `array`, if it is of timestamps.
    pub(crate) fn of(array: &'a dyn Array) -> Option<Self> {
        let DataType::Timestamp(unit, zone) = array.data_type() else { return None };
        let digits = match unit {
            TimeUnit::Second => return None,
            TimeUnit::Millisecond => 3,
            TimeUnit::Microsecond => 6,
            TimeUnit::Nanosecond => 9,
        };
        Some(Self { counts: timestamps(array), a_second: 10_i64.pow(digits), digits, zoned: zone.is_some() })
    }

    /// That of a row; none of a year that has not four digits, or beyond jiff's calendar, which ends a day before the year 10,000.
    pub(crate) fn at(&self, row: usize) -> Option<Moment> {
        let second = Timestamp::from_second(self.counts[row].div_euclid(self.a_second)).ok()?;
        let at = TimeZone::UTC.to_datetime(second);
        let fraction = self.counts[row].rem_euclid(self.a_second);
        (at.year() >= 0).then_some(Moment { at, fraction, digits: self.digits, zoned: self.zoned })
    }
}

impl Moment {
    /// Appends its text.
    pub(crate) fn write(self, out: &mut Vec<u8>) {
        let Self { at, fraction, digits, zoned } = self;
        let (year, month, day) = (i64::from(at.year()), i64::from(at.month()), i64::from(at.day()));
        let (hour, minute, second) = (i64::from(at.hour()), i64::from(at.minute()), i64::from(at.second()));
        let parts = [(year, 4, b'-'), (month, 2, b'-'), (day, 2, b'T'), (hour, 2, b':'), (minute, 2, b':'), (second, 2, b'.')];
        for (number, digits, end) in parts {
            write_digits(number, digits, out);
            out.push(end);
        }
        write_digits(fraction, digits, out);
        if zoned {
            out.push(b'Z');
        }
    }
}

/// The number, which is not negative, in so many digits.
fn write_digits(number: i64, digits: u32, out: &mut Vec<u8>) {
    for place in (0..digits).rev() {
        out.push(b'0' + (number / 10_i64.pow(place) % 10) as u8);
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, TimestampMicrosecondArray, TimestampMillisecondArray, TimestampNanosecondArray};
    use arrow::util::display::ArrayFormatter;
    use proptest::prelude::*;
    use std::sync::Arc;

    use super::*;
    use crate::table::iso_8601;

    fn same(array: &ArrayRef) -> Result<(), TestCaseError> {
        let (moments, shown) =
            (Moments::of(array).expect("are timestamps"), ArrayFormatter::try_new(array, &iso_8601(array.data_type())).expect("is shown"));
        let mut text = Vec::new();
        if let Some(moment) = moments.at(0) {
            moment.write(&mut text);
            prop_assert_eq!(String::from_utf8(text).expect("is text"), shown.value(0).try_to_string().expect("is in range"));
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn they_are_written_as_arrow_writes_them(count in prop_oneof![any::<i64>(), -70_000_000_000_000_i64..260_000_000_000_000, Just(-1), Just(0)]) {
            same(&(Arc::new(TimestampMillisecondArray::from(vec![count]).with_timezone("+00:00")) as ArrayRef))?;
            same(&(Arc::new(TimestampMillisecondArray::from(vec![count])) as ArrayRef))?;
            same(&(Arc::new(TimestampMicrosecondArray::from(vec![count]).with_timezone("+00:00")) as ArrayRef))?;
            same(&(Arc::new(TimestampNanosecondArray::from(vec![count])) as ArrayRef))?;
        }
    }

    #[test]
    fn what_can_not_be_written_so_is_left_to_others() {
        const FIRST: i64 = -62_167_219_200_000;
        const LAST: i64 = 253_402_207_200_999;
        let edges = TimestampMillisecondArray::from(vec![FIRST - 1, FIRST, LAST, LAST + 1, i64::MIN, i64::MAX]);
        let moments = Moments::of(&edges).expect("are timestamps");
        assert_eq!([0, 1, 2, 3, 4, 5].map(|row| moments.at(row).is_some()), [false, true, true, false, false, false]);
        let mut text = Vec::new();
        [1, 2].into_iter().filter_map(|row| moments.at(row)).for_each(|moment| moment.write(&mut text));
        assert_eq!(text, b"0000-01-01T00:00:00.0009999-12-30T22:00:00.999");
    }
}
