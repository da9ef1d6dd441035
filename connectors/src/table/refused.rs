//! Rows that are seen not to fit their target before they are sent.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, BooleanArray, StringArray};
use arrow::datatypes::{DataType, FieldRef, Int32Type};
use arrow::error::ArrowError;
use arrow::util::display::ArrayFormatter;
use millrace_model::{Batch, Code, Rejection};

use super::json::holds_nul;
use super::{JsonText, Moments, iso_8601};

/// The rows of a batch that do not fit, each with the first reason that was found.
#[derive(Debug, Default)]
pub(crate) struct Refused(BTreeMap<usize, (Code, String)>);

impl Refused {
    /// Refuses a row; a reason that it already has stands.
    pub(crate) fn row(&mut self, row: usize, code: Code, reason: impl FnOnce() -> String) {
        self.0.entry(row).or_insert_with(|| (code, reason()));
    }

    /// Refuses the rows in which a column is null that takes no nulls.
    pub(crate) fn nulls(&mut self, name: &str, array: &dyn Array) {
        let Some(nulls) = array.logical_nulls().filter(|nulls| nulls.null_count() > 0) else { return };
        for row in (0..array.len()).filter(|&row| nulls.is_null(row)) {
            self.row(row, Code::ValueNull, || format!("column {name:?} is null, and the target takes no null there"));
        }
    }

    /// Refuses the rows in which a date or time has no text: the calendar of the library that writes them has fewer years than the numbers.
    pub(crate) fn undated(&mut self, name: &str, array: &dyn Array) {
        let data_type = array.data_type();
        if !data_type.is_temporal() {
            return;
        }
        let Ok(shown) = ArrayFormatter::try_new(array, &iso_8601(data_type)) else { return };
        let mut text = String::new();
        let moments = Moments::of(array);
        let is_usual = |row: &usize| moments.is_some_and(|moments| moments.at(*row).is_some());
        for row in (0..array.len()).filter(|&row| array.is_valid(row)).filter(|row| !is_usual(row)) {
            text.clear();
            if shown.value(row).write(&mut text).is_err() {
                self.row(row, Code::ValueOutOfRange, || format!("column {name:?} is outside the range of dates that have a text"));
            }
        }
    }

    /// Refuses the rows in which a column's text holds the character U+0000, which neither PostgreSQL's text nor SQLite's can.
    pub(crate) fn nul_characters(&mut self, field: &FieldRef, array: &dyn Array) -> Result<(), ArrowError> {
        if !may_hold_nul(array) {
            return Ok(());
        }
        let mut json = JsonText::new(field, array)?;
        let mut text = Vec::new();
        for row in (0..array.len()).filter(|&row| array.is_valid(row)) {
            text.clear();
            json.write(row, &mut text);
            if holds_nul(&text) {
                self.row(row, Code::ValueForbidden, || {
                    format!("column {:?} holds the character U+0000, which the target can't store", field.name())
                });
            }
        }
        Ok(())
    }

    /// The rows that fit, and the rejections of the others.
    pub(crate) fn sort_out(self, batch: &Batch) -> Result<(Batch, Vec<Rejection>), ArrowError> {
        if self.0.is_empty() {
            return Ok((batch.clone(), Vec::new()));
        }
        let fits: BooleanArray = (0..batch.len()).map(|row| Some(!self.0.contains_key(&row))).collect();
        let good = batch.filter(&fits)?;
        let records = batch.origin().rows();
        let rejections = self.0.into_iter().map(|(row, (code, reason))| Rejection::new(records[row], code, reason));
        Ok((good, rejections.collect()))
    }
}

/// Whether any text in the column, at any depth, holds a zero byte. Cheap, and almost always false.
fn may_hold_nul(array: &dyn Array) -> bool {
    match array.data_type() {
        DataType::Utf8 => text_holds_nul(array.as_string()),
        DataType::Dictionary(_, _) => text_holds_nul(array.as_dictionary::<Int32Type>().values().as_string()),
        DataType::List(_) => may_hold_nul(array.as_list::<i32>().values()),
        DataType::Map(_, _) => may_hold_nul(array.as_map().entries()),
        DataType::Struct(_) => array.as_struct().columns().iter().any(|column| may_hold_nul(column)),
        _ => false,
    }
}

fn text_holds_nul(array: &StringArray) -> bool {
    array.values().contains(&0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, RecordBatch};
    use millrace_model::{Origin, Record, RecordsBuilder};
    use std::sync::Arc;

    fn batch(texts: &[Option<&str>]) -> Batch {
        let mut records = RecordsBuilder::new("t".into(), texts.len() + 1);
        for offset in 0..=texts.len() as i64 {
            records.push(&Record { topic: "t", partition: 0, offset, timestamp: 0, key: None, value: None, headers: &[] });
        }
        let column: ArrayRef = Arc::new(StringArray::from(texts.to_vec()));
        let columns = RecordBatch::try_from_iter_with_nullable([("c", column, true)]).expect("one column");
        let rows: Vec<u32> = (1..=texts.len() as u32).collect();
        Batch::new(columns, Origin::of(Arc::new(records.finish()), rows))
    }

    #[test]
    fn a_refused_row_is_told_by_its_record_and_the_others_stay() {
        let batch = batch(&[Some("a"), None, Some("b\0"), Some("\\u0000")]);
        let column = batch.columns().column(0);
        let mut refused = Refused::default();
        refused.nulls("c", column);
        refused.nul_characters(&batch.columns().schema().fields()[0], column).expect("has an encoder");
        let (good, rejections) = refused.sort_out(&batch).expect("sorts");
        assert_eq!(good.origin().rows(), [1, 4]);
        assert_eq!(
            rejections.iter().map(|one| (one.record, one.code)).collect::<Vec<_>>(),
            [(2, Code::ValueNull), (3, Code::ValueForbidden)]
        );
    }
}
