//! A table that is replaced load by load and takes rows of another schema meanwhile.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field};
use millrace_model::{Batch, Commit, Edge, LoadBound, Offsets, Origin, Schema, Sink, TopicPartition};

use crate::rows::{notes, records_of, replace, rows_at, schema};
use crate::warehouse::Warehouse;

/// That of notes with an `author`.
fn authored() -> Schema {
    let fields = [("id", DataType::Int64, false), ("note", DataType::Utf8, true), ("author", DataType::Utf8, true)];
    schema(fields.into_iter().map(|(name, kind, nullable)| Field::new(name, kind, nullable)).collect())
}

fn batch_of(schema: &Schema, columns: Vec<ArrayRef>, partition: i32, offset: i64) -> Batch {
    let rows = columns[0].len();
    let columns = RecordBatch::try_new(Arc::clone(schema.arrow()), columns).expect("columns of the schema");
    Batch::new(columns, Origin::all(records_of(partition, offset, rows)))
}

/// A note by an author.
fn authored_at(partition: i32, offset: i64, id: i64, author: &str) -> Batch {
    let text = |text: &str| Arc::new(StringArray::from(vec![text])) as ArrayRef;
    batch_of(&authored(), vec![Arc::new(Int64Array::from(vec![id])), text("new"), text(author)], partition, offset)
}

fn place(partition: i32) -> TopicPartition {
    TopicPartition::new("orders", partition)
}

async fn opened(warehouse: &dyn Warehouse, schema: &Schema, partition: i32) -> Box<dyn Sink> {
    let mut sink = warehouse.open(&replace(), schema).await.expect("opens");
    sink.claim(&[place(partition)]).await.expect("claims");
    sink
}

/// The end of a load of a topic of two partitions.
fn end(load: &str, partition: i32, offset: i64) -> LoadBound {
    LoadBound { edge: Edge::End, load: load.into(), origin: Origin::all(records_of(partition, offset, 1)), partitions: 2 }
}

/// Writes rows and ends of loads of one partition, and commits from one offset to another.
async fn round(sink: &mut Box<dyn Sink>, rows: &[Batch], ends: Vec<LoadBound>, partition: i32, (from, to): (i64, i64)) {
    for rows in rows {
        assert_eq!(sink.write(rows).await.expect("writes"), []);
    }
    for end in ends {
        sink.bound(end).await.expect("ends");
    }
    assert!(sink.settle().await.expect("settles").is_empty());
    let at = |offset| if offset == 0 { Offsets::new() } else { Offsets::from([(place(partition), offset)]) };
    assert_eq!(sink.commit(&at(from), &at(to)).await.expect("commits"), Commit::Done);
}

/// The rows as text, null as `-`.
async fn shown(warehouse: &dyn Warehouse, columns: &[&str]) -> Vec<String> {
    let rows = warehouse.values(columns).await;
    rows.iter().map(|row| row.iter().map(|value| value.as_deref().unwrap_or("-")).collect::<Vec<_>>().join(" ")).collect()
}

const ALL: [&str; 3] = ["id", "note", "author"];

pub(crate) async fn a_column_comes_with_a_load_that_is_under_way(warehouse: &dyn Warehouse) {
    let mut sink = opened(warehouse, &notes(), 0).await;
    let mut other = opened(warehouse, &notes(), 1).await;
    round(&mut other, &[rows_at(1, 0, &[(9, None)])], vec![end("a", 1, 1), end("b", 1, 2)], 1, (0, 3)).await;
    round(&mut sink, &[rows_at(0, 0, &[(1, Some("old"))])], vec![], 0, (0, 1)).await;
    sink.reshape(&authored()).await.expect("takes the column");
    round(&mut sink, &[authored_at(0, 1, 2, "me")], vec![end("a", 0, 2)], 0, (1, 3)).await;
    assert_eq!(shown(warehouse, &ALL).await, ["1 old -", "2 new me", "9 - -"]);
    round(&mut sink, &[authored_at(0, 3, 3, "you")], vec![end("b", 0, 4)], 0, (3, 5)).await;
    assert_eq!(shown(warehouse, &ALL).await, ["3 new you"]);
}

pub(crate) async fn a_loader_that_does_not_know_a_column_brings_it_into_the_table(warehouse: &dyn Warehouse) {
    let mut old = opened(warehouse, &notes(), 1).await;
    let mut sink = opened(warehouse, &notes(), 0).await;
    sink.reshape(&authored()).await.expect("takes the column");
    round(&mut sink, &[authored_at(0, 0, 1, "me")], vec![end("a", 0, 1)], 0, (0, 2)).await;
    round(&mut old, &[rows_at(1, 0, &[(2, Some("old"))])], vec![end("a", 1, 1)], 1, (0, 2)).await;
    assert_eq!(shown(warehouse, &ALL).await, ["1 new me", "2 old -"]);
}

pub(crate) async fn a_column_that_left_the_schema_keeps_the_values_of_the_load(warehouse: &dyn Warehouse) {
    let mut sink = opened(warehouse, &authored(), 0).await;
    let mut other = opened(warehouse, &authored(), 1).await;
    round(&mut other, &[], vec![end("a", 1, 0)], 1, (0, 1)).await;
    round(&mut sink, &[authored_at(0, 0, 1, "me")], vec![], 0, (0, 1)).await;
    sink.reshape(&notes()).await.expect("takes fewer columns");
    round(&mut sink, &[rows_at(0, 1, &[(2, None)])], vec![end("a", 0, 2)], 0, (1, 3)).await;
    assert_eq!(shown(warehouse, &ALL).await, ["1 new me", "2 - -"]);
}

pub(crate) async fn a_column_that_the_owner_has_added_is_loaded(warehouse: &dyn Warehouse) {
    let mut sink = opened(warehouse, &notes(), 0).await;
    round(&mut sink, &[rows_at(0, 0, &[(1, Some("old"))])], vec![], 0, (0, 1)).await;
    drop(sink);
    warehouse.execute("ALTER TABLE notes ADD COLUMN author text").await;
    let mut sink = opened(warehouse, &authored(), 0).await;
    let mut other = opened(warehouse, &authored(), 1).await;
    round(&mut other, &[], vec![end("a", 1, 0)], 1, (0, 1)).await;
    round(&mut sink, &[authored_at(0, 1, 2, "me")], vec![end("a", 0, 2)], 0, (1, 3)).await;
    assert_eq!(shown(warehouse, &ALL).await, ["1 old -", "2 new me"]);
}

pub(crate) async fn a_claim_undoes_the_growth_of_a_load(warehouse: &dyn Warehouse) {
    let mut sink = opened(warehouse, &notes(), 0).await;
    sink.reshape(&authored()).await.expect("takes the column");
    assert_eq!(sink.write(&authored_at(0, 0, 1, "void")).await.expect("writes"), []);
    assert_eq!(sink.claim(&[place(0)]).await.expect("claims"), Offsets::new());
    if !warehouse.defines_at_once() {
        assert_eq!(warehouse.columns().await, ["id", "note"]);
    }
    let mut other = opened(warehouse, &notes(), 1).await;
    round(&mut other, &[], vec![end("a", 1, 0)], 1, (0, 1)).await;
    round(&mut sink, &[rows_at(0, 0, &[(1, None)])], vec![], 0, (0, 1)).await;
    sink.reshape(&authored()).await.expect("takes the column");
    round(&mut sink, &[authored_at(0, 1, 2, "me")], vec![end("a", 0, 2)], 0, (1, 3)).await;
    assert_eq!(shown(warehouse, &ALL).await, ["1 - -", "2 new me"]);
}

/// A number that was an int becomes a long, and may be null.
pub(crate) async fn a_type_is_widened_while_a_load_is_under_way(warehouse: &dyn Warehouse) {
    let numbered = |kind, nullable| schema(vec![Field::new("id", DataType::Int64, false), Field::new("n", kind, nullable)]);
    let (narrow, wide) = (numbered(DataType::Int32, false), numbered(DataType::Int64, true));
    let id = |id| Arc::new(Int64Array::from(vec![id])) as ArrayRef;
    let narrow_row = |offset, key| batch_of(&narrow, vec![id(key), Arc::new(Int32Array::from(vec![7]))], 1, offset);
    let mut old = opened(warehouse, &narrow, 1).await;
    round(&mut old, &[narrow_row(0, 1)], vec![], 1, (0, 1)).await;
    let mut sink = opened(warehouse, &narrow, 0).await;
    sink.reshape(&wide).await.expect("is widened");
    let large = batch_of(&wide, vec![id(2), Arc::new(Int64Array::from(vec![1_i64 << 40]))], 0, 0);
    round(&mut sink, &[large], vec![end("a", 0, 1)], 0, (0, 2)).await;
    round(&mut old, &[narrow_row(1, 3)], vec![end("a", 1, 2)], 1, (1, 3)).await;
    assert_eq!(shown(warehouse, &["id", "n"]).await, ["1 7", "2 1099511627776", "3 7"]);
}
