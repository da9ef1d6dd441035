//! A table that takes rows of another schema: the part of the suite about growth.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field};
use futures::future::join_all;
use millrace_connectors::TableConfig;
use millrace_model::{Batch, Code, Commit, Offsets, Origin, Retry, Schema, Sink, TopicPartition};

use crate::rows::{append, at, batch, keys, notes, partition, records, schema, upsert};
use crate::warehouse::Warehouse;

/// That of notes with an `author`.
fn authored() -> Schema {
    let fields = [("id", DataType::Int64, false), ("note", DataType::Utf8, true), ("author", DataType::Utf8, false)];
    schema(fields.into_iter().map(|(name, kind, nullable)| Field::new(name, kind, nullable)).collect())
}

fn authored_batch(id: i64) -> Batch {
    let columns: Vec<ArrayRef> =
        vec![Arc::new(Int64Array::from(vec![id])), Arc::new(StringArray::from(vec!["new"])), Arc::new(StringArray::from(vec!["me"]))];
    let columns = RecordBatch::try_new(Arc::clone(authored().arrow()), columns).expect("three columns");
    Batch::new(columns, Origin::all(records(0, 1)))
}

/// The columns after a round that was to add one and is void.
fn void(warehouse: &dyn Warehouse) -> &'static [&'static str] {
    if warehouse.defines_at_once() { &["id", "note", "author"] } else { &["id", "note"] }
}

/// Writes a batch and commits from one position to another.
async fn load(sink: &mut Box<dyn Sink>, batch: &Batch, from: &Offsets, to: &Offsets) -> Commit {
    assert_eq!(sink.write(batch).await.expect("writes"), []);
    assert!(sink.settle().await.expect("settles").is_empty());
    sink.commit(from, to).await.expect("commits")
}

pub(crate) async fn a_column_comes_with_the_first_row_that_has_it(warehouse: &dyn Warehouse) {
    for table in warehouse.able([append(), upsert()]) {
        let mut sink = warehouse.claimed(&table, None).await;
        assert_eq!(load(&mut sink, &batch(&[(1, Some("old"))]), &Offsets::new(), &at(1)).await, Commit::Done);
        sink.reshape(&authored()).await.expect("takes the column");
        assert_eq!(load(&mut sink, &authored_batch(2), &at(1), &at(2)).await, Commit::Done);
        assert_eq!(load(&mut sink, &authored_batch(3), &at(2), &at(3)).await, Commit::Done);
        let shown = warehouse.values(&["id", "note", "author"]).await;
        let shown: Vec<Vec<Option<&str>>> = shown.iter().map(|row| row.iter().map(Option::as_deref).collect()).collect();
        let new = |id| vec![Some(id), Some("new"), Some("me")];
        assert_eq!(shown, [vec![Some("1"), Some("old"), None], new("2"), new("3")]);
        assert_eq!(sink.claim(&[partition()]).await.expect("claims"), at(3));
        if table == upsert() {
            assert_eq!(sink.delete(&keys(&[2])).await.expect("deletes"), []);
            assert!(sink.settle().await.expect("settles").is_empty());
            assert_eq!(sink.commit(&at(3), &at(4)).await.expect("commits"), Commit::Done);
            assert_eq!(warehouse.notes().await.len(), 2);
        }
        drop(sink);
        warehouse.clean().await;
    }
}

/// The project was deployed with a new column in its schema: nobody but the load adds it.
pub(crate) async fn a_column_that_was_deployed_comes_with_the_first_row_too(warehouse: &dyn Warehouse) {
    for table in warehouse.able([append(), upsert()]) {
        let mut sink = warehouse.claimed(&table, None).await;
        assert_eq!(load(&mut sink, &batch(&[(1, Some("old"))]), &Offsets::new(), &at(1)).await, Commit::Done);
        drop(sink);
        let mut sink = warehouse.open(&table, &authored()).await.expect("opens");
        assert_eq!(sink.claim(&[partition()]).await.expect("claims"), at(1));
        assert!(sink.settle().await.expect("settles").is_empty());
        assert_eq!(sink.commit(&at(1), &at(2)).await.expect("commits"), Commit::Done);
        assert_eq!(warehouse.columns().await, ["id", "note"], "no row has needed it");
        assert_eq!(sink.write(&authored_batch(2)).await.expect("writes"), []);
        assert_eq!(sink.claim(&[partition()]).await.expect("claims"), at(2));
        assert_eq!(warehouse.columns().await, void(warehouse), "the round is void");
        assert_eq!(load(&mut sink, &authored_batch(2), &at(2), &at(3)).await, Commit::Done);
        assert_eq!(load(&mut sink, &authored_batch(3), &at(3), &at(4)).await, Commit::Done);
        let shown = warehouse.values(&["id", "author"]).await;
        let shown: Vec<Vec<Option<&str>>> = shown.iter().map(|row| row.iter().map(Option::as_deref).collect()).collect();
        assert_eq!(shown, [[Some("1"), None], [Some("2"), Some("me")], [Some("3"), Some("me")]]);
        drop(sink);
        warehouse.clean().await;
    }
}

pub(crate) async fn a_crash_at_any_point_before_the_commit_leaves_the_table_as_it_was(warehouse: &dyn Warehouse) {
    for table in warehouse.able([append(), upsert()]) {
        let mut sink = warehouse.claimed(&table, None).await;
        assert_eq!(load(&mut sink, &batch(&[(1, None)]), &Offsets::new(), &at(1)).await, Commit::Done);
        drop(sink);
        for point in 0..3 {
            let mut sink = warehouse.claimed(&table, Some(1)).await;
            sink.reshape(&authored()).await.expect("takes the column");
            if point > 0 {
                assert_eq!(sink.write(&authored_batch(2)).await.expect("writes"), []);
            }
            if point > 1 {
                assert!(sink.settle().await.expect("settles").is_empty());
            }
            drop(sink);
            assert_eq!(warehouse.columns().await, void(warehouse), "after a crash at point {point}");
            assert_eq!(warehouse.notes().await, ["1 null"]);
        }
        let mut sink = warehouse.claimed(&table, Some(1)).await;
        sink.reshape(&authored()).await.expect("takes the column");
        assert_eq!(load(&mut sink, &authored_batch(2), &at(1), &at(2)).await, Commit::Done);
        assert_eq!(warehouse.columns().await, ["id", "note", "author"]);
        drop(sink);
        let mut old = warehouse.claimed(&table, Some(2)).await;
        assert_eq!(load(&mut old, &batch(&[(3, None)]), &at(2), &at(3)).await, Commit::Done, "rows of the former schema fit as well");
        drop(old);
        warehouse.clean().await;
    }
}

pub(crate) async fn a_claim_undoes_a_growth_that_was_not_committed(warehouse: &dyn Warehouse) {
    for table in warehouse.able([append(), upsert()]) {
        let mut sink = warehouse.claimed(&table, None).await;
        sink.reshape(&authored()).await.expect("takes the column");
        assert_eq!(sink.write(&authored_batch(1)).await.expect("writes"), []);
        assert_eq!(sink.claim(&[partition()]).await.expect("claims"), Offsets::new());
        assert_eq!(warehouse.columns().await, void(warehouse));
        assert_eq!(load(&mut sink, &batch(&[(1, None)]), &Offsets::new(), &at(1)).await, Commit::Done);
        sink.reshape(&authored()).await.expect("takes the column");
        assert_eq!(load(&mut sink, &authored_batch(2), &at(1), &at(2)).await, Commit::Done);
        assert_eq!(warehouse.columns().await, ["id", "note", "author"]);
        drop(sink);
        warehouse.clean().await;
    }
}

pub(crate) async fn a_column_that_left_the_schema_stays(warehouse: &dyn Warehouse) {
    for table in warehouse.able([append(), upsert()]) {
        let mut sink = warehouse.claimed(&table, None).await;
        assert_eq!(load(&mut sink, &batch(&[(1, Some("kept"))]), &Offsets::new(), &at(1)).await, Commit::Done);
        let ids = schema(vec![Field::new("id", DataType::Int64, false)]);
        sink.reshape(&ids).await.expect("takes fewer columns");
        assert_eq!(load(&mut sink, &keys(&[2]), &at(1), &at(2)).await, Commit::Done);
        assert_eq!(warehouse.notes().await, ["1 kept", "2 null"]);
        drop(sink);
        warehouse.clean().await;
    }
}

pub(crate) async fn a_schema_that_the_table_can_not_take_is_refused_and_the_former_goes_on(warehouse: &dyn Warehouse) {
    for table in warehouse.able([append(), upsert()]) {
        warehouse.execute("CREATE TABLE notes (id bigint PRIMARY KEY, note text NOT NULL)").await;
        let mut sink = warehouse.claimed(&table, None).await;
        let ids = schema(vec![Field::new("id", DataType::Int64, false)]);
        let numbers = schema(vec![Field::new("id", DataType::Int64, false), Field::new("note", DataType::Int64, false)]);
        for other in [ids, numbers] {
            let fault = sink.reshape(&other).await.expect_err("does not fit");
            assert_eq!((fault.code(), fault.retry()), (Code::TargetSchema, Retry::Operator), "{fault}");
            assert!(fault.message().contains("\"note\""), "{fault}");
        }
        assert_eq!(load(&mut sink, &batch(&[(1, Some("a"))]), &Offsets::new(), &at(1)).await, Commit::Done);
        assert_eq!(warehouse.notes().await, ["1 a"]);
        drop(sink);
        warehouse.clean().await;
    }
}

/// Loaders of one table, each of a partition of its own.
pub(crate) async fn loaders_that_grow_a_table_at_once_all_go_on(warehouse: &dyn Warehouse) {
    for table in warehouse.able([append(), upsert()]) {
        drop(warehouse.claimed(&table, None).await);
        let rounds = (0..4).map(|number| grow_and_go_on(warehouse, &table, number));
        join_all(rounds).await;
        let authors = warehouse.values(&["author"]).await;
        assert_eq!(authors.iter().filter(|row| row[0].as_deref() == Some("me")).count(), 8);
        warehouse.clean().await;
    }
}

async fn grow_and_go_on(warehouse: &dyn Warehouse, table: &TableConfig, number: i32) {
    let place = TopicPartition::new("orders", number);
    let offsets = |offset| Offsets::from([(place.clone(), offset)]);
    let mut sink = warehouse.open(table, &notes()).await.expect("opens");
    sink.claim(std::slice::from_ref(&place)).await.expect("claims");
    let id = i64::from(number) * 10;
    assert_eq!(load(&mut sink, &batch(&[(id, None)]), &Offsets::new(), &offsets(1)).await, Commit::Done);
    sink.reshape(&authored()).await.expect("takes the column");
    assert_eq!(load(&mut sink, &authored_batch(id + 1), &offsets(1), &offsets(2)).await, Commit::Done);
    assert_eq!(load(&mut sink, &authored_batch(id + 2), &offsets(2), &offsets(3)).await, Commit::Done);
}
