//! What a column of the table is filled from.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, TimestampMicrosecondArray};
use arrow::compute::{is_null, nullif};
use arrow::datatypes::{DataType, Field, TimeUnit};
use arrow::error::ArrowError;
use millrace_model::{Batch, Schema};

use super::metadata;
use crate::config::Metadata;

/// What a column of the table is filled from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// A column of the record, or a field at some depth in it: a name for each level.
    Path(Vec<Arc<str>>),
    /// A part of the Kafka record.
    Metadata(Metadata),
    /// A header.
    Header(String),
    /// The time of loading.
    LoadedAt,
}

impl Source {
    /// The type of its values, as a field of no name; none when records have no such column.
    pub(super) fn field(&self, rows: &Schema) -> Option<Field> {
        let text = |nullable| Field::new("", DataType::Utf8, nullable);
        let instant = |unit| Field::new("", DataType::Timestamp(unit, Some("+00:00".into())), false);
        Some(match self {
            Self::Path(path) => return field_at(rows, path),
            // A key that is missing is rejected, as one that is no text is.
            Self::Metadata(Metadata::Topic | Metadata::KeyText) => text(false),
            Self::Metadata(Metadata::Partition) => Field::new("", DataType::Int32, false),
            Self::Metadata(Metadata::Offset) => Field::new("", DataType::Int64, false),
            Self::Metadata(Metadata::Timestamp) => instant(TimeUnit::Millisecond),
            Self::Metadata(Metadata::Key) => Field::new("", DataType::Binary, true),
            Self::Metadata(Metadata::Headers) => Field::new("", metadata::headers_type(), false),
            Self::Header(_) => text(true),
            Self::LoadedAt => instant(TimeUnit::Microsecond),
        })
    }

    /// The values for the rows of a batch.
    pub(super) fn array(&self, batch: &Batch, loaded: i64) -> Result<ArrayRef, ArrowError> {
        match self {
            Self::Path(path) => array_at(batch.columns(), path),
            Self::Metadata(part) => metadata::array(*part, batch.origin()),
            Self::Header(name) => Ok(metadata::header(name, batch.origin())),
            Self::LoadedAt => Ok(Arc::new(TimestampMicrosecondArray::from(vec![loaded; batch.len()]).with_timezone("+00:00"))),
        }
    }

    /// The column of the record that it is, whole; none when it is something else.
    pub(super) fn column(&self) -> Option<&str> {
        match self {
            Self::Path(path) if path.len() == 1 => Some(&path[0]),
            _ => None,
        }
    }

    /// Whether it is filled from one of these columns.
    pub(super) fn is_of(&self, columns: &[Arc<str>]) -> bool {
        matches!(self, Self::Path(path) if columns.contains(&path[0]))
    }
}

/// The field at a path; nullable when it or anything that it is in is.
fn field_at(rows: &Schema, path: &[Arc<str>]) -> Option<Field> {
    let (first, rest) = path.split_first()?;
    let mut field = rows.arrow().field_with_name(first).ok()?.clone();
    for name in rest {
        let DataType::Struct(fields) = field.data_type() else { return None };
        let inner = fields.iter().find(|inner| inner.name() == &**name)?;
        field = inner.as_ref().clone().with_nullable(field.is_nullable() || inner.is_nullable());
    }
    Some(field)
}

fn array_at(columns: &RecordBatch, path: &[Arc<str>]) -> Result<ArrayRef, ArrowError> {
    let missing = || ArrowError::SchemaError(format!("a batch has no column {}", path.join(".")));
    let (first, rest) = path.split_first().ok_or_else(missing)?;
    let mut array = Arc::clone(columns.column_by_name(first).ok_or_else(missing)?);
    for name in rest {
        let outer = array.as_struct_opt().ok_or_else(missing)?;
        let inner = outer.column_by_name(name).ok_or_else(missing)?;
        // What stands in a record that is null has no meaning.
        array = if outer.null_count() == 0 { Arc::clone(inner) } else { nullif(inner, &is_null(outer)?)? };
    }
    Ok(array)
}
