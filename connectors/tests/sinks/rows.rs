//! Schemas and batches to load.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema as ArrowSchema};
use millrace_connectors::{Mode, TableConfig};
use millrace_model::{Batch, Offsets, Origin, Record, Records, RecordsBuilder, Schema, TopicPartition};
use serde_json::json;

/// Records of a topic from an offset on.
pub(crate) fn records(offset: i64, count: usize) -> Arc<Records> {
    records_of(0, offset, count)
}

/// Records of one partition from an offset on.
pub(crate) fn records_of(partition: i32, offset: i64, count: usize) -> Arc<Records> {
    let mut builder = RecordsBuilder::new("orders".into(), count);
    for offset in offset..offset + count as i64 {
        builder.push(&Record { topic: "orders", partition, offset, timestamp: 0, key: None, value: Some(b"v"), headers: &[] });
    }
    Arc::new(builder.finish())
}

/// A schema whose Arrow form is given; sinks go by that one.
pub(crate) fn schema(fields: Vec<Field>) -> Schema {
    let avro = json!({"type": "record", "name": "order", "fields": []});
    Schema::new(avro, Arc::new(ArrowSchema::new(fields)))
}

/// `id` and a nullable `note`.
pub(crate) fn notes() -> Schema {
    schema(vec![Field::new("id", DataType::Int64, false), Field::new("note", DataType::Utf8, true)])
}

/// Rows of [`notes`], each of a record of its own.
pub(crate) fn batch(rows: &[(i64, Option<&str>)]) -> Batch {
    rows_at(0, 0, rows)
}

/// The same, of the records of one partition from an offset on.
pub(crate) fn rows_at(partition: i32, offset: i64, rows: &[(i64, Option<&str>)]) -> Batch {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.0)));
    let texts: ArrayRef = Arc::new(rows.iter().map(|row| row.1).collect::<StringArray>());
    let columns = RecordBatch::try_new(Arc::clone(notes().arrow()), vec![ids, texts]).expect("two columns");
    Batch::new(columns, Origin::all(records_of(partition, offset, rows.len())))
}

/// The keys of rows of [`notes`].
pub(crate) fn keys(ids: &[i64]) -> Batch {
    let column: ArrayRef = Arc::new(Int64Array::from(ids.to_vec()));
    let fields = ArrowSchema::new(vec![Field::new("id", DataType::Int64, false)]);
    let columns = RecordBatch::try_new(Arc::new(fields), vec![column]).expect("one column");
    Batch::new(columns, Origin::all(records(0, ids.len())))
}

/// Each record becomes a row of its own.
pub(crate) fn append() -> TableConfig {
    TableConfig { pipeline: "shop.load".into(), table: "notes".into(), mode: Mode::Append, keys: vec![], partition_by: None, redis: None }
}

/// Each record replaces the row of its `id`.
pub(crate) fn upsert() -> TableConfig {
    TableConfig { mode: Mode::Upsert, keys: vec!["id".into()], ..append() }
}

/// The first record of each `id` stays.
pub(crate) fn insert_ignore() -> TableConfig {
    TableConfig { mode: Mode::InsertIgnore, ..upsert() }
}

/// The table follows another one.
pub(crate) fn mirror() -> TableConfig {
    TableConfig { mode: Mode::Mirror, ..upsert() }
}

/// Whole loads take the place of the table's rows.
pub(crate) fn replace() -> TableConfig {
    TableConfig { mode: Mode::Replace, ..append() }
}

/// Rows of [`notes`] that have nothing to say about the note.
pub(crate) fn without_notes(ids: &[i64]) -> Batch {
    keys(ids)
}

/// The one partition of these tests.
pub(crate) fn partition() -> TopicPartition {
    TopicPartition::new("orders", 0)
}

/// Its position.
pub(crate) fn at(offset: i64) -> Offsets {
    [(partition(), offset)].into()
}
