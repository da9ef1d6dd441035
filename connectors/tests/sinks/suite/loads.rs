//! Tables that are replaced load by load.

use millrace_connectors::TableConfig;
use millrace_model::{Code, Commit, Edge, LoadBound, Offsets, Origin, Sink, TopicPartition};

use super::{commit, settled};
use crate::rows::{at, notes, partition, records_of, replace, rows_at};
use crate::warehouse::{Warehouse, other_partition};

/// A bound of a load at an offset of a partition, of a topic of two.
fn bound(edge: Edge, load: &str, partition: i32, offset: i64) -> LoadBound {
    LoadBound { edge, load: load.into(), origin: Origin::all(records_of(partition, offset, 1)), partitions: 2 }
}

/// Settles and commits a round of both partitions; returns what was rejected.
async fn round(sink: &mut Box<dyn Sink>, from: i64, to: i64) -> Vec<(i64, Code)> {
    let rejected = settled(sink).await;
    let both = |offset: i64| -> Offsets {
        if offset == 0 { Offsets::new() } else { [0, 1].map(|number| (TopicPartition::new("orders", number), offset)).into() }
    };
    assert_eq!(commit(sink, &both(from), &both(to)).await, Commit::Done);
    rejected
}

async fn replacing(warehouse: &dyn Warehouse, keys: &[&str]) -> Box<dyn Sink> {
    let table = TableConfig { keys: keys.iter().map(|&key| key.to_owned()).collect(), ..replace() };
    let mut sink = warehouse.open(&table, &notes()).await.expect("opens");
    sink.claim(&[partition(), other_partition()]).await.expect("claims");
    sink
}

pub(crate) async fn a_load_takes_the_place_of_all_rows_when_it_has_ended_everywhere(warehouse: &dyn Warehouse) {
    let mut sink = replacing(warehouse, &[]).await;
    sink.write(&rows_at(0, 0, &[(1, Some("a")), (2, Some("a"))])).await.expect("writes");
    sink.write(&rows_at(1, 0, &[(3, Some("a"))])).await.expect("writes");
    sink.bound(bound(Edge::End, "a", 0, 2)).await.expect("ends");
    assert_eq!(round(&mut sink, 0, 10).await, []);
    assert_eq!(warehouse.notes().await, [""; 0], "one partition is still to come");
    // The next load comes in one partition before the first one has ended in the other; a new sink goes on.
    sink.write(&rows_at(0, 10, &[(1, Some("b"))])).await.expect("writes");
    assert_eq!(round(&mut sink, 10, 20).await, []);
    drop(sink);
    let mut sink = replacing(warehouse, &[]).await;
    sink.bound(bound(Edge::End, "a", 1, 20)).await.expect("ends");
    assert_eq!(round(&mut sink, 20, 30).await, []);
    assert_eq!(warehouse.notes().await, ["1 a", "2 a", "3 a"]);
    sink.bound(bound(Edge::End, "b", 0, 30)).await.expect("ends");
    sink.bound(bound(Edge::End, "b", 1, 30)).await.expect("ends");
    assert_eq!(settled(&mut sink).await, []);
    assert_eq!(warehouse.notes().await, ["1 a", "2 a", "3 a"], "nothing shows before the commit");
    assert_eq!(round(&mut sink, 30, 40).await, []);
    assert_eq!(warehouse.notes().await, ["1 b"]);
    let left = warehouse.rows("SELECT (SELECT count(*) FROM notes__loading), (SELECT count(*) FROM millrace_loads)").await;
    assert_eq!(left, [["0", "0"].map(|text| Some(text.to_owned()))]);
}

pub(crate) async fn a_load_that_begins_voids_what_came_before_it_and_never_ended(warehouse: &dyn Warehouse) {
    let mut sink = replacing(warehouse, &[]).await;
    sink.write(&rows_at(0, 0, &[(1, Some("broken off"))])).await.expect("writes");
    sink.bound(bound(Edge::Begin, "a", 0, 1)).await.expect("begins");
    sink.write(&rows_at(0, 1, &[(2, Some("whole"))])).await.expect("writes");
    sink.bound(bound(Edge::End, "a", 0, 2)).await.expect("ends");
    sink.bound(bound(Edge::End, "a", 1, 0)).await.expect("ends");
    assert_eq!(round(&mut sink, 0, 3).await, []);
    assert_eq!(warehouse.notes().await, ["2 whole"]);
    // A second end of the same name before the load was whole voids the first one.
    sink.write(&rows_at(0, 3, &[(3, Some("broken off"))])).await.expect("writes");
    sink.bound(bound(Edge::End, "b", 0, 4)).await.expect("ends");
    sink.write(&rows_at(0, 5, &[(4, Some("whole"))])).await.expect("writes");
    sink.bound(bound(Edge::End, "b", 0, 6)).await.expect("ends");
    sink.bound(bound(Edge::End, "b", 1, 6)).await.expect("ends");
    assert_eq!(round(&mut sink, 3, 7).await, []);
    assert_eq!(warehouse.notes().await, ["4 whole"]);
}

pub(crate) async fn the_last_row_of_a_key_counts_in_a_load_with_keys(warehouse: &dyn Warehouse) {
    let mut sink = replacing(warehouse, &["id"]).await;
    sink.write(&rows_at(0, 0, &[(1, Some("first")), (2, Some("only")), (1, Some("last"))])).await.expect("writes");
    sink.bound(bound(Edge::End, "a", 0, 3)).await.expect("ends");
    sink.bound(bound(Edge::End, "a", 1, 3)).await.expect("ends");
    assert_eq!(round(&mut sink, 0, 4).await, []);
    assert_eq!(warehouse.notes().await, ["1 last", "2 only"]);
}

pub(crate) async fn a_load_that_the_target_refuses_leaves_the_table_as_it_is(warehouse: &dyn Warehouse) {
    warehouse.execute("CREATE TABLE notes (id bigint, note text NOT NULL, UNIQUE (note)); INSERT INTO notes VALUES (0, 'kept')").await;
    let mut sink = replacing(warehouse, &[]).await;
    let seen = sink.write(&rows_at(0, 0, &[(1, Some("same")), (2, Some("same")), (3, None)])).await.expect("writes");
    assert_eq!(seen.iter().map(|one| (one.record, one.code)).collect::<Vec<_>>(), [(2, Code::ValueNull)], "what is seen is rejected alone");
    sink.bound(bound(Edge::End, "a", 1, 0)).await.expect("ends");
    sink.bound(bound(Edge::End, "a", 0, 3)).await.expect("ends");
    assert_eq!(round(&mut sink, 0, 4).await, [(3, Code::LoadRefused)]);
    assert_eq!(warehouse.notes().await, ["0 kept"]);
    sink.write(&rows_at(1, 4, &[(5, Some("next"))])).await.expect("writes");
    sink.bound(bound(Edge::End, "b", 0, 4)).await.expect("ends");
    sink.bound(bound(Edge::End, "b", 1, 5)).await.expect("ends");
    assert_eq!(round(&mut sink, 4, 6).await, []);
    assert_eq!(warehouse.notes().await, ["5 next"]);
}

pub(crate) async fn a_crash_before_the_commit_of_the_last_end_leaves_the_table_and_the_load(warehouse: &dyn Warehouse) {
    let mut sink = replacing(warehouse, &[]).await;
    sink.write(&rows_at(0, 0, &[(1, Some("a"))])).await.expect("writes");
    sink.bound(bound(Edge::End, "a", 0, 1)).await.expect("ends");
    assert_eq!(round(&mut sink, 0, 2).await, []);
    for settles in [false, true] {
        sink.bound(bound(Edge::End, "a", 1, 0)).await.expect("ends");
        if settles {
            assert_eq!(settled(&mut sink).await, []);
        } else {
            let fault = sink.commit(&at(2), &at(3)).await.expect_err("the end would be nowhere");
            assert_eq!(fault.code(), Code::Internal);
        }
        drop(sink);
        assert_eq!(warehouse.notes().await, [""; 0]);
        sink = replacing(warehouse, &[]).await;
    }
    sink.bound(bound(Edge::End, "a", 1, 0)).await.expect("ends");
    assert_eq!(round(&mut sink, 2, 3).await, []);
    assert_eq!(warehouse.notes().await, ["1 a"]);
}
