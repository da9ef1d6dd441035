//! Rows that a target refuses: the part of the suite about rejections.

use millrace_model::{Code, Commit, Offsets};

use super::{commit, settled, tables};
use crate::rows::{append, at, batch, insert_ignore, upsert};
use crate::warehouse::Warehouse;

pub(crate) async fn a_refused_row_is_rejected_alone(warehouse: &dyn Warehouse) {
    for table in [append(), upsert()] {
        warehouse
            .execute("CREATE TABLE notes (id bigint PRIMARY KEY, note text NOT NULL CHECK (note <> 'bad'), UNIQUE (note)); INSERT INTO notes VALUES (0, 'taken')")
            .await;
        let mut sink = warehouse.claimed(&table, None).await;
        let rows = [
            (1, Some("a")),
            (2, None),
            (3, Some("bad")),
            (4, Some("b\0")),
            (5, Some("taken")),
            (6, Some("c")),
            (7, Some("a")),
            (8, Some("d")),
        ];
        let seen = sink.write(&batch(&rows)).await.expect("writes");
        let mut rejected: Vec<(i64, Code)> = seen.iter().map(|one| (i64::from(one.record), one.code)).collect();
        rejected.extend(settled(&mut sink).await);
        rejected.sort_unstable();
        let refused = Code::RowRefused;
        let mut expected = vec![(1, Code::ValueNull), (2, refused), (3, Code::ValueForbidden), (4, refused), (6, refused)];
        let mut notes = vec!["0 taken", "1 a", "4 b\0", "6 c", "8 d"];
        if warehouse.takes_nul() {
            expected.remove(2);
        } else {
            notes.remove(2);
        }
        assert_eq!(rejected, expected);
        assert_eq!(commit(&mut sink, &Offsets::new(), &at(8)).await, Commit::Done);
        assert_eq!(warehouse.notes().await, notes);
        drop(sink);
        warehouse.clean().await;
    }
}

pub(crate) async fn a_rejection_names_the_column_and_gives_the_reason(warehouse: &dyn Warehouse) {
    warehouse.execute("CREATE TABLE notes (id bigint, note text NOT NULL, CONSTRAINT polite CHECK (note <> 'bad'))").await;
    let mut sink = warehouse.claimed(&append(), None).await;
    let mut reasons: Vec<String> = Vec::new();
    let seen = sink.write(&batch(&[(1, None), (2, Some("bad"))])).await.expect("writes");
    reasons.extend(seen.into_iter().map(|one| one.reason));
    reasons.extend(sink.settle().await.expect("settles").iter().map(|one| one.reason().to_owned()));
    assert!(reasons[0].contains("\"note\" is null"), "{reasons:?}");
    assert!(reasons[1].contains("polite"), "{reasons:?}");
}

pub(crate) async fn a_batch_that_is_refused_whole_still_moves_positions(warehouse: &dyn Warehouse) {
    warehouse.execute("CREATE TABLE notes (id bigint, note text CHECK (note <> 'bad'))").await;
    let mut sink = warehouse.claimed(&append(), None).await;
    let bad: Vec<_> = (0..50).map(|id| (id, Some("bad"))).collect();
    let seen = sink.write(&batch(&bad)).await.expect("writes");
    assert_eq!(seen.len() + settled(&mut sink).await.len(), 50);
    assert_eq!(commit(&mut sink, &Offsets::new(), &at(50)).await, Commit::Done);
    assert_eq!(warehouse.notes().await, [""; 0]);
}

pub(crate) async fn refused_rows_among_many_are_all_found(warehouse: &dyn Warehouse) {
    for table in tables(warehouse) {
        warehouse.execute("CREATE TABLE notes (id bigint PRIMARY KEY, note text CHECK (note <> 'bad'))").await;
        let mut sink = warehouse.claimed(&table, None).await;
        for round in 0..2 {
            let is_bad = |id: i64| id % 997 == 3;
            let rows: Vec<_> = (0..5_000).map(|id| (round * 5_000 + id, Some(if is_bad(id) { "bad" } else { "good" }))).collect();
            let seen = sink.write(&batch(&rows)).await.expect("writes");
            let mut rejected: Vec<i64> = seen.iter().map(|one| i64::from(one.record)).collect();
            rejected.extend(settled(&mut sink).await.iter().map(|one| one.0));
            assert_eq!(rejected, [3, 1_000, 1_997, 2_994, 3_991, 4_988]);
            let from = if round == 0 { Offsets::new() } else { at(round) };
            assert_eq!(commit(&mut sink, &from, &at(round + 1)).await, Commit::Done);
        }
        assert_eq!(warehouse.rows("SELECT count(*) FROM notes").await, [[Some("9988".to_owned())]]);
        drop(sink);
        warehouse.clean().await;
    }
}

pub(crate) async fn a_refused_row_does_not_hide_the_earlier_one_of_its_key(warehouse: &dyn Warehouse) {
    warehouse.execute("CREATE TABLE notes (id bigint PRIMARY KEY, note text CHECK (note <> 'bad'))").await;
    let mut sink = warehouse.claimed(&upsert(), None).await;
    sink.write(&batch(&[(1, Some("good")), (1, Some("bad")), (2, Some("good"))])).await.expect("writes");
    assert_eq!(settled(&mut sink).await, [(1, Code::RowRefused)]);
    assert_eq!(commit(&mut sink, &Offsets::new(), &at(3)).await, Commit::Done);
    assert_eq!(warehouse.notes().await, ["1 good", "2 good"]);
}

pub(crate) async fn a_refused_row_leaves_its_key_to_the_next_one(warehouse: &dyn Warehouse) {
    warehouse.execute("CREATE TABLE notes (id bigint PRIMARY KEY, note text CHECK (note <> 'bad'))").await;
    let mut sink = warehouse.claimed(&insert_ignore(), None).await;
    sink.write(&batch(&[(1, Some("bad")), (1, Some("good")), (1, Some("late"))])).await.expect("writes");
    assert_eq!(settled(&mut sink).await, [(0, Code::RowRefused)]);
    assert_eq!(commit(&mut sink, &Offsets::new(), &at(3)).await, Commit::Done);
    assert_eq!(warehouse.notes().await, ["1 good"]);
}
