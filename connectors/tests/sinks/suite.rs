//! What every sink must do.

mod loads;
mod modes;
mod refusals;
mod tables;
mod topics;

pub(crate) use crate::growth::*;
pub(crate) use crate::parked::*;
pub(crate) use crate::replaced::*;
pub(crate) use loads::*;
pub(crate) use modes::*;
pub(crate) use refusals::*;
pub(crate) use tables::*;
pub(crate) use topics::*;

use futures::poll;
use millrace_connectors::TableConfig;
use millrace_model::{Code, Commit, Offsets, Retry, Sink};

use crate::rows::{append, at, batch, insert_ignore, mirror, partition, upsert};
use crate::warehouse::{Warehouse, other_partition};

async fn commit(sink: &mut Box<dyn Sink>, from: &Offsets, to: &Offsets) -> Commit {
    sink.commit(from, to).await.expect("commits or is fenced")
}

async fn settled(sink: &mut Box<dyn Sink>) -> Vec<(i64, Code)> {
    let rejected = sink.settle().await.expect("settles");
    rejected.iter().map(|one| (one.record().offset, one.code())).collect()
}

/// A table in each mode that the target has.
fn tables(warehouse: &dyn Warehouse) -> Vec<TableConfig> {
    let tables = warehouse.able([append(), upsert(), insert_ignore(), mirror()]);
    assert!(!tables.is_empty(), "{} has no mode at all", warehouse.connection().capabilities().name);
    tables
}

/// A table in the first mode that the target has, for what holds in all of them.
fn table(warehouse: &dyn Warehouse) -> TableConfig {
    tables(warehouse).swap_remove(0)
}

pub(crate) async fn rows_and_positions_become_durable_together(warehouse: &dyn Warehouse) {
    let mut sink = warehouse.claimed(&table(warehouse), None).await;
    assert_eq!(sink.write(&batch(&[(1, Some("a")), (2, None)])).await.expect("writes"), []);
    assert_eq!(sink.write(&batch(&[(3, Some("a"))])).await.expect("writes"), []);
    assert_eq!(settled(&mut sink).await, []);
    assert_eq!(warehouse.notes().await, [""; 0], "nothing shows before the commit");
    assert_eq!(commit(&mut sink, &Offsets::new(), &at(3)).await, Commit::Done);
    assert_eq!(warehouse.notes().await.len(), 3);
    assert_eq!(sink.claim(&[partition()]).await.expect("claims"), at(3));
}

pub(crate) async fn a_round_follows_another_in_the_same_sink(warehouse: &dyn Warehouse) {
    let mut sink = warehouse.claimed(&table(warehouse), None).await;
    for offset in 0..3 {
        sink.write(&batch(&[(offset, None)])).await.expect("writes");
        assert_eq!(settled(&mut sink).await, []);
        let from = if offset == 0 { Offsets::new() } else { at(offset) };
        assert_eq!(commit(&mut sink, &from, &at(offset + 1)).await, Commit::Done);
    }
    assert_eq!(warehouse.notes().await, ["0 null", "1 null", "2 null"]);
}

pub(crate) async fn a_crash_at_any_point_before_the_commit_leaves_nothing(warehouse: &dyn Warehouse) {
    for table in tables(warehouse) {
        for settles in [false, true] {
            let mut sink = warehouse.claimed(&table, None).await;
            sink.write(&batch(&[(1, Some("lost"))])).await.expect("writes");
            if settles {
                assert_eq!(settled(&mut sink).await, []);
            }
            drop(sink);
        }
        let mut sink = warehouse.claimed(&table, None).await;
        assert_eq!(warehouse.notes().await, [""; 0]);
        sink.write(&batch(&[(1, Some("kept"))])).await.expect("writes");
        assert_eq!(settled(&mut sink).await, []);
        assert_eq!(commit(&mut sink, &Offsets::new(), &at(1)).await, Commit::Done);
        assert_eq!(warehouse.notes().await, ["1 kept"]);
        drop(sink);
        warehouse.clean().await;
    }
}

pub(crate) async fn a_commit_whose_answer_was_lost_is_found_by_the_next_claim(warehouse: &dyn Warehouse) {
    let mut sink = warehouse.claimed(&table(warehouse), None).await;
    sink.write(&batch(&[(1, None)])).await.expect("writes");
    settled(&mut sink).await;
    assert_eq!(commit(&mut sink, &Offsets::new(), &at(1)).await, Commit::Done);
    drop(sink);

    let mut sink = warehouse.claimed(&table(warehouse), Some(1)).await;
    sink.write(&batch(&[(1, None)])).await.expect("writes");
    settled(&mut sink).await;
    assert_eq!(commit(&mut sink, &Offsets::new(), &at(1)).await, Commit::Fenced, "the round was committed before");
    assert_eq!(warehouse.notes().await, ["1 null"]);
}

pub(crate) async fn a_writer_whose_positions_were_moved_is_fenced(warehouse: &dyn Warehouse) {
    for table in tables(warehouse) {
        let mut old = warehouse.claimed(&table, None).await;
        let mut new = warehouse.claimed(&table, None).await;
        new.write(&batch(&[(1, Some("new"))])).await.expect("writes");
        settled(&mut new).await;
        assert_eq!(commit(&mut new, &Offsets::new(), &at(1)).await, Commit::Done);
        assert_fenced(&mut old).await;
        assert_eq!(warehouse.notes().await, ["1 new"]);
        assert_eq!(old.claim(&[partition()]).await.expect("claims again"), at(1));
        drop((old, new));
        warehouse.clean().await;
    }
}

/// The old writer's session may have been ended, or it is left to find that its positions have moved.
async fn assert_fenced(old: &mut Box<dyn Sink>) {
    let round = async {
        old.write(&batch(&[(1, Some("old"))])).await?;
        old.settle().await?;
        old.commit(&Offsets::new(), &at(1)).await
    };
    match round.await {
        Ok(commit) => assert_eq!(commit, Commit::Fenced),
        Err(fault) => assert_eq!((fault.code(), fault.retry()), (Code::TargetUnavailable, Retry::BackOff), "{fault}"),
    }
}

pub(crate) async fn one_moved_position_fences_all_of_a_commit(warehouse: &dyn Warehouse) {
    let mut sink = warehouse.claimed(&table(warehouse), None).await;
    sink.claim(&[partition(), other_partition()]).await.expect("claims");
    let both = |left, right| Offsets::from([(partition(), left), (other_partition(), right)]);
    assert_eq!(commit(&mut sink, &Offsets::new(), &both(5, 7)).await, Commit::Done);
    sink.write(&batch(&[(1, None)])).await.expect("writes");
    settled(&mut sink).await;
    assert_eq!(commit(&mut sink, &both(5, 6), &both(8, 9)).await, Commit::Fenced);
    assert_eq!(warehouse.notes().await, [""; 0]);
    assert_eq!(sink.claim(&[partition(), other_partition()]).await.expect("claims"), both(5, 7));
    assert_eq!(commit(&mut sink, &both(5, 7), &at(6)).await, Commit::Done, "a partition without news stays where it is");
    assert_eq!(sink.claim(&[other_partition()]).await.expect("claims"), Offsets::from([(other_partition(), 7)]));
}

pub(crate) async fn a_claim_voids_the_round_that_is_open_and_may_be_repeated(warehouse: &dyn Warehouse) {
    for table in tables(warehouse) {
        let mut sink = warehouse.claimed(&table, None).await;
        sink.write(&batch(&[(1, Some("void"))])).await.expect("writes");
        for _ in 0..2 {
            assert_eq!(sink.claim(&[partition()]).await.expect("claims"), Offsets::new());
        }
        sink.write(&batch(&[(2, Some("kept"))])).await.expect("writes");
        settled(&mut sink).await;
        assert_eq!(commit(&mut sink, &Offsets::new(), &at(2)).await, Commit::Done);
        assert_eq!(warehouse.notes().await, ["2 kept"]);
        drop(sink);
        warehouse.clean().await;
    }
}

pub(crate) async fn pipelines_have_positions_of_their_own(warehouse: &dyn Warehouse) {
    let mut sink = warehouse.claimed(&table(warehouse), None).await;
    assert_eq!(commit(&mut sink, &Offsets::new(), &at(9)).await, Commit::Done);
    let other = TableConfig { pipeline: "shop.other".into(), ..table(warehouse) };
    warehouse.claimed(&other, None).await;
    warehouse.claimed(&table(warehouse), Some(9)).await;
}

pub(crate) async fn an_empty_batch_and_an_empty_round_move_positions_only(warehouse: &dyn Warehouse) {
    for table in tables(warehouse) {
        let mut sink = warehouse.claimed(&table, None).await;
        assert_eq!(sink.write(&batch(&[])).await.expect("writes"), []);
        assert_eq!(settled(&mut sink).await, []);
        assert_eq!(commit(&mut sink, &Offsets::new(), &at(1)).await, Commit::Done);
        assert_eq!(settled(&mut sink).await, []);
        assert_eq!(commit(&mut sink, &at(1), &at(2)).await, Commit::Done);
        assert_eq!(warehouse.notes().await, [""; 0]);
        drop(sink);
        warehouse.clean().await;
    }
}

pub(crate) async fn a_call_that_is_dropped_voids_its_round(warehouse: &dyn Warehouse) {
    let table = warehouse.able([upsert(), append()]).swap_remove(0);
    let mut sink = warehouse.claimed(&table, None).await;
    let many: Vec<_> = (0..10_000).map(|id| (id, Some("void"))).collect();
    sink.write(&batch(&many)).await.expect("writes");
    let mut settling = sink.settle();
    assert!(poll!(&mut settling).is_pending());
    drop(settling);
    let fault = sink.commit(&Offsets::new(), &at(1)).await.expect_err("the round is void");
    assert_eq!((fault.code(), fault.retry()), (Code::TargetUnavailable, Retry::BackOff), "{fault}");
    assert_eq!(sink.claim(&[partition()]).await.expect("claims"), Offsets::new());
    sink.write(&batch(&[(2, Some("kept"))])).await.expect("writes");
    assert_eq!(settled(&mut sink).await, []);
    assert_eq!(commit(&mut sink, &Offsets::new(), &at(1)).await, Commit::Done);
    assert_eq!(warehouse.notes().await, ["2 kept"]);
}

pub(crate) async fn a_round_that_was_not_settled_is_not_committed(warehouse: &dyn Warehouse) {
    let table = warehouse.able([upsert(), append()]).swap_remove(0);
    let mut sink = warehouse.claimed(&table, None).await;
    sink.write(&batch(&[(1, None)])).await.expect("writes");
    let fault = sink.commit(&Offsets::new(), &at(1)).await.expect_err("the row would be nowhere");
    assert_eq!(fault.code(), Code::Internal);
}

pub(crate) async fn a_writer_that_stands_still_keeps_no_successor_from_any_mode(warehouse: &dyn Warehouse) {
    a_standing_writer_keeps_no_successor(warehouse, false).await;
}

/// Whatever a settled round has locked.
pub(crate) async fn a_writer_that_stands_with_a_settled_round_keeps_no_successor(warehouse: &dyn Warehouse) {
    a_standing_writer_keeps_no_successor(warehouse, true).await;
}

async fn a_standing_writer_keeps_no_successor(warehouse: &dyn Warehouse, is_settled: bool) {
    for table in tables(warehouse) {
        let mut stale = warehouse.claimed(&table, None).await;
        stale.write(&batch(&[(1, Some("stale"))])).await.expect("writes");
        if is_settled {
            assert_eq!(settled(&mut stale).await, []);
        }
        let mut successor = warehouse.claimed(&table, None).await;
        successor.write(&batch(&[(1, Some("successor"))])).await.expect("writes");
        assert_eq!(settled(&mut successor).await, []);
        assert_eq!(commit(&mut successor, &Offsets::new(), &at(1)).await, Commit::Done);
        assert_fenced_again(&mut stale).await;
        assert_eq!(warehouse.notes().await, ["1 successor"]);
        drop((stale, successor));
        warehouse.clean().await;
    }
}

/// What it had staged does not come, whichever call tells so.
async fn assert_fenced_again(stale: &mut Box<dyn Sink>) {
    let round = async {
        stale.settle().await?;
        stale.commit(&Offsets::new(), &at(1)).await
    };
    match round.await {
        Ok(commit) => assert_eq!(commit, Commit::Fenced),
        Err(fault) => assert_eq!((fault.code(), fault.retry()), (Code::TargetUnavailable, Retry::BackOff), "{fault}"),
    }
}
