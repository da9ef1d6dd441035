//! Rows as CSV, as `COPY … CSV NULL AS '\N'` reads it
//! (<https://docs.aws.amazon.com/redshift/latest/dg/copy-parameters-data-format.html>).

use std::ops::Range;

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::{DataType, FieldRef, TimeUnit};
use arrow::error::ArrowError;
use arrow::util::display::FormatOptions;
use millrace_model::Code;

use super::types::Longest;
use crate::table::{Kind, Refused, Values};

/// What stands for null. A text that is this is refused: nothing tells the two apart.
pub(super) const NULL: &str = "\\N";

/// What writes the values of one column.
struct Column<'a> {
    array: &'a dyn Array,
    values: Values<'a>,
    /// Bytes are written as hexadecimal digits.
    is_bytes: bool,
}

impl<'a> Column<'a> {
    fn new(field: &'a FieldRef, array: &'a dyn Array) -> Result<Self, ArrowError> {
        let is_bytes = matches!(Kind::of(field), Some(Kind::Bytes | Kind::Fixed));
        Ok(Self { array, values: Values::new(field, array, &format(array.data_type()))?, is_bytes })
    }

    /// Appends the value of a row; `text` is a buffer for it.
    fn write(&mut self, row: usize, text: &mut Vec<u8>, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        if self.array.is_null(row) {
            out.extend_from_slice(NULL.as_bytes());
            return Ok(());
        }
        text.clear();
        self.values.write(row, text)?;
        if self.is_bytes {
            write_hex(text, out);
        } else {
            write_quoted(text, out);
        }
        Ok(())
    }
}

/// Appends rows of a batch: what `marks` says of each row, then the columns in the order of `fields`. One that the batch does not have is null.
pub(super) fn write<'a>(
    batch: &'a RecordBatch,
    fields: &'a [FieldRef],
    rows: Range<usize>,
    marks: impl Fn(usize) -> String,
    out: &mut Vec<u8>,
) -> Result<(), ArrowError> {
    let column = |field: &'a FieldRef| batch.column_by_name(field.name()).map(|array| Column::new(field, array)).transpose();
    let mut columns = fields.iter().map(column).collect::<Result<Vec<_>, _>>()?;
    let mut text = Vec::new();
    for row in rows {
        out.extend_from_slice(marks(row).as_bytes());
        for column in &mut columns {
            out.push(b',');
            match column {
                Some(column) => column.write(row, &mut text, out)?,
                None => out.extend_from_slice(NULL.as_bytes()),
            }
        }
        out.push(b'\n');
    }
    Ok(())
}

fn write_hex(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    out.extend(bytes.iter().flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]));
    out.push(b'"');
}

fn write_quoted(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for part in text.split_inclusive(|&byte| byte == b'"') {
        out.extend_from_slice(part);
        if part.ends_with(b"\"") {
            out.push(b'"');
        }
    }
    out.push(b'"');
}

/// Finds the rows whose text is longer than its column, or is what stands for null.
pub(super) fn check(field: &FieldRef, array: &dyn Array, longest: Longest, refused: &mut Refused) -> Result<(), ArrowError> {
    if longest.is_none() && !array.data_type().is_temporal() {
        return Ok(());
    }
    let Column { mut values, is_bytes, .. } = Column::new(field, array)?;
    let mut text = Vec::new();
    for row in (0..array.len()).filter(|&row| array.is_valid(row)) {
        text.clear();
        // The calendar of the library that writes times has fewer years than the numbers.
        if values.write(row, &mut text).is_err() {
            refused.row(row, Code::ValueOutOfRange, || format!("column {:?} is outside the range of the target's type", field.name()));
            continue;
        }
        if longest.is_some_and(|longest| text.len() > longest as usize) {
            let longest = longest.unwrap_or_default();
            refused.row(row, Code::ValueTooLong, || format!("column {:?} is longer than the target's {longest} bytes", field.name()));
        } else if !is_bytes && text == NULL.as_bytes() {
            refused
                .row(row, Code::ValueForbidden, || format!("column {:?} is the text \\N, which Redshift would read as null", field.name()));
        }
    }
    Ok(())
}

/// ISO 8601.
fn format(data_type: &DataType) -> FormatOptions<'static> {
    let options = FormatOptions::new().with_display_error(false);
    match data_type {
        DataType::Timestamp(TimeUnit::Millisecond, Some(_)) => options.with_timestamp_tz_format(Some("%Y-%m-%d %H:%M:%S%.3f+00")),
        DataType::Timestamp(_, Some(_)) => options.with_timestamp_tz_format(Some("%Y-%m-%d %H:%M:%S%.6f+00")),
        DataType::Timestamp(TimeUnit::Millisecond, None) => options.with_timestamp_format(Some("%Y-%m-%d %H:%M:%S%.3f")),
        DataType::Timestamp(_, None) => options.with_timestamp_format(Some("%Y-%m-%d %H:%M:%S%.6f")),
        DataType::Time32(_) => options.with_time_format(Some("%H:%M:%S%.3f")),
        DataType::Time64(_) => options.with_time_format(Some("%H:%M:%S%.6f")),
        _ => options,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Int64Array, StringArray};
    use std::sync::Arc;

    #[test]
    fn text_is_quoted_and_null_is_not() {
        let ids: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
        let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("a \"b\",\nc"), None]));
        let batch = RecordBatch::try_from_iter_with_nullable([("id", ids, false), ("note", texts, true)]).expect("two columns");
        let mut fields: Vec<FieldRef> = batch.schema().fields().iter().cloned().collect();
        fields.push(Arc::new(arrow::datatypes::Field::new("more", DataType::Utf8, true)));
        let mut out = Vec::new();
        write(&batch, &fields, 0..2, |row| format!("{row},false"), &mut out).expect("writes");
        assert_eq!(String::from_utf8_lossy(&out), "0,false,\"1\",\"a \"\"b\"\",\nc\",\\N\n1,false,\"2\",\\N,\\N\n");
    }
}
