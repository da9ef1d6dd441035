//! What only a lake must do.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use arrow::datatypes::{DataType, Field, TimeUnit};
use millrace_connectors::{PartitionBy, Partitioning, TableConfig};
use millrace_model::{Batch, Code, Commit, Offsets, Origin, Retry, Schema};
use serde_json::json;
use tokio::net::TcpListener;

use super::Lake;
use crate::rows::{append, at, batch, notes, partition, records, schema, upsert};
use crate::warehouse::Warehouse;

async fn local() -> Lake {
    Lake::local("").await
}

#[tokio::test]
async fn only_what_is_published_is_the_table() {
    let lake = local().await;
    let warehouse: &dyn Warehouse = &lake;
    let mut crashed = warehouse.claimed(&append(), None).await;
    crashed.write(&batch(&[(1, Some("lost"))])).await.expect("writes");
    crashed.settle().await.expect("settles");
    drop(crashed);
    let mut sink = warehouse.claimed(&append(), None).await;
    sink.write(&batch(&[(1, Some("kept"))])).await.expect("writes");
    sink.settle().await.expect("settles");
    assert_eq!(sink.commit(&Offsets::new(), &at(1)).await.expect("commits"), Commit::Done);
    let files = std::fs::read_dir(lake.folder("notes")).expect("a folder").filter_map(Result::ok);
    let parquet = files.filter(|file| file.path().extension().is_some_and(|extension| extension == "parquet")).count();
    assert_eq!(parquet, 2, "the crash left a file");
    assert_eq!(lake.seen("notes").files().len(), 1, "which is no part of the table");
    assert_eq!(warehouse.notes().await, ["1 kept"]);
}

#[tokio::test]
async fn what_a_fenced_writer_wrote_is_taken_away() {
    let lake = local().await;
    let warehouse: &dyn Warehouse = &lake;
    let mut old = warehouse.claimed(&append(), None).await;
    let mut new = warehouse.claimed(&append(), None).await;
    for sink in [&mut new, &mut old] {
        sink.write(&batch(&[(1, None)])).await.expect("writes");
        sink.settle().await.expect("settles");
    }
    assert_eq!(new.commit(&Offsets::new(), &at(1)).await.expect("commits"), Commit::Done);
    assert_eq!(old.commit(&Offsets::new(), &at(1)).await.expect("is fenced"), Commit::Fenced);
    let entries = std::fs::read_dir(lake.folder("notes")).expect("a folder").count();
    assert_eq!(entries, 2, "the log and one file");
}

#[tokio::test]
async fn a_file_that_is_large_enough_is_followed_by_another() {
    let lake = local().await;
    let connection = lake.with(&json!({ "file_size": "1KiB", "compression": "none" }));
    let mut sink = connection.open(&append(), &notes()).await.expect("opens");
    sink.claim(&[partition()]).await.expect("claims");
    let text = "x".repeat(2_000);
    for id in 0..3 {
        sink.write(&batch(&[(id, Some(&format!("{id}{text}")))])).await.expect("writes");
    }
    sink.settle().await.expect("settles");
    assert_eq!(sink.commit(&Offsets::new(), &at(3)).await.expect("commits"), Commit::Done);
    assert_eq!(lake.seen("notes").files().len(), 3);
    assert_eq!(lake.seen("notes").rows(&["id"]).len(), 3);
}

/// `id`, a nullable `kind`, a nullable instant `at`.
fn events() -> Schema {
    let instant = DataType::Timestamp(TimeUnit::Millisecond, Some("+00:00".into()));
    schema(vec![Field::new("id", DataType::Int64, false), Field::new("kind", DataType::Utf8, true), Field::new("at", instant, true)])
}

fn event_batch(rows: &[(Option<&str>, Option<i64>)]) -> Batch {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows.len() as i64));
    let kinds: ArrayRef = Arc::new(rows.iter().map(|row| row.0).collect::<StringArray>());
    let times: ArrayRef = Arc::new(rows.iter().map(|row| row.1).collect::<TimestampMillisecondArray>().with_timezone("+00:00"));
    let columns = RecordBatch::try_new(Arc::clone(events().arrow()), vec![ids, kinds, times]).expect("three columns");
    Batch::new(columns, Origin::all(records(0, rows.len())))
}

fn by(column: &str, by: Partitioning) -> TableConfig {
    TableConfig { partition_by: Some(PartitionBy { column: column.into(), by, partitions: None }), ..append() }
}

async fn load(lake: &Lake, table: &TableConfig, rows: &[(Option<&str>, Option<i64>)]) -> Vec<Code> {
    let mut sink = lake.connection().open(table, &events()).await.expect("opens");
    sink.claim(&[partition()]).await.expect("claims");
    let rejected = sink.write(&event_batch(rows)).await.expect("writes");
    sink.settle().await.expect("settles");
    assert_eq!(sink.commit(&Offsets::new(), &at(rows.len() as i64)).await.expect("commits"), Commit::Done);
    rejected.into_iter().map(|one| one.code).collect()
}

fn texts(rows: &[&[Option<&str>]]) -> Vec<Vec<Option<String>>> {
    rows.iter().map(|row| row.iter().map(|value| value.map(str::to_owned)).collect()).collect()
}

#[tokio::test]
async fn rows_of_a_day_are_in_a_folder_of_their_own() {
    let lake = local().await;
    let day = 86_400_000;
    let rows = [(None, Some(0)), (None, Some(day)), (None, None), (None, Some(day - 1))];
    assert_eq!(load(&lake, &by("at", Partitioning::Day), &rows).await, []);
    let seen = lake.seen("notes");
    let days =
        texts(&[&[Some("0"), Some("1970-01-01")], &[Some("1"), Some("1970-01-02")], &[Some("2"), None], &[Some("3"), Some("1970-01-01")]]);
    assert_eq!(seen.rows(&["id", "at_day"]), days);
    assert_eq!(seen.rows(&["at"])[3], [Some("1970-01-01 23:59:59.999+00".to_owned())], "the column itself stays");
    let folders: Vec<String> = seen.files().iter().filter_map(|file| file.rsplit('/').nth(1).map(str::to_owned)).collect();
    assert_eq!(folders, ["at_day=1970-01-01", "at_day=1970-01-02", "at_day=__HIVE_DEFAULT_PARTITION__"]);
}

#[tokio::test]
async fn values_of_a_list_name_folders_whatever_is_in_them() {
    for lake in [local().await, Lake::s3("list").await, Lake::azure("list").await] {
        let rows = [(Some("a"), None), (Some("b/ż c%=1:\"2\""), None), (None, None), (Some(""), None), (Some("a"), None)];
        assert_eq!(load(&lake, &by("kind", Partitioning::List), &rows).await, [Code::ValueForbidden], "an empty text would become null");
        let expected = texts(&[&[Some("0"), Some("a")], &[Some("1"), Some("b/ż c%=1:\"2\"")], &[Some("2"), None], &[Some("4"), Some("a")]]);
        assert_eq!(lake.seen("notes").rows(&["id", "kind"]), expected, "in {}", lake.url);
    }
}

#[tokio::test]
async fn a_value_that_no_file_holds_is_rejected_alone() {
    let lake = local().await;
    let rejected = load(&lake, &append(), &[(None, Some(1)), (None, Some(i64::MAX)), (None, Some(2))]).await;
    assert_eq!(rejected, [Code::ValueOutOfRange]);
    assert_eq!(lake.seen("notes").rows(&["id"]).len(), 2);
}

#[tokio::test]
async fn what_a_lake_can_not_do_is_told_without_io() {
    let connection = local().await.connection();
    let told = |table: &TableConfig, schema: &Schema| connection.check(table, schema).expect_err("can't be").message().to_owned();
    assert!(told(&upsert(), &notes()).contains("mode: upsert; it can in append"));
    assert!(told(&by("kind", Partitioning::Hash), &events()).contains("by hash; they can by day, month, year, list"));
    assert!(told(&by("at", Partitioning::List), &events()).contains("can't name folders"));
    let named = |names: [&str; 2]| schema(names.map(|name| Field::new(name, DataType::Utf8, true)).to_vec());
    assert!(told(&append(), &named(["id", "two words"])).contains("the character ' '"));
    assert!(told(&append(), &named(["id", "ID"])).contains("do not tell case apart"));
    let columns = connection.check(&by("at", Partitioning::Month), &events()).expect("fits");
    let last = columns.last().expect("has columns");
    assert_eq!((last.name.as_str(), last.sql_type.as_str()), ("at_month", "string"));
}

#[tokio::test]
async fn a_table_that_does_not_fit_is_refused_with_what_to_do() {
    let lake = local().await;
    lake.connection().open(&append(), &notes()).await.expect("opens");
    let refused = async |table: &TableConfig, schema: &Schema| match lake.connection().open(table, schema).await {
        Ok(_) => panic!("does not fit"),
        Err(fault) => {
            assert_eq!((fault.code(), fault.retry()), (Code::TargetSchema, Retry::Operator), "{fault}");
            fault.message().to_owned()
        }
    };
    let number = schema(vec![Field::new("id", DataType::Int64, false), Field::new("note", DataType::Int64, true)]);
    assert!(refused(&append(), &number).await.contains("is string, and the schema's values need bigint"));
    let fewer = schema(vec![Field::new("note", DataType::Utf8, true)]);
    assert!(refused(&append(), &fewer).await.contains("\"id\""));
    assert!(refused(&by("note", Partitioning::List), &notes()).await.contains("is partitioned by no column"));
}

#[tokio::test]
async fn apply_makes_tables_and_adds_columns_as_it_said() {
    let lake = local().await;
    let connection = lake.connection();
    let define = async |schema: &Schema| {
        let examined = connection.examine(&append(), schema).await.expect("is examined");
        let statements: Vec<String> = examined.missing.iter().map(|missing| missing.sql.clone()).collect();
        assert_eq!((statements.len(), examined.misfits.len()), (1, 0));
        connection.define(&statements).await.expect("is made");
        let fault = connection.define(&statements).await.expect_err("is there already");
        assert!(fault.message().contains("apply"), "{fault}");
        assert_eq!(connection.examine(&append(), schema).await.expect("is examined").missing, []);
    };
    assert!(!lake.folder("").exists(), "examining makes nothing");
    define(&notes()).await;
    let more =
        [notes().arrow().fields().to_vec(), vec![Arc::new(Field::new("seen", DataType::Timestamp(TimeUnit::Microsecond, None), false))]];
    define(&schema(more.concat().iter().map(|field| field.as_ref().clone()).collect())).await;
    assert_eq!(lake.seen("notes").columns(), ["id", "note", "seen"]);
    connection.drop_table("notes").await.expect("is dropped");
    assert_eq!(connection.examine(&append(), &notes()).await.expect("is examined").missing.len(), 1);
}

#[tokio::test]
async fn others_may_write_the_table_meanwhile() {
    let lake = Lake::s3("others").await;
    let warehouse: &dyn Warehouse = &lake;
    let mut one = warehouse.claimed(&append(), None).await;
    let other = TableConfig { pipeline: "shop.other".into(), ..append() };
    let mut another = warehouse.claimed(&other, None).await;
    for offset in 0..5 {
        let from = |offset: i64| if offset == 0 { Offsets::new() } else { at(offset) };
        for sink in [&mut one, &mut another] {
            sink.write(&batch(&[(offset, None)])).await.expect("writes");
            sink.settle().await.expect("settles");
            assert_eq!(sink.commit(&from(offset), &at(offset + 1)).await.expect("commits"), Commit::Done);
        }
    }
    assert_eq!(warehouse.notes().await.len(), 10);
    assert_eq!(lake.seen("notes").version(), 10, "a version for each commit, and that which made the table");
}

#[tokio::test]
async fn readers_and_writers_go_by_the_checkpoint_of_a_hundred_versions() {
    let lake = local().await;
    let warehouse: &dyn Warehouse = &lake;
    let mut sink = warehouse.claimed(&append(), None).await;
    for offset in 0..101 {
        let from = if offset == 0 { Offsets::new() } else { at(offset) };
        sink.write(&batch(&[(offset, Some("a"))])).await.expect("writes");
        sink.settle().await.expect("settles");
        assert_eq!(sink.commit(&from, &at(offset + 1)).await.expect("commits"), Commit::Done);
    }
    drop(sink);
    let log = lake.folder("notes").join("_delta_log");
    assert!(log.join(format!("{:020}.checkpoint.parquet", 100)).exists() && log.join("_last_checkpoint").exists());
    for version in 0..100 {
        std::fs::remove_file(log.join(format!("{version:020}.json"))).expect("is there");
    }
    assert_eq!(warehouse.notes().await.len(), 101, "as an independent reader sees it");
    warehouse.claimed(&append(), Some(101)).await;
}

/// A store that ends every connection, and how many there have been.
async fn dead_store() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("listens");
    let (address, asked) = (listener.local_addr().expect("has an address"), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&asked);
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    (address, asked)
}

#[tokio::test]
async fn a_request_is_repeated_by_the_stores_client_and_counted_once() {
    let (address, asked) = dead_store().await;
    let store = json!({ "s3": { "endpoint": format!("http://{address}"), "access_key_id": "test", "secret_access_key": "hunter2" } });
    let patience = json!({ "retry": { "attempts": 3, "initial": "1ms", "max": "5ms" }, "breaker": { "failures": 2, "open_for": "1m" } });
    let lake = Lake::s3("guarded").await.with(&json!({ "store": store, "resilience": patience }));
    let fault = lake.probe().await.expect_err("is away");
    assert_eq!((fault.code(), fault.retry()), (Code::TargetUnavailable, Retry::BackOff), "{fault}");
    assert_eq!((asked.load(Ordering::Relaxed), lake.link().status().failures), (3, 1), "{:?}", lake.link().status());
    lake.probe().await.expect_err("is away still");
    let fault = lake.probe().await.expect_err("is left alone");
    assert!(fault.wait().is_some_and(|wait| wait > Duration::from_secs(30)), "{fault}");
    assert_eq!((asked.load(Ordering::Relaxed), lake.link().status().breaker), (6, "open"));
}
