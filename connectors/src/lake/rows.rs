//! The rows of a batch as the files of a table have them.

use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, RecordBatch, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::{Field, Schema as ArrowSchema};
use arrow::error::ArrowError;
use millrace_model::{Batch, Code, Rejection};

use super::convert::convert;
use super::layout::Layout;
use crate::table::Refused;

impl Layout {
    /// The rows that fit, as they are in files, and the rejections of the others.
    pub(super) fn rows(&self, batch: &Batch) -> Result<(RecordBatch, Vec<Rejection>), ArrowError> {
        let columns = batch.columns();
        let (converted, mut refused) = (self.converted(columns), Refused::default());
        let there = self.columns.iter().filter_map(|(field, _)| Some((field, columns.column_by_name(field.name())?)));
        for (field, array) in there {
            if self.required.contains(field.name()) {
                refused.nulls(field.name(), array);
            }
            if converted.is_err() {
                refuse_unfit(field, array, &mut refused);
            }
            if self.folders.as_ref().is_some_and(|folders| folders.column == *field.name()) {
                refuse_emptied(field, array, &mut refused);
            }
        }
        let (good, rejections) = refused.sort_out(batch)?;
        let rows = if rejections.is_empty() { converted? } else { self.converted(good.columns())? };
        Ok((rows, rejections))
    }

    /// A column that the batch does not have is not in the file either: readers see null.
    fn converted(&self, columns: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let (mut fields, mut arrays) = (Vec::with_capacity(self.columns.len()), Vec::with_capacity(self.columns.len()));
        for (from, to) in &self.columns {
            if let Some(array) = columns.column_by_name(from.name()) {
                let converted = convert(from, array)?;
                arrays.push(if converted.data_type() == to.data_type() { converted } else { cast(&converted, to.data_type())? });
                fields.push(Arc::clone(to));
            }
        }
        let options = RecordBatchOptions::new().with_row_count(Some(columns.num_rows()));
        RecordBatch::try_new_with_options(Arc::new(ArrowSchema::new(fields)), arrays, &options)
    }
}

/// Refuses the rows whose value the column's type in files can't hold.
fn refuse_unfit(field: &Field, array: &ArrayRef, refused: &mut Refused) {
    for row in (0..array.len()).filter(|&row| convert(field, &array.slice(row, 1)).is_err()) {
        refused.row(row, Code::ValueOutOfRange, || format!("column {:?} is outside the range of the target's type", field.name()));
    }
}

/// Refuses the rows whose folder would be that of null, though their value is none: Delta takes an empty text for null there.
fn refuse_emptied(field: &Field, array: &ArrayRef, refused: &mut Refused) {
    let Ok(values) = convert(field, array) else { return };
    let Some(texts) = values.as_string_opt::<i32>() else { return };
    for row in (0..texts.len()).filter(|&row| texts.is_valid(row) && texts.value(row).is_empty()) {
        let reason = || format!("column {:?} is an empty text, which Delta takes for null in a column that names folders", field.name());
        refused.row(row, Code::ValueForbidden, reason);
    }
}
