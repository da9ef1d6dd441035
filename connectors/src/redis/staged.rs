//! What a round is to do, in the order of its records.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, BinaryArray, StructArray};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Float32Type, Float64Type};
use arrow::error::ArrowError;
use millrace_model::{Batch, Code, Origin, Rejected, Rejection, Result, Stage};

use super::config::Form;
use super::key::OWN;
use super::target::Target;
use crate::table::{Refused, check_columns, defect};

/// A step of a round.
pub(super) enum Staged {
    /// Rows come.
    Rows(Rows),
    /// The rows of keys go.
    Deletions(Keys),
    /// All rows go.
    Clear,
}

/// Keys, each with the record that it is of.
pub(super) struct Keys {
    pub(super) keys: BinaryArray,
    origin: Origin,
}

/// Rows with their keys.
pub(super) struct Rows {
    pub(super) keys: Keys,
    /// Whether no column of the schema is lacking.
    pub(super) is_whole: bool,
    pub(super) field: FieldRef,
    pub(super) values: StructArray,
}

impl Keys {
    /// The keys of a batch whose rows have been looked at.
    fn new(batch: &Batch, target: &Target) -> Result<Self, ArrowError> {
        let columns = batch.columns();
        let keys = target.key.keys(&target.fields(&columns.schema()), columns)?;
        Ok(Self { keys, origin: batch.origin().clone() })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The records of those of the keys that are refused.
    pub(super) fn rejected(&self, refused: &HashMap<&[u8], &str>) -> Vec<Rejected> {
        let reasons = self.keys.iter().flatten().map(|key| refused.get(key));
        let rejected = reasons.zip(self.origin.rows()).filter_map(|(reason, &record)| {
            let rejection = Rejection::new(record, Code::RowRefused, *reason?);
            Some(Rejected::new(self.origin.records(), Stage::Write, rejection))
        });
        rejected.collect()
    }
}

impl Staged {
    /// The keys that it is about, where it is about some.
    pub(super) fn keys(&self) -> Option<&Keys> {
        match self {
            Self::Rows(rows) => Some(&rows.keys),
            Self::Deletions(keys) => Some(keys),
            Self::Clear => None,
        }
    }
}

/// Rows to come, and what can be seen not to fit.
pub(super) fn rows(batch: &Batch, target: &Target) -> Result<(Staged, Vec<Rejection>)> {
    let (good, keys, rejections) = checked(batch, target)?;
    let columns = good.columns();
    let fields: Fields = target.fields(&columns.schema()).into();
    let is_whole = fields.len() == target.schema.arrow().fields().len();
    let field = Arc::new(Field::new_struct("row", fields.clone(), false));
    let values = if fields.is_empty() {
        StructArray::new_empty_fields(good.len(), None)
    } else {
        StructArray::try_new(fields, columns.columns().to_vec(), None).map_err(defect)?
    };
    Ok((Staged::Rows(Rows { keys, is_whole, field, values }), rejections))
}

/// Rows to go, and what can be seen not to fit.
pub(super) fn deletions(batch: &Batch, target: &Target) -> Result<(Staged, Vec<Rejection>)> {
    let (_, keys, rejections) = checked(batch, target)?;
    Ok((Staged::Deletions(keys), rejections))
}

/// The rows that fit, with their keys, and the rejections of the others.
fn checked(batch: &Batch, target: &Target) -> Result<(Batch, Keys, Vec<Rejection>)> {
    check_columns(batch.columns(), &target.schema)?;
    let (good, mut rejections) = check(batch, target).sort_out(batch).map_err(defect)?;
    let keys = Keys::new(&good, target).map_err(defect)?;
    let mut refused = Refused::default();
    for row in (0..good.len()).filter(|&row| keys.keys.value(row).starts_with(OWN.as_bytes())) {
        refused.row(row, Code::ValueForbidden, || format!("the row's key would begin with `{OWN}`, as Millrace's own do"));
    }
    let (best, more) = refused.sort_out(&good).map_err(defect)?;
    if more.is_empty() {
        return Ok((good, keys, rejections));
    }
    rejections.extend(more);
    let keys = Keys::new(&best, target).map_err(defect)?;
    Ok((best, keys, rejections))
}

/// Finds the rows with values that have no form in Redis.
fn check(batch: &Batch, target: &Target) -> Refused {
    let mut refused = Refused::default();
    let columns = batch.columns();
    for (field, array) in columns.schema().fields().iter().zip(columns.columns()) {
        refused.undated(field.name(), array);
        match &target.form {
            Form::Json => not_in_json(field, array, &mut refused),
            Form::Column(column) if column == field.name() => refused.nulls(field.name(), array),
            Form::Column(_) | Form::Hash => {}
        }
        if target.table.keys.contains(field.name()) {
            refused.nulls(field.name(), array);
        }
    }
    refused
}

fn not_in_json(field: &Field, array: &dyn Array, refused: &mut Refused) {
    let is_finite: &dyn Fn(usize) -> bool = match array.data_type() {
        DataType::Float32 => &|row| array.as_primitive::<Float32Type>().value(row).is_finite(),
        DataType::Float64 => &|row| array.as_primitive::<Float64Type>().value(row).is_finite(),
        _ => return,
    };
    for row in (0..array.len()).filter(|&row| array.is_valid(row) && !is_finite(row)) {
        refused.row(row, Code::ValueForbidden, || format!("column {:?} is NaN or infinite, which JSON has no number for", field.name()));
    }
}
