//! Which casts fail for no value.

use arrow::datatypes::DataType;

/// Whether every value of `from` has a counterpart in `to`.
pub(super) fn is_total(from: &DataType, to: &DataType) -> bool {
    use DataType::{Boolean, Date32, Float32, Float64, Int8, Int16, Int32, Int64, LargeUtf8, Null, UInt8, UInt16, UInt32, Utf8, Utf8View};
    let is_text = |data_type: &DataType| matches!(data_type, Utf8 | LargeUtf8 | Utf8View);
    match (from, to) {
        _ if from == to => true,
        (Null, _) => true,
        (from, to) if is_text(to) => is_text(from) || is_printable(from),
        (from, Float64) => from.is_integer() || matches!(from, Float32 | Boolean),
        (from, Float32) => from.is_integer(),
        (Int16 | UInt16, Int32 | Int64) => !matches!((from, to), (UInt16, Int16)),
        (Int8 | UInt8, Int16 | Int32 | Int64) | (Int32 | UInt32 | Boolean, Int64) | (Date32, DataType::Date64) => true,
        _ => false,
    }
}

fn is_printable(from: &DataType) -> bool {
    from.is_numeric() || from.is_temporal() || matches!(from, DataType::Boolean)
}
