//! Columns as they are in files.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, ListArray, MapArray, PrimitiveArray, StringBuilder, StructArray,
    TimestampMicrosecondArray, new_null_array,
};
use arrow::compute::{CastOptions, cast, cast_with_options};
use arrow::datatypes::{DataType, Field, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType};
use arrow::error::ArrowError;
use arrow::util::display::FormatOptions;

use super::types::physical;
use crate::table::{JsonText, Kind, Unit, write_uuid};

/// The values of a column as [`physical`] has it.
///
/// # Errors
/// Where the type of the file can't hold one of the values.
pub(super) fn convert(field: &Field, array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let text = |array: &ArrayRef| {
        let options = CastOptions { safe: false, format_options: FormatOptions::new().with_display_error(false) };
        cast_with_options(array, &DataType::Utf8, &options)
    };
    match Kind::of(field) {
        Some(Kind::Null) => Ok(new_null_array(&DataType::Utf8, array.len())),
        Some(Kind::Symbol) => cast(array, &DataType::Utf8),
        Some(Kind::Fixed) => cast(array, &DataType::Binary),
        Some(Kind::Uuid) => Ok(uuids(array)),
        Some(Kind::WideDecimal { .. } | Kind::Time(_) | Kind::Duration) => text(array),
        Some(Kind::Timestamp { unit, utc }) => timestamps(array, unit, utc),
        Some(Kind::Nested) => nested(field, array),
        _ => Ok(Arc::clone(array)),
    }
}

fn uuids(array: &ArrayRef) -> ArrayRef {
    let uuids = array.as_fixed_size_binary();
    let (mut builder, mut text) = (StringBuilder::with_capacity(uuids.len(), uuids.len() * 36), Vec::with_capacity(36));
    for row in 0..uuids.len() {
        text.clear();
        if uuids.is_valid(row) {
            write_uuid(uuids.value(row), &mut text);
        }
        builder.append_option(uuids.is_valid(row).then(|| str::from_utf8(&text).unwrap_or_default()));
    }
    Arc::new(builder.finish())
}

fn timestamps(array: &ArrayRef, unit: Unit, utc: bool) -> Result<ArrayRef, ArrowError> {
    let micros = match unit {
        Unit::Microsecond => array.as_primitive::<TimestampMicrosecondType>().clone(),
        Unit::Millisecond => in_micros::<TimestampMillisecondType>(array, unit)?,
        Unit::Nanosecond => in_micros::<TimestampNanosecondType>(array, unit)?,
    };
    Ok(Arc::new(micros.with_timezone_opt(utc.then_some("UTC"))))
}

fn in_micros<T: ArrowPrimitiveType<Native = i64>>(array: &ArrayRef, unit: Unit) -> Result<TimestampMicrosecondArray, ArrowError> {
    let array: &PrimitiveArray<T> = array.as_primitive();
    let outside = || ArrowError::ArithmeticOverflow("a timestamp is outside the range of microseconds".to_owned());
    array.try_unary::<_, TimestampMicrosecondType, _>(|count| unit.micros(count).ok_or_else(outside))
}

fn nested(field: &Field, array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let physical = physical(field).ok_or_else(|| ArrowError::SchemaError(format!("{} has no type in files", field.name())))?;
    Ok(match (array.data_type(), physical.data_type()) {
        (DataType::List(from), DataType::List(to)) => {
            let list = array.as_list::<i32>();
            let items = convert(from, list.values())?;
            Arc::new(ListArray::try_new(Arc::clone(to), list.offsets().clone(), items, list.nulls().cloned())?)
        }
        (DataType::Struct(from), DataType::Struct(to)) => {
            let record = array.as_struct();
            let columns = from.iter().zip(record.columns()).map(|(field, column)| convert(field, column)).collect::<Result<Vec<_>, _>>()?;
            Arc::new(StructArray::try_new_with_length(to.clone(), columns, record.nulls().cloned(), record.len())?)
        }
        (DataType::Map(from, _), DataType::Map(to, sorted)) => {
            let map = array.as_map();
            let entries = convert(from, &(Arc::new(map.entries().clone()) as ArrayRef))?.as_struct().clone();
            let DataType::Struct(names) = to.data_type() else { unreachable!("a map has entries of two fields") };
            let entries = StructArray::try_new(names.clone(), entries.columns().to_vec(), None)?;
            Arc::new(MapArray::try_new(Arc::clone(to), map.offsets().clone(), entries, map.nulls().cloned(), *sorted)?)
        }
        _ => json(field, array)?,
    })
}

fn json(field: &Field, array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let field = Arc::new(field.clone());
    let (mut json, mut builder, mut text) = (JsonText::new(&field, array)?, StringBuilder::new(), Vec::new());
    let nulls = array.logical_nulls();
    for row in 0..array.len() {
        text.clear();
        let is_null = nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
        if !is_null {
            json.write(row, &mut text);
        }
        builder.append_option((!is_null).then(|| str::from_utf8(&text).unwrap_or_default()));
    }
    Ok(Arc::new(builder.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Int32Array, TimestampMillisecondArray, TimestampNanosecondArray};
    use arrow::buffer::OffsetBuffer;
    use arrow::datatypes::TimeUnit;

    fn nanos(utc: bool) -> Field {
        Field::new("at", DataType::Timestamp(TimeUnit::Nanosecond, utc.then(|| "+00:00".into())), true)
    }

    #[test]
    fn time_before_the_epoch_is_cut_towards_the_past() {
        let array: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![Some(-1), None, Some(1_999)]));
        let converted = convert(&nanos(false), &array).expect("fits");
        assert_eq!(converted.as_primitive::<TimestampMicrosecondType>().iter().collect::<Vec<_>>(), [Some(-1), None, Some(1)]);
    }

    #[test]
    fn an_instant_that_no_file_holds_is_an_error() {
        let field = Field::new("at", DataType::Timestamp(TimeUnit::Millisecond, None), true);
        let array: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![i64::MAX]));
        assert!(convert(&field, &array).is_err());
    }

    #[test]
    fn what_is_in_a_list_is_converted_as_well() {
        let item = Field::new("item", DataType::Timestamp(TimeUnit::Millisecond, Some("+00:00".into())), false);
        let values: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![1, 2]).with_timezone("+00:00"));
        let list: ArrayRef = Arc::new(ListArray::new(Arc::new(item), OffsetBuffer::from_lengths([2]), values, None));
        let converted = convert(&Field::new("list", list.data_type().clone(), true), &list).expect("fits");
        let items = converted.as_list::<i32>().values().as_primitive::<TimestampMicrosecondType>();
        assert_eq!((items.values().as_ref(), items.timezone()), (&[1_000, 2_000][..], Some("UTC")));
    }

    #[test]
    fn what_is_plain_is_not_copied() {
        let array: ArrayRef = Arc::new(Int32Array::from(vec![1]));
        let converted = convert(&Field::new("n", DataType::Int32, true), &array).expect("fits");
        assert!(Arc::ptr_eq(&array, &converted));
    }
}
