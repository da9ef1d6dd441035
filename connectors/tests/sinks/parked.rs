//! Parked keys, for the targets that keep them.

use millrace_connectors::TableConfig;
use millrace_model::{Code, Commit, Offsets, Origin, ParkedChanges, ParkedHeads, ParkedKey, Sink, TopicPartition};

use crate::rows::{append, at, batch, insert_ignore, keys, mirror, partition, records, rows_at, upsert};
use crate::warehouse::{Warehouse, other_partition};

fn key(partition: TopicPartition, byte: u8) -> ParkedKey {
    ParkedKey { partition, digest: [byte; 32] }
}

fn here(byte: u8) -> ParkedKey {
    key(partition(), byte)
}

async fn parked(sink: &mut Box<dyn Sink>) -> ParkedHeads {
    sink.parked(&[partition()]).await.expect("asks")
}

/// Settles the round, parks keys in it and commits it.
async fn commit(sink: &mut Box<dyn Sink>, changes: &ParkedChanges, from: &Offsets, to: &Offsets) -> Commit {
    assert_eq!(sink.settle().await.expect("settles").len(), 0);
    sink.park(changes).await.expect("parks");
    sink.commit(from, to).await.expect("answers")
}

pub(crate) async fn parked_keys_change_with_the_positions_or_not_at_all(warehouse: &dyn Warehouse) {
    for table in warehouse.able([append(), upsert(), insert_ignore(), mirror()]) {
        change_or_do_not(warehouse, &table).await;
        warehouse.clean().await;
    }
}

async fn change_or_do_not(warehouse: &dyn Warehouse, table: &TableConfig) {
    let mut sink = warehouse.claimed(table, None).await;
    assert_eq!(parked(&mut sink).await, ParkedHeads::new());
    sink.write(&batch(&[(1, None)])).await.expect("writes");
    sink.settle().await.expect("settles");
    let both = ParkedChanges::from([(here(1), Some(5)), (here(2), Some(6)), (key(other_partition(), 1), Some(7))]);
    sink.park(&both).await.expect("parks");
    drop(sink);

    let mut sink = warehouse.claimed(table, None).await;
    assert_eq!(parked(&mut sink).await, ParkedHeads::new(), "a crash leaves nothing");
    assert_eq!(commit(&mut sink, &both, &Offsets::new(), &at(8)).await, Commit::Done);
    assert_eq!(parked(&mut sink).await, ParkedHeads::from([(here(1), 5), (here(2), 6)]), "of the partition alone");

    let changes = ParkedChanges::from([(here(1), None), (here(2), Some(9)), (here(3), None)]);
    assert_eq!(commit(&mut sink, &changes, &at(7), &at(10)).await, Commit::Fenced);
    assert_eq!(parked(&mut sink).await.len(), 2, "who is fenced changes nothing");

    assert_eq!(sink.claim(&[partition()]).await.expect("claims"), at(8));
    assert_eq!(commit(&mut sink, &changes, &at(8), &at(8)).await, Commit::Done, "positions that stand still are compared all the same");
    assert_eq!(parked(&mut sink).await, ParkedHeads::from([(here(2), 9)]));

    let all = ParkedChanges::from([(here(2), None), (key(other_partition(), 1), None)]);
    assert_eq!(commit(&mut sink, &all, &at(8), &at(8)).await, Commit::Done);
    assert_eq!(sink.parked(&[partition(), other_partition()]).await.expect("asks"), ParkedHeads::new());
}

pub(crate) async fn a_truncation_and_what_waits_behind_it_are_one_transaction(warehouse: &dyn Warehouse) {
    let mut sink = warehouse.claimed(&mirror(), None).await;
    assert_eq!(parked(&mut sink).await, ParkedHeads::new());
    sink.write(&batch(&[(1, Some("a")), (2, Some("b"))])).await.expect("writes");
    assert_eq!(commit(&mut sink, &ParkedChanges::new(), &Offsets::new(), &at(2)).await, Commit::Done);
    let (waits, goes_on) = (ParkedChanges::from([(here(1), Some(2))]), ParkedChanges::from([(here(1), None)]));
    truncate(&mut sink).await;
    sink.settle().await.expect("settles");
    sink.park(&waits).await.expect("parks");
    drop(sink);

    let mut sink = warehouse.claimed(&mirror(), Some(2)).await;
    assert_eq!((warehouse.notes().await, parked(&mut sink).await), (vec!["1 a".to_owned(), "2 b".to_owned()], ParkedHeads::new()));
    truncate(&mut sink).await;
    assert_eq!(commit(&mut sink, &waits, &at(2), &at(5)).await, Commit::Done);
    assert_eq!((warehouse.notes().await, parked(&mut sink).await), (vec!["3 c".to_owned()], ParkedHeads::from([(here(1), 2)])));

    sink.delete(&keys(&[1])).await.expect("deletes");
    sink.write(&rows_at(0, 4, &[(1, Some("after"))])).await.expect("writes");
    assert_eq!(commit(&mut sink, &goes_on, &at(5), &at(5)).await, Commit::Done);
    assert_eq!((warehouse.notes().await, parked(&mut sink).await), (vec!["1 after".to_owned(), "3 c".to_owned()], ParkedHeads::new()));
}

/// All rows go, and another comes.
async fn truncate(sink: &mut Box<dyn Sink>) {
    sink.clear(Origin::all(records(3, 1))).await.expect("clears");
    sink.write(&rows_at(0, 4, &[(3, Some("c"))])).await.expect("writes");
}

pub(crate) async fn a_round_is_staged_again_without_what_waits_for_a_refused_row(warehouse: &dyn Warehouse) {
    for table in warehouse.able([upsert(), mirror()]) {
        warehouse.execute("CREATE TABLE notes (id bigint PRIMARY KEY, note text CHECK (note <> 'bad'))").await;
        let mut sink = warehouse.claimed(&table, None).await;
        assert_eq!(parked(&mut sink).await, ParkedHeads::new());
        sink.write(&batch(&[(1, Some("good")), (1, Some("bad")), (3, Some("waits")), (2, Some("other"))])).await.expect("writes");
        let refused = sink.settle().await.expect("settles");
        assert_eq!(refused.iter().map(|one| (one.record().offset, one.code())).collect::<Vec<_>>(), [(1, Code::RowRefused)]);
        assert_eq!(sink.claim(&[partition()]).await.expect("claims again"), Offsets::new());
        sink.write(&batch(&[(1, Some("good"))])).await.expect("writes");
        sink.write(&rows_at(0, 3, &[(2, Some("other"))])).await.expect("writes");
        assert_eq!(commit(&mut sink, &ParkedChanges::from([(here(1), Some(1))]), &Offsets::new(), &at(4)).await, Commit::Done);
        assert_eq!(warehouse.notes().await, ["1 good", "2 other"]);
        assert_eq!(parked(&mut sink).await, ParkedHeads::from([(here(1), 1)]));
        assert_eq!(commit(&mut sink, &ParkedChanges::from([(here(1), None)]), &at(4), &at(4)).await, Commit::Done);
        drop(sink);
        warehouse.clean().await;
    }
}
