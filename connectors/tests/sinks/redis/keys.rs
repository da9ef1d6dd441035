//! Keys, values and what stands in their way.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field};
use millrace_connectors::TableConfig;
use millrace_connectors::redis::{Form, Rows};
use millrace_model::{Batch, Code, Commit, Offsets, Origin, Schema, Sink};
use millrace_runtime::project::Millis;

use super::Redis;
use crate::rows::{at, batch, insert_ignore, keys, mirror, notes, partition, records, schema, upsert, without_notes};
use crate::warehouse::Warehouse;

fn kept(table: TableConfig, form: Form, key: Option<&str>) -> TableConfig {
    TableConfig { redis: Some(Rows { form, key: key.map(str::to_owned), ttl: None }), ..table }
}

async fn opened(place: &Redis, table: &TableConfig, schema: &Schema) -> Box<dyn Sink> {
    let mut sink = place.connection().open(table, schema).await.expect("opens");
    sink.claim(&[partition()]).await.expect("claims");
    sink
}

/// Settles and commits the next round; returns what the server's keys made impossible.
async fn round(sink: &mut Box<dyn Sink>, from: i64) -> Vec<(i64, Code)> {
    let rejected = sink.settle().await.expect("settles");
    let before = if from == 0 { Offsets::new() } else { at(from) };
    assert_eq!(sink.commit(&before, &at(from + 1)).await.expect("commits"), Commit::Done);
    rejected.iter().map(|one| (one.record().offset, one.code())).collect()
}

#[tokio::test]
async fn rows_are_where_their_template_says_and_positions_where_the_guide_says() {
    let place = Redis::hashes("template").await;
    let mut sink = opened(&place, &kept(upsert(), Form::Column("note".into()), Some("note/{id}")), &notes()).await;
    let seen = sink.write(&batch(&[(7, Some("a")), (8, None)])).await.expect("writes");
    assert_eq!(seen.iter().map(|one| (one.record, one.code)).collect::<Vec<_>>(), [(1, Code::ValueNull)]);
    assert_eq!(round(&mut sink, 0).await, []);
    assert_eq!(place.ask::<String>(&["GET", "note/7"]).await, "a");
    assert_eq!(place.ask::<String>(&["GET", "millrace:position:shop.load:orders:0"]).await, "1");
    assert_eq!(place.ask::<i64>(&["DBSIZE"]).await, 2);
    sink.delete(&keys(&[7])).await.expect("deletes");
    assert_eq!(round(&mut sink, 1).await, []);
    assert_eq!(place.ask::<i64>(&["DBSIZE"]).await, 1);
}

#[tokio::test]
async fn a_row_stays_for_its_time_from_its_last_write_on() {
    for form in [Form::Hash, Form::Json] {
        let place = Redis::hashes("ttl").await;
        let rows = Rows { form, key: None, ttl: Some(Millis::new(3_600_000)) };
        let mut sink = opened(&place, &TableConfig { redis: Some(rows), ..upsert() }, &notes()).await;
        sink.write(&batch(&[(1, None)])).await.expect("writes");
        assert_eq!(round(&mut sink, 0).await, []);
        let left: i64 = place.ask(&["PTTL", "notes:1"]).await;
        assert!((3_500_000..=3_600_000).contains(&left), "{left}");
        place.ask::<()>(&["PEXPIRE", "notes:1", "100000"]).await;
        sink.write(&batch(&[(1, Some("again"))])).await.expect("writes");
        assert_eq!(round(&mut sink, 1).await, []);
        assert!(place.ask::<i64>(&["PTTL", "notes:1"]).await > 3_500_000);
        assert_eq!(place.ask::<i64>(&["PTTL", "millrace:position:shop.load:orders:0"]).await, -1, "positions stay for ever");
    }
}

#[tokio::test]
async fn a_key_that_holds_something_else_is_left_as_it_is_and_its_records_are_rejected() {
    for form in [Form::Hash, Form::Json, Form::Column("note".into())] {
        for table in [upsert(), insert_ignore(), mirror()] {
            let place = Redis::hashes("other_type").await;
            place.ask::<()>(&["RPUSH", "notes:2", "theirs"]).await;
            let mut sink = opened(&place, &kept(table.clone(), form.clone(), None), &notes()).await;
            sink.write(&batch(&[(1, Some("a")), (2, Some("b")), (3, Some("c")), (2, Some("d"))])).await.expect("writes");
            assert_eq!(round(&mut sink, 0).await, [(1, Code::RowRefused), (3, Code::RowRefused)]);
            assert_eq!(place.ask::<i64>(&["EXISTS", "notes:1", "notes:3"]).await, 2);
            if table.mode.deletes() {
                sink.delete(&keys(&[2, 3])).await.expect("deletes");
                assert_eq!(round(&mut sink, 1).await, [(0, Code::RowRefused)]);
                assert_eq!(place.ask::<i64>(&["EXISTS", "notes:1", "notes:3"]).await, 1);
            }
            assert_eq!(place.ask::<Vec<String>>(&["LRANGE", "notes:2", "0", "-1"]).await, ["theirs"]);
        }
    }
}

#[tokio::test]
async fn fields_and_members_of_others_stay_where_only_some_columns_change() {
    let place = Redis::hashes("others").await;
    place.ask::<()>(&["HSET", "notes:1", "id", "1", "note", "kept", "theirs", "x"]).await;
    let mut sink = opened(&place, &mirror(), &notes()).await;
    sink.write(&without_notes(&[1])).await.expect("writes");
    assert_eq!(round(&mut sink, 0).await, []);
    assert_eq!(place.ask::<Vec<String>>(&["HMGET", "notes:1", "note", "theirs"]).await, ["kept", "x"]);

    let place = Redis::json("others").await;
    place.ask::<()>(&["SET", "notes:1", r#"{"theirs":1.50,"note":"kept","id":1}"#]).await;
    place.ask::<()>(&["SET", "notes:2", "no object"]).await;
    let mut sink = opened(&place, &kept(mirror(), Form::Json, None), &notes()).await;
    sink.write(&without_notes(&[1, 2])).await.expect("writes");
    assert_eq!(round(&mut sink, 0).await, [(1, Code::RowRefused)]);
    assert_eq!(place.ask::<String>(&["GET", "notes:1"]).await, r#"{"id":1,"note":"kept","theirs":1.50}"#);
    assert_eq!(place.ask::<String>(&["GET", "notes:2"]).await, "no object");
}

#[tokio::test]
async fn a_truncation_deletes_the_rows_of_its_pipeline_and_nothing_else() {
    let place = Redis::hashes("truncation").await;
    let mut sink = opened(&place, &mirror(), &notes()).await;
    sink.write(&batch(&[(1, None), (2, None)])).await.expect("writes");
    assert_eq!(round(&mut sink, 0).await, []);
    place.ask::<()>(&["SET", "notes:of:another", "x"]).await;
    place.ask::<()>(&["DEL", "notes:2"]).await;
    place.ask::<()>(&["RPUSH", "notes:2", "theirs"]).await;
    sink.write(&batch(&[(3, None)])).await.expect("writes");
    sink.clear(Origin::all(records(1, 1))).await.expect("clears");
    sink.write(&batch(&[(4, None)])).await.expect("writes");
    assert_eq!(round(&mut sink, 1).await, []);
    let mut left: Vec<String> = place.ask(&["KEYS", "notes:*"]).await;
    left.sort_unstable();
    assert_eq!(left, ["notes:2", "notes:4", "notes:of:another"]);
    assert_eq!(place.ask::<Vec<String>>(&["SMEMBERS", "millrace:rows:shop.load"]).await, ["notes:4"]);
}

#[tokio::test]
async fn a_round_whose_keys_change_under_it_is_looked_at_again() {
    let place = Redis::json("disturbed").await;
    place.ask::<()>(&["SET", "notes:1", r#"{"id":1,"note":"old"}"#]).await;
    let mut sink = opened(&place, &kept(mirror(), Form::Json, None), &notes()).await;
    sink.write(&without_notes(&[1])).await.expect("writes");
    assert!(sink.settle().await.expect("settles").is_empty());
    place.ask::<()>(&["SET", "notes:1", r#"{"id":1,"note":"theirs"}"#]).await;
    assert_eq!(sink.commit(&Offsets::new(), &at(1)).await.expect("commits"), Commit::Done);
    assert_eq!(place.ask::<String>(&["GET", "notes:1"]).await, r#"{"id":1,"note":"theirs"}"#);

    // What would have been rejected, had it been there when the round was settled, voids the round.
    sink.write(&without_notes(&[1, 2])).await.expect("writes");
    assert!(sink.settle().await.expect("settles").is_empty());
    place.ask::<()>(&["RPUSH", "notes:2", "theirs"]).await;
    let fault = sink.commit(&at(1), &at(2)).await.expect_err("can't be told any more");
    assert_eq!((fault.code(), fault.retry()), (Code::TargetUnavailable, millrace_model::Retry::BackOff), "{fault}");
    assert_eq!(sink.claim(&[partition()]).await.expect("claims"), at(1));
    sink.write(&batch(&[(1, None), (2, None)])).await.expect("writes");
    assert_eq!(round(&mut sink, 1).await, [(1, Code::RowRefused)]);
    assert_eq!(place.ask::<String>(&["GET", "notes:1"]).await, r#"{"id":1,"note":null}"#);
}

#[tokio::test]
async fn no_command_of_a_round_fails_whatever_others_put_at_its_keys_meanwhile() {
    for form in [Form::Hash, Form::Json] {
        let place = Redis::hashes("meanwhile").await;
        let mut sink = opened(&place, &kept(upsert(), form, None), &notes()).await;
        sink.write(&batch(&[(1, Some("a")), (2, Some("b"))])).await.expect("writes");
        assert!(sink.settle().await.expect("settles").is_empty());
        place.ask::<()>(&["RPUSH", "notes:2", "theirs"]).await;
        assert_eq!(sink.commit(&Offsets::new(), &at(1)).await.expect("commits"), Commit::Done);
        let types = [place.ask::<String>(&["TYPE", "notes:1"]).await, place.ask::<String>(&["TYPE", "notes:2"]).await];
        assert_eq!(types[0], types[1], "both rows are there");
    }
}

#[tokio::test]
async fn rows_can_not_pass_for_millraces_own_keys_and_numbers_that_json_has_not_are_rejected() {
    let schema = schema(vec![Field::new("id", DataType::Utf8, false), Field::new("share", DataType::Float64, true)]);
    let ids: ArrayRef = Arc::new(StringArray::from(vec!["millrace:position:shop.load:orders:0", "a", "b"]));
    let shares: ArrayRef = Arc::new(Float64Array::from(vec![Some(1.0), Some(f64::NAN), Some(0.5)]));
    let rows = RecordBatch::try_new(Arc::clone(schema.arrow()), vec![ids, shares]).expect("two columns");
    let rows = Batch::new(rows, Origin::all(records(0, 3)));
    let place = Redis::json("reserved").await;
    let mut sink = opened(&place, &kept(upsert(), Form::Json, Some("{id}")), &schema).await;
    let mut seen = sink.write(&rows).await.expect("writes");
    seen.sort_by_key(|one| one.record);
    assert_eq!(seen.iter().map(|one| (one.record, one.code)).collect::<Vec<_>>(), [(0, Code::ValueForbidden), (1, Code::ValueForbidden)]);
    assert_eq!(round(&mut sink, 0).await, []);
    assert_eq!(place.ask::<String>(&["GET", "b"]).await, r#"{"id":"b","share":0.5}"#);
    assert_eq!(sink.claim(&[partition()]).await.expect("claims"), at(1));
}

#[tokio::test]
async fn a_key_column_of_another_type_is_not_followed() {
    let place = Redis::hashes("other_key").await;
    let mut sink = opened(&place, &upsert(), &notes()).await;
    let note = || Field::new("note", DataType::Utf8, true);
    let fault = sink.reshape(&schema(vec![Field::new("id", DataType::Date32, false), note()])).await.expect_err("makes other keys");
    assert_eq!(fault.code(), Code::TargetSchema, "{fault}");
    sink.reshape(&schema(vec![Field::new("id", DataType::Int32, false), note()])).await.expect("makes the same keys");
    sink.claim(&[partition()]).await.expect("claims");
    sink.write(&batch(&[(1, None)])).await.expect("writes");
    assert_eq!(round(&mut sink, 0).await, []);
}

#[tokio::test]
async fn a_large_round_is_one_transaction_and_takes_no_longer_than_it_should() {
    let place = Redis::hashes("large").await;
    let mut sink = opened(&place, &upsert(), &notes()).await;
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..100_000));
    let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("a note of usual length"); 100_000]));
    let rows = RecordBatch::try_new(Arc::clone(notes().arrow()), vec![ids, texts]).expect("two columns");
    let started = std::time::Instant::now();
    sink.write(&Batch::new(rows, Origin::all(records(0, 100_000)))).await.expect("writes");
    assert_eq!(round(&mut sink, 0).await, []);
    assert_eq!(place.ask::<i64>(&["DBSIZE"]).await, 100_001);
    println!("100,000 rows in {:?}", started.elapsed());
    assert!(started.elapsed() < Duration::from_secs(30));
    place.ask::<()>(&["FLUSHDB"]).await;
}
