//! Tables of PostgreSQL that are cut into partitions.

use std::num::NonZeroU16;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use arrow::datatypes::{DataType, Field, TimeUnit};
use millrace_connectors::{PartitionBy, Partitioning, TableConfig};
use millrace_model::{Batch, Code, Commit, Offsets, Origin, Schema, Sink};

use crate::rows::{append, at, insert_ignore, mirror, partition, records, schema, upsert};
use crate::warehouse::{Postgres, Warehouse};

const DAY: i64 = 86_400_000;
/// 2026-10-31T23:30Z and 2026-11-01T00:30Z.
const OCTOBER: i64 = 1_793_489_400_000;
const NOVEMBER: i64 = OCTOBER + 3_600_000;

fn events() -> Schema {
    let instant = DataType::Timestamp(TimeUnit::Millisecond, Some("+00:00".into()));
    let nullable = |name: &str, kind| Field::new(name, kind, true);
    schema(vec![Field::new("id", DataType::Int64, false), nullable("region", DataType::Utf8), nullable("at", instant)])
}

type Event<'a> = (i64, Option<&'a str>, Option<i64>);

fn batch(schema: &Schema, events: &[Event<'_>]) -> Batch {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(events.iter().map(|event| event.0)));
    let regions: ArrayRef = Arc::new(events.iter().map(|event| event.1).collect::<StringArray>());
    let times = events.iter().map(|event| event.2).collect::<TimestampMillisecondArray>().with_timezone("+00:00");
    let columns = RecordBatch::try_new(Arc::clone(schema.arrow()), vec![ids, regions, Arc::new(times)]).expect("three columns");
    Batch::new(columns, Origin::all(records(0, events.len())))
}

fn partitioned(table: TableConfig, column: &str, by: Partitioning) -> TableConfig {
    TableConfig { partition_by: Some(PartitionBy { column: column.into(), by, partitions: None }), ..table }
}

async fn opened(warehouse: &dyn Warehouse, table: &TableConfig) -> Box<dyn Sink> {
    let mut sink = warehouse.connection().open(table, &events()).await.expect("opens");
    sink.claim(&[partition()]).await.expect("claims");
    sink
}

/// Loads the events as one round from `from` on; returns what was rejected.
async fn loaded(sink: &mut Box<dyn Sink>, from: i64, events_of_it: &[Event<'_>]) -> Vec<(i64, Code)> {
    let seen = sink.write(&batch(&events(), events_of_it)).await.expect("writes");
    let mut rejected: Vec<(i64, Code)> = seen.iter().map(|one| (i64::from(one.record), one.code)).collect();
    rejected.extend(sink.settle().await.expect("settles").iter().map(|one| (one.record().offset, one.code())));
    let position = if from == 0 { Offsets::new() } else { at(from) };
    assert_eq!(sink.commit(&position, &at(from + 1)).await.expect("commits"), Commit::Done);
    rejected
}

/// Each row as `partition id`.
async fn places(warehouse: &dyn Warehouse) -> Vec<String> {
    let rows = warehouse.rows("SELECT tableoid::regclass::text AS place, id FROM notes ORDER BY id").await;
    let shown = |row: &Vec<Option<String>>| row.iter().map(|value| value.as_deref().unwrap_or("null")).collect::<Vec<_>>().join(" ");
    rows.iter().map(shown).map(|row| row.rsplit('.').next().unwrap_or_default().replace('"', "")).collect()
}

#[tokio::test]
async fn rows_make_the_partition_of_their_time_in_utc() {
    let postgres = Postgres::new("by_month").await;
    let warehouse: &dyn Warehouse = &postgres;
    let mut sink = opened(warehouse, &partitioned(append(), "at", Partitioning::Month)).await;
    let rejected = loaded(&mut sink, 0, &[(1, None, Some(OCTOBER)), (2, None, None), (3, None, Some(NOVEMBER))]).await;
    assert_eq!(rejected, [(1, Code::ValueNull)], "a row without a time has no partition");
    assert_eq!(places(warehouse).await, ["notes_2026_10 1", "notes_2026_11 3"]);
    assert_eq!(loaded(&mut sink, 1, &[(4, None, Some(NOVEMBER + DAY)), (5, None, Some(NOVEMBER + 60 * DAY))]).await, []);
    assert_eq!(places(warehouse).await[2..], ["notes_2026_11 4", "notes_2026_12 5"]);
}

#[tokio::test]
async fn days_years_values_and_hashes_have_partitions_too() {
    for (by, column, expected) in [
        (Partitioning::Day, "at", ["notes_2026_10_31 1", "notes_2026_11_01 2"]),
        (Partitioning::Year, "at", ["notes_2026 1", "notes_2026 2"]),
    ] {
        let postgres = Postgres::new(&format!("by_{by:?}")).await;
        let warehouse: &dyn Warehouse = &postgres;
        let mut sink = opened(warehouse, &partitioned(append(), column, by)).await;
        assert_eq!(loaded(&mut sink, 0, &[(1, None, Some(OCTOBER)), (2, None, Some(NOVEMBER))]).await, []);
        assert_eq!(places(warehouse).await, expected);
    }
    let postgres = Postgres::new("by_list").await;
    let warehouse: &dyn Warehouse = &postgres;
    let mut sink = opened(warehouse, &partitioned(append(), "region", Partitioning::List)).await;
    assert_eq!(loaded(&mut sink, 0, &[(1, Some("eu's"), None), (2, Some("us"), None), (3, Some("eu's"), None)]).await, []);
    let places_by_list = places(warehouse).await;
    assert!(places_by_list[0].starts_with("notes_eu_s_") && places_by_list[1].starts_with("notes_us_"), "{places_by_list:?}");

    let postgres = Postgres::new("by_hash").await;
    let warehouse: &dyn Warehouse = &postgres;
    let by = PartitionBy { column: "id".into(), by: Partitioning::Hash, partitions: NonZeroU16::new(3) };
    let mut sink = opened(warehouse, &TableConfig { partition_by: Some(by), ..upsert() }).await;
    let many: Vec<Event<'_>> = (0..100).map(|id| (id, None, None)).collect();
    assert_eq!(loaded(&mut sink, 0, &many).await, []);
    let used = warehouse.rows("SELECT count(DISTINCT tableoid) FROM notes").await;
    assert_eq!(used, [[Some("3".to_owned())]]);
}

#[tokio::test]
async fn every_mode_loads_partitions_and_a_void_round_leaves_none() {
    for (number, table) in [upsert(), insert_ignore(), mirror()].into_iter().enumerate() {
        let postgres = Postgres::new(&format!("parts_of_{number}")).await;
        let warehouse: &dyn Warehouse = &postgres;
        let table = TableConfig { keys: vec!["id".into(), "region".into()], ..table };
        let schema = schema(events().arrow().fields().iter().map(|field| field.as_ref().clone().with_nullable(false)).collect());
        let table = partitioned(table, "region", Partitioning::List);
        let mut sink = warehouse.connection().open(&table, &schema).await.expect("opens");
        sink.claim(&[partition()]).await.expect("claims");
        sink.write(&batch(&schema, &[(1, Some("void"), Some(0))])).await.expect("writes");
        assert!(sink.settle().await.expect("settles").is_empty());
        assert_eq!(sink.claim(&[partition()]).await.expect("claims again"), Offsets::new());
        assert!(warehouse.rows("SELECT 1 FROM pg_inherits WHERE inhparent = 'notes'::regclass").await.is_empty());
        let rows = [(1, Some("eu"), Some(0)), (1, Some("eu"), Some(1)), (2, Some("us"), Some(0))];
        assert!(loaded_by(&mut sink, &schema, &rows).await.is_empty());
        assert_eq!(places(warehouse).await.len(), 2);
    }
}

async fn loaded_by(sink: &mut Box<dyn Sink>, schema: &Schema, events: &[Event<'_>]) -> Vec<i64> {
    assert!(sink.write(&batch(schema, events)).await.expect("writes").is_empty());
    let rejected = sink.settle().await.expect("settles").iter().map(|one| one.record().offset).collect();
    assert_eq!(sink.commit(&Offsets::new(), &at(1)).await.expect("commits"), Commit::Done);
    rejected
}

#[tokio::test]
async fn partitions_of_others_are_used_and_tables_without_any_refused() {
    let postgres = Postgres::new("parts_of_others").await;
    let warehouse: &dyn Warehouse = &postgres;
    warehouse
        .execute(
            "CREATE TABLE notes (id bigint, region text, at timestamptz) PARTITION BY RANGE (at); \
             CREATE TABLE all_of_2026 PARTITION OF notes FOR VALUES FROM ('2026-01-01Z') TO ('2027-01-01Z')",
        )
        .await;
    let table = partitioned(append(), "at", Partitioning::Month);
    let mut sink = opened(warehouse, &table).await;
    assert_eq!(loaded(&mut sink, 0, &[(1, None, Some(NOVEMBER)), (2, None, Some(NOVEMBER + 90 * DAY))]).await, []);
    assert_eq!(places(warehouse).await, ["all_of_2026 1", "notes_2027_01 2"]);
    drop(sink);
    warehouse.execute("DROP TABLE notes; CREATE TABLE notes (id bigint, region text, at timestamptz)").await;
    match warehouse.connection().open(&table, &events()).await {
        Ok(_) => panic!("is not partitioned"),
        Err(fault) => assert!(fault.message().contains("is not partitioned by RANGE (at)"), "{fault}"),
    }
}

#[tokio::test]
async fn loaders_that_need_the_same_partition_at_once_make_it_once() {
    let postgres = Postgres::new("parts_at_once").await;
    let warehouse: &dyn Warehouse = &postgres;
    let tables: Vec<TableConfig> =
        (0..4).map(|number| TableConfig { pipeline: format!("shop.{number}"), ..partitioned(append(), "at", Partitioning::Day) }).collect();
    let loads = tables.iter().map(|table| async {
        let mut sink = opened(warehouse, table).await;
        loaded(&mut sink, 0, &[(1, None, Some(NOVEMBER)), (2, None, Some(OCTOBER))]).await
    });
    assert!(futures::future::join_all(loads).await.iter().all(Vec::is_empty));
    assert_eq!(places(warehouse).await.len(), 8);
}
