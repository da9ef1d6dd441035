//! Checked values into Arrow columns. What has been checked fits, so appending can't fail.

use std::sync::Arc;

use arrow::array::builder::{
    BinaryBuilder, BooleanBuilder, Decimal128Builder, FixedSizeBinaryBuilder, Float32Builder, Float64Builder, Int32Builder, Int64Builder,
    NullBufferBuilder, StringBuilder,
};
use arrow::array::{
    Array, ArrayRef, DictionaryArray, ListArray, MapArray, RecordBatch, RecordBatchOptions, StringArray, StructArray, make_array,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, FieldRef, Fields, SchemaRef};
use arrow::error::ArrowError;
use millrace_model::{Code, Fault, Result};

use super::datum::Datum;
use super::shape::{Kind, Shape};

/// How many bytes a text is reserved at first; the buffer grows where texts are longer.
const TEXT: usize = 12;

/// The columns of a batch in the making.
#[derive(Debug)]
pub(super) struct Columns {
    schema: SchemaRef,
    columns: Vec<Column>,
    rows: usize,
}

impl Columns {
    /// Empty columns of `schema`, whose records have `shape`, with room for so many rows.
    pub(super) fn new(shape: &Shape, schema: &SchemaRef, rows: usize) -> Result<Self> {
        let columns = columns(shape, schema.fields(), rows)?;
        Ok(Self { schema: Arc::clone(schema), columns, rows: 0 })
    }

    /// Appends a row: a value for each field.
    pub(super) fn append(&mut self, row: Vec<Datum<'_>>) {
        for (column, datum) in self.columns.iter_mut().zip(row) {
            column.append(datum);
        }
        self.rows += 1;
    }

    /// The rows appended.
    pub(super) fn finish(self) -> Result<RecordBatch> {
        let arrays = self.columns.into_iter().map(Column::finish).collect::<Result<_, _>>().map_err(|error| defect(&error))?;
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        RecordBatch::try_new_with_options(self.schema, arrays, &options).map_err(|error| defect(&error))
    }
}

fn defect(error: &ArrowError) -> Fault {
    Fault::fatal(Code::Internal, format!("checked values do not make columns of their schema: {error}"))
}

fn columns(shape: &Shape, fields: &Fields, rows: usize) -> Result<Vec<Column>> {
    shape.fields.iter().zip(fields).map(|(member, field)| Column::new(&member.slot.kind, field, rows)).collect()
}

/// One column and what Arrow calls its type.
#[derive(Debug)]
struct Column {
    data_type: DataType,
    values: Values,
}

#[derive(Debug)]
enum Values {
    Boolean(BooleanBuilder),
    Int32(Int32Builder),
    Int64(Int64Builder),
    Float32(Float32Builder),
    Float64(Float64Builder),
    Text(StringBuilder),
    Binary(BinaryBuilder),
    Fixed(FixedSizeBinaryBuilder),
    Decimal(Decimal128Builder),
    Enum(Int32Builder, Arc<[String]>),
    List(Nested, FieldRef, Box<Column>),
    Map(Nested, FieldRef, StringBuilder, Box<Column>),
    Struct(NullBufferBuilder, Fields, Vec<Column>),
}

/// Offsets and nulls of a list or map.
#[derive(Debug)]
struct Nested {
    offsets: Vec<i32>,
    nulls: NullBufferBuilder,
}

impl Nested {
    fn new(rows: usize) -> Self {
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0);
        Self { offsets, nulls: NullBufferBuilder::new(rows) }
    }

    fn append(&mut self, count: usize, valid: bool) {
        let end = self.offsets.last().copied().unwrap_or_default() + count as i32;
        self.offsets.push(end);
        self.nulls.append(valid);
    }

    fn offsets(&mut self) -> OffsetBuffer<i32> {
        OffsetBuffer::new(std::mem::take(&mut self.offsets).into())
    }
}

impl Column {
    fn new(kind: &Kind, field: &FieldRef, rows: usize) -> Result<Self> {
        let data_type = field.data_type().clone();
        let values = match (kind, &data_type) {
            (Kind::Boolean, _) => Values::Boolean(BooleanBuilder::with_capacity(rows)),
            (Kind::Float, _) => Values::Float32(Float32Builder::with_capacity(rows)),
            (Kind::Double, _) => Values::Float64(Float64Builder::with_capacity(rows)),
            (Kind::String | Kind::UuidText, _) => Values::Text(texts(rows)),
            (Kind::Bytes, _) => Values::Binary(BinaryBuilder::with_capacity(rows, rows * TEXT)),
            (Kind::Fixed(size), _) => Values::Fixed(FixedSizeBinaryBuilder::with_capacity(rows, *size as i32)),
            (Kind::Uuid, _) => Values::Fixed(FixedSizeBinaryBuilder::with_capacity(rows, 16)),
            (Kind::Enum(symbols), _) => Values::Enum(Int32Builder::with_capacity(rows), Arc::clone(symbols)),
            (Kind::Decimal { precision, scale }, _) => Values::Decimal(decimals(*precision, *scale, rows)?),
            (Kind::Int | Kind::Date, _) | (Kind::Time(_), DataType::Time32(_)) => Values::Int32(Int32Builder::with_capacity(rows)),
            (Kind::Long | Kind::Time(_) | Kind::Timestamp(_) | Kind::LocalTimestamp(_), _) => {
                Values::Int64(Int64Builder::with_capacity(rows))
            }
            (Kind::Array(slot), DataType::List(item)) => {
                Values::List(Nested::new(rows), Arc::clone(item), Box::new(Self::new(&slot.kind, item, rows)?))
            }
            (Kind::Map(slot), DataType::Map(entries, _)) => map(&slot.kind, entries, rows)?,
            (Kind::Record(shape), DataType::Struct(fields)) => {
                Values::Struct(NullBufferBuilder::new(rows), fields.clone(), columns(shape, fields, rows)?)
            }
            (kind, arrow) => return Err(Fault::fatal(Code::Internal, format!("{} has the Arrow form {arrow}", kind.name()))),
        };
        Ok(Self { data_type, values })
    }

    fn append(&mut self, datum: Datum<'_>) {
        match (&mut self.values, datum) {
            (Values::Boolean(builder), Datum::Boolean(value)) => builder.append_value(value),
            (Values::Int32(builder), Datum::Integer(value)) => builder.append_value(value as i32),
            (Values::Int64(builder), Datum::Integer(value)) => builder.append_value(value),
            (Values::Float32(builder), Datum::Float(value)) => builder.append_value(value as f32),
            (Values::Float64(builder), Datum::Float(value)) => builder.append_value(value),
            (Values::Text(builder), Datum::Text(text)) => builder.append_value(text),
            (Values::Binary(builder), Datum::Bytes(bytes)) => builder.append_value(bytes),
            (Values::Fixed(builder), Datum::Bytes(bytes)) => append_fixed(builder, &bytes),
            (Values::Decimal(builder), Datum::Decimal(value)) => builder.append_value(value),
            (Values::Enum(builder, _), Datum::Symbol(index)) => builder.append_value(index as i32),
            (Values::List(nested, _, items), Datum::Array(values)) => {
                nested.append(values.len(), true);
                values.into_iter().for_each(|value| items.append(value));
            }
            (Values::Map(nested, _, keys, items), Datum::Map(entries)) => {
                nested.append(entries.len(), true);
                for (key, value) in entries {
                    keys.append_value(key);
                    items.append(value);
                }
            }
            (Values::Struct(nulls, _, columns), Datum::Record(row)) => {
                nulls.append_non_null();
                columns.iter_mut().zip(row).for_each(|(column, value)| column.append(value));
            }
            (_, datum) => {
                debug_assert_eq!(datum, Datum::Null, "only null is left");
                self.append_null();
            }
        }
    }

    /// A null, or what stands below a null record.
    fn append_null(&mut self) {
        match &mut self.values {
            Values::Boolean(builder) => builder.append_null(),
            Values::Int32(builder) | Values::Enum(builder, _) => builder.append_null(),
            Values::Int64(builder) => builder.append_null(),
            Values::Float32(builder) => builder.append_null(),
            Values::Float64(builder) => builder.append_null(),
            Values::Text(builder) => builder.append_null(),
            Values::Binary(builder) => builder.append_null(),
            Values::Fixed(builder) => builder.append_null(),
            Values::Decimal(builder) => builder.append_null(),
            Values::List(nested, ..) | Values::Map(nested, ..) => nested.append(0, false),
            Values::Struct(nulls, _, columns) => {
                nulls.append_null();
                columns.iter_mut().for_each(Self::append_null);
            }
        }
    }

    fn finish(self) -> Result<ArrayRef, ArrowError> {
        let array: ArrayRef = match self.values {
            Values::Boolean(mut builder) => Arc::new(builder.finish()),
            Values::Int32(mut builder) => retyped(&builder.finish(), &self.data_type)?,
            Values::Int64(mut builder) => retyped(&builder.finish(), &self.data_type)?,
            Values::Float32(mut builder) => Arc::new(builder.finish()),
            Values::Float64(mut builder) => Arc::new(builder.finish()),
            Values::Text(mut builder) => Arc::new(builder.finish()),
            Values::Binary(mut builder) => Arc::new(builder.finish()),
            Values::Fixed(mut builder) => Arc::new(builder.finish()),
            Values::Decimal(mut builder) => Arc::new(builder.finish()),
            Values::Enum(mut keys, symbols) => {
                let symbols = StringArray::from_iter_values(symbols.iter());
                Arc::new(DictionaryArray::try_new(keys.finish(), Arc::new(symbols))?)
            }
            Values::List(mut nested, item, values) => {
                let offsets = nested.offsets();
                Arc::new(ListArray::try_new(item, offsets, values.finish()?, nested.nulls.finish())?)
            }
            Values::Map(nested, entries, keys, values) => finish_map(nested, entries, keys, *values)?,
            Values::Struct(mut nulls, fields, columns) => {
                let length = nulls.len();
                let arrays = columns.into_iter().map(Self::finish).collect::<Result<_, _>>()?;
                Arc::new(StructArray::try_new_with_length(fields, arrays, nulls.finish(), length)?)
            }
        };
        // A text column may be one of views.
        if array.data_type() == &self.data_type { Ok(array) } else { arrow::compute::cast(&array, &self.data_type) }
    }
}

fn texts(rows: usize) -> StringBuilder {
    StringBuilder::with_capacity(rows, rows * TEXT)
}

fn decimals(precision: u8, scale: i8, rows: usize) -> Result<Decimal128Builder> {
    Decimal128Builder::with_capacity(rows).with_precision_and_scale(precision, scale).map_err(|error| defect(&error))
}

fn map(values: &Kind, entries: &FieldRef, rows: usize) -> Result<Values> {
    match entries.data_type() {
        DataType::Struct(fields) if fields.len() == 2 => {
            Ok(Values::Map(Nested::new(rows), Arc::clone(entries), texts(rows), Box::new(Column::new(values, &fields[1], rows)?)))
        }
        other => Err(Fault::fatal(Code::Internal, format!("a map's entries have the Arrow form {other}"))),
    }
}

/// The check has compared the size, which is the only thing that can be wrong.
fn append_fixed(builder: &mut FixedSizeBinaryBuilder, bytes: &[u8]) {
    builder.append_value(bytes).expect("a checked value has the size of its type");
}

/// The same numbers under another type of the same width: a date is an int32 of days.
fn retyped(array: &dyn Array, data_type: &DataType) -> Result<ArrayRef, ArrowError> {
    Ok(make_array(array.to_data().into_builder().data_type(data_type.clone()).build()?))
}

fn finish_map(mut nested: Nested, entries: FieldRef, mut keys: StringBuilder, values: Column) -> Result<ArrayRef, ArrowError> {
    let DataType::Struct(fields) = entries.data_type() else {
        return Err(ArrowError::SchemaError("a map's entries are a struct".into()));
    };
    let pairs = StructArray::try_new(fields.clone(), vec![Arc::new(keys.finish()), values.finish()?], None)?;
    let offsets = nested.offsets();
    Ok(Arc::new(MapArray::try_new(entries, offsets, pairs, nested.nulls.finish(), false)?))
}
