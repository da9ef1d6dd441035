//! Values that SQLite has no type for, as text: of all rows of a batch at once, before they go to the thread that runs statements.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow::buffer::{Buffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, FieldRef, Schema as ArrowSchema};
use arrow::error::ArrowError;
use millrace_model::{Batch, Schema};

use crate::table::{Kind, Values};

/// The batch with text in such columns. What a column holds is as `schema` says: a batch of keys may not say which bytes are UUIDs.
pub(super) fn written(batch: &Batch, schema: &Schema) -> Result<Batch, ArrowError> {
    let columns = batch.columns();
    let (mut fields, mut arrays) = (Vec::new(), Vec::new());
    for (field, array) in columns.schema_ref().fields().iter().zip(columns.columns()) {
        let known = schema.arrow().fields().find(field.name()).map_or(field, |(_, known)| known);
        let is_text = is_kept_as_text(known);
        fields.push(if is_text { Arc::new(Field::new(field.name(), DataType::Utf8, field.is_nullable())) } else { Arc::clone(field) });
        arrays.push(if is_text { text(known, array)? } else { Arc::clone(array) });
    }
    Ok(Batch::new(RecordBatch::try_new(Arc::new(ArrowSchema::new(fields)), arrays)?, batch.origin().clone()))
}

fn is_kept_as_text(field: &Field) -> bool {
    use Kind::{Boolean, Bytes, Double, Fixed, Float, Int, Long, Null, Symbol, Text};
    !matches!(Kind::of(field), None | Some(Null | Boolean | Int | Long | Float | Double | Text | Symbol | Bytes | Fixed))
}

fn text(field: &FieldRef, array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let mut values = Values::in_iso_8601(field, array)?;
    let (mut bytes, mut lengths) = (Vec::new(), Vec::with_capacity(array.len()));
    for row in 0..array.len() {
        let before = bytes.len();
        if array.is_valid(row) {
            values.write(row, &mut bytes)?;
        }
        lengths.push(bytes.len() - before);
    }
    let text = StringArray::try_new(OffsetBuffer::from_lengths(lengths), Buffer::from_vec(bytes), array.logical_nulls())?;
    Ok(Arc::new(text))
}
