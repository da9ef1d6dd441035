//! From the columns of records to those of a table: which, in which order, under which names, and what else a row is told.
//!
//! Where nothing is asked for, batches pass as they are.

mod defaults;
mod keys;
mod metadata;
mod plan;
mod source;

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Field, Schema as ArrowSchema, SchemaRef};
use arrow::error::ArrowError;
use millrace_model::{Batch, Code, Fault, Origin, Rejection, Result, Schema};
use serde_json::json;

use source::Source;

pub(crate) use plan::Misfit;

use crate::config::{Metadata, Pipeline};

/// How rows of records become rows of a table. Made once for each run of a pipeline.
#[derive(Debug, Clone)]
pub(crate) struct Mapping {
    schema: Schema,
    /// None where rows pass as they are.
    columns: Option<Vec<Column>>,
}

/// A column of the table.
#[derive(Debug, Clone)]
struct Column {
    field: Arc<Field>,
    source: Source,
    /// What stands where the source has null: an array of one value.
    default: Option<ArrayRef>,
}

/// What tombstones can tell of a table's keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeySource {
    /// For each key column the column of the record that it is filled from.
    Columns(Vec<String>),
    /// The record's key is the row's key.
    Record,
    /// Nothing: this key column is filled from elsewhere.
    Elsewhere(String),
}

impl KeySource {
    /// The columns of the record.
    pub(crate) fn columns(&self) -> &[String] {
        match self {
            Self::Columns(columns) => columns,
            Self::Record | Self::Elsewhere(_) => &[],
        }
    }
}

impl Mapping {
    /// The mapping that a pipeline asks for, of rows of the schema `rows`; or everything that is wrong with it.
    pub(crate) fn of(pipeline: &Pipeline, rows: &Schema) -> Result<Self, Vec<Misfit>> {
        let columns = plan::columns(pipeline, rows)?;
        if plan::is_identity(&columns, rows) {
            return Ok(Self { schema: rows.clone(), columns: None });
        }
        Ok(Self { schema: schema(&columns, rows), columns: Some(columns) })
    }

    /// The table's columns. Only the Arrow form of a mapped one describes types: no Avro goes to a table.
    pub(crate) fn schema(&self) -> &Schema {
        &self.schema
    }

    /// What the keys of the table's rows are called in records.
    pub(crate) fn key_source(&self, keys: &[String]) -> KeySource {
        let Some(columns) = &self.columns else { return KeySource::Columns(keys.to_vec()) };
        let sources: Vec<(&String, &Source)> =
            keys.iter().filter_map(|key| Some((key, &columns.iter().find(|column| column.field.name() == key)?.source))).collect();
        if let [(_, Source::Metadata(Metadata::Key | Metadata::KeyText))] = sources[..] {
            return KeySource::Record;
        }
        let name = |(key, source): &(&String, &Source)| source.column().map(str::to_owned).ok_or_else(|| (*key).clone());
        sources.iter().map(name).collect::<Result<_, _>>().map_or_else(KeySource::Elsewhere, KeySource::Columns)
    }

    /// Rows of the table, and the records that can't be one. `lacking` names columns of the records that have nothing to say: what is filled
    /// from them is left out. `loaded` is the time of `loaded_at`, in microseconds since the epoch.
    pub(crate) fn apply(&self, batch: &Batch, lacking: &[Arc<str>], loaded: i64) -> Result<(Batch, Vec<Rejection>)> {
        let Some(columns) = &self.columns else { return Ok((without(batch, lacking)?, Vec::new())) };
        let (rows, rejected) = metadata::with_text_keys(batch, columns.iter().map(|column| &column.source)).map_err(defect)?;
        let kept = columns.iter().filter(|column| !column.source.is_of(lacking));
        let (mut fields, mut arrays) = (Vec::with_capacity(columns.len()), Vec::with_capacity(columns.len()));
        for column in kept {
            fields.push(Arc::clone(&column.field));
            arrays.push(column.array(&rows, loaded).map_err(defect)?);
        }
        let columns = of_columns(Arc::new(ArrowSchema::new(fields)), arrays, rows.len()).map_err(defect)?;
        Ok((Batch::new(columns, rows.origin().clone()), rejected))
    }
}

impl Column {
    fn array(&self, rows: &Batch, loaded: i64) -> Result<ArrayRef, ArrowError> {
        let array = self.source.array(rows, loaded)?;
        match &self.default {
            Some(default) => defaults::filled(&array, default),
            None => Ok(array),
        }
    }
}

/// A batch without the columns of those names.
fn without(batch: &Batch, lacking: &[Arc<str>]) -> Result<Batch> {
    if lacking.is_empty() {
        return Ok(batch.clone());
    }
    let schema = batch.columns().schema();
    let kept: Vec<usize> =
        (0..schema.fields().len()).filter(|&column| !lacking.iter().any(|name| **name == *schema.field(column).name())).collect();
    let columns = batch.columns().project(&kept).map_err(defect)?;
    Ok(Batch::new(columns, batch.origin().clone()))
}

fn of_columns(schema: SchemaRef, arrays: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch, ArrowError> {
    RecordBatch::try_new_with_options(schema, arrays, &RecordBatchOptions::new().with_row_count(Some(rows)))
}

/// The schema of mapped columns: types by their Arrow names where Avro has its own.
fn schema(columns: &[Column], rows: &Schema) -> Schema {
    let fields: Vec<_> =
        columns.iter().map(|column| json!({"name": column.field.name(), "type": column.field.data_type().to_string()})).collect();
    let arrow = ArrowSchema::new(columns.iter().map(|column| Arc::clone(&column.field)).collect::<Vec<_>>());
    Schema::new(json!({"type": "record", "name": rows.name(), "fields": fields}), Arc::new(arrow))
}

/// The rows that `keep` says true of.
fn keep(batch: &Batch, keep: &arrow::array::BooleanArray) -> Result<Batch, ArrowError> {
    let origin: Origin = batch.origin().filter(keep)?;
    Ok(Batch::new(filter_record_batch(batch.columns(), keep)?, origin))
}

fn defect(error: ArrowError) -> Fault {
    Fault::fatal(Code::Internal, "a batch can't be mapped to the table's columns").because(error)
}

#[cfg(test)]
mod tests;
