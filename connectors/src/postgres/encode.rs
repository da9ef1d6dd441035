//! Rows in the binary format of COPY, written from columns into one buffer.
//!
//! <https://www.postgresql.org/docs/current/sql-copy.html>, "Binary Format": a row is the number of its fields (2 bytes),
//! then for each field its length (4 bytes, -1 for null) and the bytes that the type's receive function takes.

use std::ops::Range;

use arrow::array::{
    Array, AsArray, BinaryArray, BooleanArray, Decimal128Array, Decimal256Array, FixedSizeBinaryArray, Float32Array, Float64Array,
    Int32Array, Int64Array, IntervalMonthDayNanoArray, RecordBatch, StringArray,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Decimal256Type, FieldRef, Float32Type, Float64Type, Int32Type, Int64Type,
    IntervalMonthDayNanoType, Time32MillisecondType, Time64MicrosecondType,
};
use arrow::error::ArrowError;

use super::numeric;
use super::types::Form;
use crate::table::{JsonText, Unit, timestamps, write_uuid};

/// What stands before the first row: signature, flags, and the length of an extension.
pub(super) const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// What stands after the last row.
pub(super) const TRAILER: &[u8] = &(-1_i16).to_be_bytes();

/// Days from 1970-01-01 to 2000-01-01, where PostgreSQL's calendar begins.
pub(super) const EPOCH_DAYS: i64 = 10_957;
/// The same in microseconds.
pub(super) const EPOCH_MICROS: i64 = EPOCH_DAYS * 86_400_000_000;

const NULL: [u8; 4] = (-1_i32).to_be_bytes();
/// What `jsonb_recv` wants before the text.
const JSONB_VERSION: u8 = 1;

/// What stands before a row's columns in the stage.
#[derive(Debug, Clone, Copy)]
pub(super) struct StageMark<'a> {
    /// The row's number in its round.
    pub(super) sequence: i64,
    /// The other marks, which are the same for many rows.
    pub(super) others: &'a StageMarks,
}

/// The marks of the stage that follow the sequence.
#[derive(Debug, Clone, Default)]
pub(super) struct StageMarks {
    fields: i16,
    bytes: Vec<u8>,
}

impl StageMarks {
    /// Whether rows are deletions of their keys.
    pub(super) fn deleted(deleted: bool) -> Self {
        let mut marks = Self { fields: 1, bytes: Vec::new() };
        write_sized(&mut marks.bytes, &[u8::from(deleted)]);
        marks
    }

    /// The same with the columns that the rows lack, a bit for each, the lowest one of a byte first; none when they lack none.
    pub(super) fn lacking(mut self, columns: Option<&[u8]>) -> Self {
        self.fields += 1;
        match columns {
            Some(bits) => write_slice(&mut self.bytes, bits),
            None => self.bytes.extend_from_slice(&NULL),
        }
        self
    }
}

/// Appends rows of `batch`, the columns in the order of `columns` and in their forms, until `out` holds `limit` bytes; returns the row to go on with.
/// A column that the batch does not have is null. The stage's mark, of the first row, is counted up.
pub(super) fn write_rows(
    batch: &RecordBatch,
    columns: &[(Option<usize>, Form)],
    mark: Option<StageMark<'_>>,
    rows: Range<usize>,
    limit: usize,
    out: &mut Vec<u8>,
) -> Result<usize, ArrowError> {
    let schema = batch.schema();
    let cells = columns.iter().map(|&(column, form)| match column {
        Some(column) => Cells::new(&schema.fields()[column], batch.column(column), form),
        None => Ok(Cells { nulls: None, values: Values::Null }),
    });
    let mut cells = cells.collect::<Result<Vec<_>, _>>()?;
    let fields = columns.len() as i16 + mark.map_or(0, |mark| 1 + mark.others.fields);
    for row in rows.clone() {
        out.extend_from_slice(&fields.to_be_bytes());
        if let Some(StageMark { sequence, others }) = mark {
            write_sized(out, &(sequence + (row - rows.start) as i64).to_be_bytes());
            out.extend_from_slice(&others.bytes);
        }
        for cell in &mut cells {
            cell.write(row, out);
        }
        if out.len() >= limit {
            return Ok(row + 1);
        }
    }
    Ok(rows.end)
}

/// The values of one column, ready to be written.
struct Cells<'a> {
    nulls: Option<NullBuffer>,
    values: Values<'a>,
}

enum Whole<'a> {
    Int(&'a Int32Array),
    Long(&'a Int64Array),
}

enum Texts<'a> {
    Plain(&'a StringArray),
    Symbols(&'a Int32Array, &'a StringArray),
}

enum Values<'a> {
    Null,
    Bool(&'a BooleanArray),
    Int2(Whole<'a>),
    Int4(Whole<'a>),
    Int8(Whole<'a>),
    WholeNumeric(Whole<'a>),
    Float4(&'a Float32Array),
    Float8(&'a Float64Array),
    Float8OfFloat(&'a Float32Array),
    Float8OfInt(&'a Int32Array),
    Text(Texts<'a>),
    TextAsJsonb(Texts<'a>),
    Bytes(&'a BinaryArray),
    Fixed(&'a FixedSizeBinaryArray),
    UuidAsText(&'a FixedSizeBinaryArray),
    Numeric(&'a Decimal128Array, i8),
    WideNumeric(&'a Decimal256Array, i8),
    Date(&'a [i32]),
    TimeOfMillis(&'a [i32]),
    TimeOfMicros(&'a [i64]),
    Timestamp(&'a [i64], Unit),
    Interval(&'a IntervalMonthDayNanoArray),
    Json(JsonText<'a>),
    Jsonb(JsonText<'a>),
}

impl<'a> Cells<'a> {
    fn new(field: &'a FieldRef, array: &'a dyn Array, form: Form) -> Result<Self, ArrowError> {
        Ok(Self { nulls: array.logical_nulls(), values: Values::new(field, array, form)? })
    }

    fn write(&mut self, row: usize, out: &mut Vec<u8>) {
        if self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            out.extend_from_slice(&NULL);
        } else {
            self.values.write(row, out);
        }
    }
}

impl<'a> Values<'a> {
    fn new(field: &'a FieldRef, array: &'a dyn Array, form: Form) -> Result<Self, ArrowError> {
        Ok(match form {
            Form::Null => Self::Null,
            Form::Bool => Self::Bool(array.as_boolean()),
            Form::Int2 => Self::Int2(Whole::new(array)),
            Form::Int4 => Self::Int4(Whole::new(array)),
            Form::Int8 => Self::Int8(Whole::new(array)),
            Form::WholeNumeric => Self::WholeNumeric(Whole::new(array)),
            Form::Float4 => Self::Float4(array.as_primitive::<Float32Type>()),
            Form::Float8 if *array.data_type() == DataType::Float32 => Self::Float8OfFloat(array.as_primitive::<Float32Type>()),
            Form::Float8 => Self::Float8(array.as_primitive::<Float64Type>()),
            Form::WholeFloat8 => Self::Float8OfInt(array.as_primitive::<Int32Type>()),
            Form::Text => Self::Text(Texts::new(array)),
            Form::TextAsJsonb => Self::TextAsJsonb(Texts::new(array)),
            Form::Json => Self::Json(JsonText::new(field, array)?),
            Form::Jsonb => Self::Jsonb(JsonText::new(field, array)?),
            other => Self::new_other(array, other),
        })
    }

    fn new_other(array: &'a dyn Array, form: Form) -> Self {
        match form {
            Form::Bytes if *array.data_type() == DataType::Binary => Self::Bytes(array.as_binary()),
            Form::Bytes => Self::Fixed(array.as_fixed_size_binary()),
            Form::UuidAsText => Self::UuidAsText(array.as_fixed_size_binary()),
            Form::Numeric { scale } if matches!(array.data_type(), DataType::Decimal256(..)) => {
                Self::WideNumeric(array.as_primitive::<Decimal256Type>(), scale)
            }
            Form::Numeric { scale } => Self::Numeric(array.as_primitive::<Decimal128Type>(), scale),
            Form::Date => Self::Date(array.as_primitive::<Date32Type>().values()),
            Form::Time(Unit::Millisecond) => Self::TimeOfMillis(array.as_primitive::<Time32MillisecondType>().values()),
            Form::Time(_) => Self::TimeOfMicros(array.as_primitive::<Time64MicrosecondType>().values()),
            Form::Timestamp(unit) => Self::Timestamp(timestamps(array), unit),
            Form::Interval => Self::Interval(array.as_primitive::<IntervalMonthDayNanoType>()),
            _ => Self::Null,
        }
    }

    fn write(&mut self, row: usize, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.extend_from_slice(&NULL),
            Self::Bool(array) => write_sized(out, &[u8::from(array.value(row))]),
            Self::Int2(array) => write_sized(out, &(array.value(row) as i16).to_be_bytes()),
            Self::Int4(array) => write_sized(out, &(array.value(row) as i32).to_be_bytes()),
            Self::Int8(array) => write_sized(out, &array.value(row).to_be_bytes()),
            Self::WholeNumeric(array) => numeric::write(array.value(row).into(), 0, out),
            Self::Float4(array) => write_sized(out, &array.value(row).to_be_bytes()),
            Self::Float8(array) => write_sized(out, &array.value(row).to_be_bytes()),
            Self::Float8OfFloat(array) => write_sized(out, &f64::from(array.value(row)).to_be_bytes()),
            Self::Float8OfInt(array) => write_sized(out, &f64::from(array.value(row)).to_be_bytes()),
            Self::Numeric(array, scale) => numeric::write(array.value(row), *scale, out),
            Self::WideNumeric(array, scale) => numeric::write_wide(array.value(row), *scale, out),
            Self::Date(days) => write_sized(out, &((i64::from(days[row]) - EPOCH_DAYS) as i32).to_be_bytes()),
            Self::TimeOfMillis(millis) => write_sized(out, &(i64::from(millis[row]) * 1_000).to_be_bytes()),
            Self::TimeOfMicros(micros) => write_sized(out, &micros[row].to_be_bytes()),
            Self::Timestamp(counts, unit) => {
                let micros = unit.micros(counts[row]).unwrap_or_default();
                write_sized(out, &micros.saturating_sub(EPOCH_MICROS).to_be_bytes());
            }
            Self::Interval(array) => write_interval(array, row, out),
            other => other.write_bytes(row, out),
        }
    }

    fn write_bytes(&mut self, row: usize, out: &mut Vec<u8>) {
        match self {
            Self::Text(texts) => write_slice(out, texts.value(row).as_bytes()),
            Self::Bytes(array) => write_slice(out, array.value(row)),
            Self::Fixed(array) => write_slice(out, array.value(row)),
            Self::TextAsJsonb(texts) => write_measured(out, |out| {
                out.push(JSONB_VERSION);
                out.extend_from_slice(texts.value(row).as_bytes());
            }),
            Self::UuidAsText(array) => write_measured(out, |out| write_uuid(array.value(row), out)),
            Self::Json(json) => write_measured(out, |out| json.write(row, out)),
            Self::Jsonb(json) => write_measured(out, |out| {
                out.push(JSONB_VERSION);
                json.write(row, out);
            }),
            _ => out.extend_from_slice(&NULL),
        }
    }
}

impl<'a> Whole<'a> {
    fn new(array: &'a dyn Array) -> Self {
        match array.data_type() {
            DataType::Int32 => Self::Int(array.as_primitive::<Int32Type>()),
            _ => Self::Long(array.as_primitive::<Int64Type>()),
        }
    }

    fn value(&self, row: usize) -> i64 {
        match self {
            Self::Int(array) => array.value(row).into(),
            Self::Long(array) => array.value(row),
        }
    }
}

impl<'a> Texts<'a> {
    fn new(array: &'a dyn Array) -> Self {
        match array.data_type() {
            DataType::Dictionary(..) => {
                let symbols = array.as_dictionary::<Int32Type>();
                Self::Symbols(symbols.keys(), symbols.values().as_string())
            }
            _ => Self::Plain(array.as_string()),
        }
    }

    fn value(&self, row: usize) -> &str {
        match self {
            Self::Plain(array) => array.value(row),
            Self::Symbols(keys, symbols) => symbols.value(keys.value(row) as usize),
        }
    }
}

fn write_interval(array: &IntervalMonthDayNanoArray, row: usize, out: &mut Vec<u8>) {
    let value = array.value(row);
    out.extend_from_slice(&16_i32.to_be_bytes());
    out.extend_from_slice(&value.nanoseconds.div_euclid(1_000).to_be_bytes());
    out.extend_from_slice(&value.days.to_be_bytes());
    out.extend_from_slice(&value.months.to_be_bytes());
}

/// Length and bytes of a value whose size is known when this is compiled.
fn write_sized<const N: usize>(out: &mut Vec<u8>, bytes: &[u8; N]) {
    out.extend_from_slice(&(N as i32).to_be_bytes());
    out.extend_from_slice(bytes);
}

fn write_slice(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as i32).to_be_bytes());
    out.extend_from_slice(bytes);
}

/// Length and bytes of a value whose length is known once it is written.
fn write_measured(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&NULL);
    write(out);
    let length = (out.len() - start - NULL.len()) as i32;
    out[start..start + NULL.len()].copy_from_slice(&length.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::ArrayRef;
    use std::sync::Arc;

    fn batch() -> RecordBatch {
        let n: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), None, Some(3)]));
        let t: ArrayRef = Arc::new(StringArray::from(vec!["a", "bc", ""]));
        RecordBatch::try_from_iter_with_nullable([("n", n, true), ("t", t, false)]).expect("two columns")
    }

    #[test]
    fn a_row_is_its_fields_with_their_lengths() {
        let mut out = Vec::new();
        let columns = [(Some(0), Form::Int8), (Some(1), Form::Text), (None, Form::Bool)];
        assert_eq!(write_rows(&batch(), &columns, None, 0..2, usize::MAX, &mut out).expect("writes"), 2);
        let first = [&[0, 3][..], &[0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 1], &[0, 0, 0, 1, b'a'], &NULL];
        let second = [&[0, 3][..], &NULL, &[0, 0, 0, 2, b'b', b'c'], &NULL];
        assert_eq!(out, [first.concat(), second.concat()].concat());
    }

    #[test]
    fn a_full_buffer_ends_after_a_whole_row_and_the_next_one_goes_on_from_there() {
        let columns = [(Some(0), Form::Int4), (Some(1), Form::Text)];
        let (mut whole, mut parts) = (Vec::new(), Vec::new());
        write_rows(&batch(), &columns, None, 0..3, usize::MAX, &mut whole).expect("writes");
        let mut row = 0;
        while row < 3 {
            let mut out = Vec::new();
            let next = write_rows(&batch(), &columns, None, row..3, 1, &mut out).expect("writes");
            assert_eq!(next, row + 1);
            parts.extend(out);
            row = next;
        }
        assert_eq!(parts, whole);
    }

    #[test]
    fn the_mark_of_the_stage_counts_its_rows() {
        let mut out = Vec::new();
        let others = StageMarks::deleted(true);
        let mark = StageMark { sequence: 7, others: &others };
        write_rows(&batch(), &[(Some(0), Form::Int4)], Some(mark), 1..3, usize::MAX, &mut out).expect("writes");
        let row = |sequence: u8| [&[0, 3, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, sequence][..], &[0, 0, 0, 1, 1]].concat();
        assert_eq!(out, [row(7), NULL.to_vec(), row(8), [0, 0, 0, 4, 0, 0, 0, 3].to_vec()].concat());
    }
}
