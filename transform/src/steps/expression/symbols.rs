//! Expressions over one enum column, evaluated once for each of its symbols instead of once for each row.

use arrow::array::{Array, ArrayRef, AsArray, DictionaryArray, UInt32Array, new_null_array};
use arrow::compute::{cast, concat, take};
use arrow::datatypes::{DataType, Int32Type};
use datafusion_common::DataFusionError;
use datafusion_expr::ColumnarValue;

use super::node::Node;
use super::rows::{Failures, Rows};

/// An expression over the enum column `column`, compiled for a single column of text.
#[derive(Debug)]
pub(super) struct Symbols {
    pub(super) column: usize,
    pub(super) text: DataType,
    pub(super) inner: Node,
}

impl Symbols {
    pub(super) fn evaluate(&self, rows: &Rows, failures: &mut Failures) -> Result<ColumnarValue, DataFusionError> {
        let column = rows.column(self.column)?;
        match column.as_dictionary_opt::<Int32Type>() {
            Some(symbols) if symbols.values().len() < rows.len() => self.by_symbol(symbols, rows, failures),
            _ => self.inner.evaluate(&rows.with_column(cast(column, &self.text)?), failures),
        }
    }

    fn by_symbol(
        &self,
        symbols: &DictionaryArray<Int32Type>,
        rows: &Rows,
        failures: &mut Failures,
    ) -> Result<ColumnarValue, DataFusionError> {
        let mut failed = Failures::default();
        let each = Rows::of_column(with_null(symbols.values(), &self.text)?, rows.now());
        let answers = self.inner.evaluate(&each, &mut failed)?;
        let places = places(symbols);
        spread(&failed, &places, rows, failures);
        match answers {
            ColumnarValue::Array(answers) => Ok(ColumnarValue::Array(take(&answers, &places, None)?)),
            scalar @ ColumnarValue::Scalar(_) => Ok(scalar),
        }
    }
}

/// The symbols, and null after them.
fn with_null(symbols: &ArrayRef, text: &DataType) -> Result<ArrayRef, DataFusionError> {
    let symbols = cast(symbols, text)?;
    let null = new_null_array(text, 1);
    Ok(concat(&[symbols.as_ref(), null.as_ref()])?)
}

/// For each row the place of its symbol, or of the null after them.
fn places(symbols: &DictionaryArray<Int32Type>) -> UInt32Array {
    let null = symbols.values().len() as u32;
    let keys = symbols.keys();
    if keys.null_count() == 0 {
        return UInt32Array::from_iter_values(keys.values().iter().map(|&key| key as u32));
    }
    UInt32Array::from_iter_values(keys.iter().map(|key| key.map_or(null, |key| key as u32)))
}

/// A row fails where its symbol does.
fn spread(failed: &Failures, places: &UInt32Array, rows: &Rows, failures: &mut Failures) {
    if failed.is_empty() {
        return;
    }
    for (row, &place) in places.values().iter().enumerate() {
        if let Some(reason) = failed.of(place) {
            failures.note(rows.number(row), || reason.to_owned());
        }
    }
}
