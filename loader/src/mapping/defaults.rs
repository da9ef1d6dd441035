//! What stands where a record has null.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Scalar, StringArray};
use arrow::compute::kernels::zip::zip;
use arrow::compute::{CastOptions, cast, cast_with_options, is_not_null};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;

/// The type of a column that has a default: an enum takes texts that are not among its symbols, so it becomes text.
pub(super) fn data_type(of: &DataType) -> DataType {
    match of {
        DataType::Dictionary(_, values) => values.as_ref().clone(),
        other => other.clone(),
    }
}

/// A default as an array of one value of that type; none when the text is no such value.
pub(super) fn value(text: &str, of: &DataType) -> Option<ArrayRef> {
    let text: ArrayRef = Arc::new(StringArray::from(vec![text]));
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(&text, &data_type(of), &strict).ok()
}

/// The column with its default in the place of nulls.
pub(super) fn filled(array: &ArrayRef, default: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let array = cast(array, default.data_type())?;
    if array.null_count() == 0 {
        return Ok(array);
    }
    zip(&is_not_null(&array)?, &array, &Scalar::new(Arc::clone(default)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Date32Array, Decimal128Array, DictionaryArray, Int32Array};
    use arrow::datatypes::Int32Type;

    #[test]
    fn a_default_is_a_value_of_its_column() {
        let shown = |text, of| value(text, &of).map(|array| format!("{array:?}"));
        assert_eq!(shown("7", DataType::Int32), Some(format!("{:?}", Int32Array::from(vec![7]))));
        assert_eq!(shown("2024-02-29", DataType::Date32), Some(format!("{:?}", Date32Array::from(vec![19_782]))));
        let price = Decimal128Array::from(vec![150]).with_precision_and_scale(9, 2).expect("fits");
        assert_eq!(shown("1.50", DataType::Decimal128(9, 2)), Some(format!("{price:?}")));
        assert_eq!(shown("seven", DataType::Int32), None);
        assert_eq!(shown("300000000000", DataType::Int32), None);
    }

    #[test]
    fn only_nulls_are_filled_and_an_enum_becomes_text() {
        let symbols: DictionaryArray<Int32Type> = vec![Some("NEW"), None].into_iter().collect();
        let symbols: ArrayRef = Arc::new(symbols);
        let default = value("UNKNOWN", symbols.data_type()).expect("is text");
        let filled = filled(&symbols, &default).expect("fills");
        assert_eq!(filled.as_ref(), &StringArray::from(vec!["NEW", "UNKNOWN"]) as &dyn Array);
    }
}
