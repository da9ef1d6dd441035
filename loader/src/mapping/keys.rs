//! Keys of rows that are to be deleted, as the table has them.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch};
use arrow::buffer::NullBuffer;
use arrow::compute::{cast, filter};
use arrow::datatypes::{Field, Schema as ArrowSchema};
use arrow::error::ArrowError;
use millrace_model::{Batch, Code, Rejection};

use super::{Mapping, defaults};

impl Mapping {
    /// Keys under the names, and of the types, that the table has for them, with defaults where they have null; and the records whose keys
    /// lack what the table must have.
    pub(crate) fn keys(&self, names: &[String], keys: &Batch) -> Result<(Batch, Vec<Rejection>), ArrowError> {
        let (mut fields, mut arrays) = (Vec::<Field>::new(), Vec::<ArrayRef>::new());
        for (name, array) in names.iter().zip(keys.columns().columns()) {
            let field = self.schema.arrow().field_with_name(name)?;
            let array = match self.default_of(name) {
                Some(default) => defaults::filled(array, default)?,
                None => Arc::clone(array),
            };
            arrays.push(cast(&array, field.data_type())?);
            fields.push(field.clone());
        }
        let (origin, rejected) = match whole(&fields, &arrays) {
            None => (keys.origin().clone(), Vec::new()),
            Some(whole) => {
                arrays = arrays.iter().map(|array| filter(array, &whole)).collect::<Result<_, _>>()?;
                (keys.origin().filter(&whole)?, lacking(keys.origin().rows(), &whole))
            }
        };
        Ok((Batch::new(RecordBatch::try_new(Arc::new(ArrowSchema::new(fields)), arrays)?, origin), rejected))
    }

    fn default_of(&self, name: &str) -> Option<&ArrayRef> {
        self.columns.iter().flatten().find(|column| column.field.name() == name)?.default.as_ref()
    }
}

/// Which rows have all that they must have; none when all do.
fn whole(fields: &[Field], arrays: &[ArrayRef]) -> Option<BooleanArray> {
    let required = fields.iter().zip(arrays).filter(|(field, _)| !field.is_nullable());
    let nulls = required.fold(None, |nulls, (_, array)| NullBuffer::union(nulls.as_ref(), array.logical_nulls().as_ref()));
    nulls.filter(|nulls| nulls.null_count() > 0).map(|nulls| BooleanArray::new(nulls.into_inner(), None))
}

fn lacking(records: &[u32], whole: &BooleanArray) -> Vec<Rejection> {
    let lacking = records.iter().zip(whole.values()).filter(|(_, whole)| !whole);
    lacking.map(|(&record, _)| Rejection::new(record, Code::KeyMissing, "the key of the row to delete is not whole")).collect()
}
