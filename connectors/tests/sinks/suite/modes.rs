//! What rows and deletions come to in each mode.

use millrace_model::{Code, Commit, Offsets, Origin};

use super::{commit, settled};
use crate::everything;
use crate::rows::{append, at, batch, insert_ignore, keys, mirror, partition, records, upsert, without_notes};
use crate::warehouse::Warehouse;

pub(crate) async fn a_later_row_or_deletion_of_a_key_wins(warehouse: &dyn Warehouse) {
    let Some(table) = warehouse.able([upsert()]).pop() else { return };
    let mut sink = warehouse.claimed(&table, None).await;
    sink.write(&batch(&[(1, Some("first")), (2, Some("stays")), (3, Some("goes")), (1, Some("second"))])).await.expect("writes");
    sink.delete(&keys(&[3, 4, 99])).await.expect("deletes");
    sink.write(&batch(&[(4, Some("comes")), (1, Some("third"))])).await.expect("writes");
    assert_eq!(settled(&mut sink).await, []);
    assert_eq!(commit(&mut sink, &Offsets::new(), &at(9)).await, Commit::Done);
    assert_eq!(warehouse.notes().await, ["1 third", "2 stays", "4 comes"]);

    sink.delete(&keys(&[1, 2])).await.expect("deletes");
    sink.write(&batch(&[(2, None), (4, Some("changed"))])).await.expect("writes");
    assert_eq!(settled(&mut sink).await, []);
    assert_eq!(commit(&mut sink, &at(9), &at(13)).await, Commit::Done);
    assert_eq!(warehouse.notes().await, ["2 null", "4 changed"]);
}

pub(crate) async fn an_append_has_no_deletions(warehouse: &dyn Warehouse) {
    let Some(table) = warehouse.able([append()]).pop() else { return };
    let mut sink = warehouse.claimed(&table, None).await;
    let rejected = sink.delete(&keys(&[1, 2])).await.expect("answers");
    assert_eq!(
        rejected.iter().map(|one| (one.record, one.code)).collect::<Vec<_>>(),
        [(0, Code::TombstoneRefused), (1, Code::TombstoneRefused)]
    );
}

pub(crate) async fn the_first_row_of_a_key_stays_where_later_ones_are_ignored(warehouse: &dyn Warehouse) {
    let Some(table) = warehouse.able([insert_ignore()]).pop() else { return };
    let mut sink = warehouse.claimed(&table, None).await;
    sink.write(&batch(&[(1, Some("first")), (2, Some("only")), (1, Some("second"))])).await.expect("writes");
    assert_eq!(settled(&mut sink).await, []);
    assert_eq!(commit(&mut sink, &Offsets::new(), &at(3)).await, Commit::Done);
    sink.write(&batch(&[(2, Some("late")), (3, None), (3, Some("late"))])).await.expect("writes");
    assert_eq!(settled(&mut sink).await, []);
    assert_eq!(commit(&mut sink, &at(3), &at(6)).await, Commit::Done);
    assert_eq!(warehouse.notes().await, ["1 first", "2 only", "3 null"]);
    let rejected = sink.delete(&keys(&[1])).await.expect("answers");
    assert_eq!(rejected.iter().map(|one| one.code).collect::<Vec<_>>(), [Code::TombstoneRefused]);
}

pub(crate) async fn a_column_that_a_row_lacks_is_left_as_it_is(warehouse: &dyn Warehouse) {
    let Some(table) = warehouse.able([mirror()]).pop() else { return };
    let schema = everything::seen();
    let mut sink = warehouse.open(&table, &schema).await.expect("opens");
    sink.claim(&[partition()]).await.expect("claims");
    let lacking_note = |rows: &[(i64, i64)]| everything::seen_batch(&schema, rows, None);
    let whole = |rows: &[(i64, i64)], note| everything::seen_batch(&schema, rows, Some(note));
    sink.write(&whole(&[(1, 7), (2, 7)], "kept")).await.expect("writes");
    assert_eq!(settled(&mut sink).await, []);
    assert_eq!(commit(&mut sink, &Offsets::new(), &at(1)).await, Commit::Done);
    // 1: only `seen` changes; 2: written anew, then again without its note; 3: new without a note; 4: deleted and new without one.
    sink.write(&lacking_note(&[(1, 8)])).await.expect("writes");
    sink.write(&whole(&[(2, 8), (4, 8)], "told")).await.expect("writes");
    sink.write(&lacking_note(&[(2, 9), (3, 9)])).await.expect("writes");
    sink.delete(&keys(&[4])).await.expect("deletes");
    sink.write(&lacking_note(&[(4, 9), (1, 9)])).await.expect("writes");
    assert_eq!(settled(&mut sink).await, []);
    assert_eq!(commit(&mut sink, &at(1), &at(9)).await, Commit::Done);
    assert_eq!(warehouse.notes().await, ["1 kept", "2 told", "3 null", "4 null"]);
    assert_eq!(warehouse.values(&["seen"]).await, vec![[Some("9".to_owned())]; 4]);
}

pub(crate) async fn a_row_that_is_there_may_lack_what_the_target_requires(warehouse: &dyn Warehouse) {
    warehouse.execute("CREATE TABLE notes (id bigint PRIMARY KEY, note text NOT NULL); INSERT INTO notes VALUES (1, 'kept')").await;
    let mut sink = warehouse.claimed(&mirror(), None).await;
    sink.write(&without_notes(&[1, 2])).await.expect("writes");
    assert_eq!(settled(&mut sink).await, [(1, Code::RowRefused)]);
    assert_eq!(commit(&mut sink, &Offsets::new(), &at(2)).await, Commit::Done);
    assert_eq!(warehouse.notes().await, ["1 kept"]);
}

pub(crate) async fn a_table_that_is_cleared_keeps_only_what_comes_after(warehouse: &dyn Warehouse) {
    let Some(table) = warehouse.able([mirror()]).pop() else { return };
    let mut sink = warehouse.claimed(&table, None).await;
    sink.write(&batch(&[(1, Some("before"))])).await.expect("writes");
    assert_eq!(settled(&mut sink).await, []);
    assert_eq!(commit(&mut sink, &Offsets::new(), &at(1)).await, Commit::Done);
    sink.write(&batch(&[(2, Some("before"))])).await.expect("writes");
    sink.clear(Origin::all(records(3, 1))).await.expect("clears");
    sink.write(&batch(&[(3, Some("after")), (2, Some("after"))])).await.expect("writes");
    assert_eq!(settled(&mut sink).await, []);
    assert_eq!(warehouse.notes().await, ["1 before"], "nothing shows before the commit");
    assert_eq!(commit(&mut sink, &at(1), &at(4)).await, Commit::Done);
    assert_eq!(warehouse.notes().await, ["2 after", "3 after"]);
    sink.clear(Origin::all(records(4, 1))).await.expect("clears");
    assert_eq!(settled(&mut sink).await, []);
    assert_eq!(commit(&mut sink, &at(4), &at(5)).await, Commit::Done);
    assert_eq!(warehouse.notes().await, [""; 0]);
}
