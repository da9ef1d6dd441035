//! Parked keys, for the targets that keep them.

use millrace_model::{Commit, Offsets, ParkedChanges, ParkedHeads, ParkedKey, TopicPartition};

use crate::rows::{append, at, batch, partition};
use crate::warehouse::{Warehouse, other_partition};

fn key(partition: TopicPartition, byte: u8) -> ParkedKey {
    ParkedKey { partition, digest: [byte; 32] }
}

fn here(byte: u8) -> ParkedKey {
    key(partition(), byte)
}

pub(crate) async fn parked_keys_change_with_the_positions_or_not_at_all(warehouse: &dyn Warehouse) {
    let mut sink = warehouse.claimed(&append(), None).await;
    assert_eq!(sink.parked(&[partition()]).await.expect("asks"), ParkedHeads::new());
    sink.write(&batch(&[(1, None)])).await.expect("writes");
    sink.settle().await.expect("settles");
    let parked = ParkedChanges::from([(here(1), Some(5)), (here(2), Some(6)), (key(other_partition(), 1), Some(7))]);
    sink.park(&parked).await.expect("parks");
    drop(sink);

    let mut sink = warehouse.claimed(&append(), None).await;
    assert_eq!(sink.parked(&[partition()]).await.expect("asks"), ParkedHeads::new(), "a crash leaves nothing");
    sink.settle().await.expect("settles");
    sink.park(&parked).await.expect("parks");
    assert_eq!(sink.commit(&Offsets::new(), &at(8)).await.expect("commits"), Commit::Done);
    assert_eq!(sink.parked(&[partition()]).await.expect("asks"), ParkedHeads::from([(here(1), 5), (here(2), 6)]), "of the partition alone");

    sink.settle().await.expect("settles");
    sink.park(&ParkedChanges::from([(here(1), None), (here(2), Some(9)), (here(3), None)])).await.expect("parks");
    assert_eq!(sink.commit(&at(7), &at(10)).await.expect("answers"), Commit::Fenced);
    assert_eq!(sink.parked(&[partition()]).await.expect("asks").len(), 2, "who is fenced changes nothing");

    assert_eq!(sink.claim(&[partition()]).await.expect("claims"), at(8));
    sink.settle().await.expect("settles");
    sink.park(&ParkedChanges::from([(here(1), None), (here(2), Some(9)), (here(3), None)])).await.expect("parks");
    assert_eq!(sink.commit(&at(8), &at(8)).await.expect("commits"), Commit::Done, "positions that stand still are compared all the same");
    assert_eq!(sink.parked(&[partition()]).await.expect("asks"), ParkedHeads::from([(here(2), 9)]));
}
