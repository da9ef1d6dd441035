//! Which topic positions are of.

use millrace_model::{Code, Commit, Offsets, Retry, Sink, TopicId, TopicIdentity};

use super::{commit, settled, table};
use crate::rows::{at, batch, notes, partition};
use crate::warehouse::Warehouse;

fn topic(number: u128) -> TopicId {
    TopicId::new(number << 65 | 1).expect("an id")
}

async fn identified(warehouse: &dyn Warehouse, topic: TopicIdentity) -> Box<dyn Sink> {
    let mut sink = warehouse.open(&table(warehouse), &notes()).await.expect("opens");
    sink.identify(topic);
    sink
}

async fn claim(sink: &mut Box<dyn Sink>) -> Offsets {
    sink.claim(&[partition()]).await.expect("claims")
}

pub(crate) async fn positions_of_another_topic_are_refused(warehouse: &dyn Warehouse) {
    let mut sink = identified(warehouse, TopicIdentity::Is(topic(1))).await;
    assert_eq!(claim(&mut sink).await, Offsets::new());
    sink.write(&batch(&[(1, None)])).await.expect("writes");
    assert_eq!(settled(&mut sink).await, []);
    assert_eq!(commit(&mut sink, &Offsets::new(), &at(5)).await, Commit::Done);
    assert_eq!(claim(&mut sink).await, at(5), "it is the same topic");

    let mut other = identified(warehouse, TopicIdentity::Is(topic(2))).await;
    for _ in 0..2 {
        let fault = other.claim(&[partition()]).await.expect_err("another topic has the name now");
        assert_eq!((fault.code(), fault.retry()), (Code::KafkaTopicAnother, Retry::Operator), "{fault}");
    }
    assert_eq!(claim(&mut identified(warehouse, TopicIdentity::Unknown).await).await, at(5), "the position stands");
}

pub(crate) async fn positions_without_an_id_get_it_with_the_next_commit(warehouse: &dyn Warehouse) {
    let mut old = warehouse.claimed(&table(warehouse), None).await;
    assert_eq!(commit(&mut old, &Offsets::new(), &at(3)).await, Commit::Done);
    drop(old);
    assert_eq!(claim(&mut identified(warehouse, TopicIdentity::Is(topic(2))).await).await, at(3), "a claim says nothing yet");
    let mut sink = identified(warehouse, TopicIdentity::Is(topic(1))).await;
    assert_eq!(claim(&mut sink).await, at(3));
    assert_eq!(commit(&mut sink, &at(3), &at(4)).await, Commit::Done);
    let fault = identified(warehouse, TopicIdentity::Is(topic(2))).await.claim(&[partition()]).await.expect_err("is another");
    assert_eq!(fault.code(), Code::KafkaTopicAnother);
}

pub(crate) async fn a_topic_that_is_accepted_fences_writers_of_the_one_before(warehouse: &dyn Warehouse) {
    let mut old = identified(warehouse, TopicIdentity::Is(topic(1))).await;
    claim(&mut old).await;
    assert_eq!(commit(&mut old, &Offsets::new(), &at(5)).await, Commit::Done);

    let mut accepting = identified(warehouse, TopicIdentity::Becomes(topic(2))).await;
    assert_eq!(claim(&mut accepting).await, at(5));
    // To where it was: the offset alone would not tell the two topics apart.
    assert_eq!(commit(&mut accepting, &at(5), &at(5)).await, Commit::Done);
    let round = async {
        old.write(&batch(&[(1, Some("old"))])).await?;
        old.settle().await?;
        old.commit(&at(5), &at(6)).await
    };
    match round.await {
        Ok(commit) => assert_eq!(commit, Commit::Fenced),
        Err(fault) => assert_eq!((fault.code(), fault.retry()), (Code::TargetUnavailable, Retry::BackOff), "{fault}"),
    }
    assert_eq!(warehouse.notes().await, [""; 0]);
    let mut new = identified(warehouse, TopicIdentity::Is(topic(2))).await;
    assert_eq!(claim(&mut new).await, at(5));
    assert_eq!(commit(&mut new, &at(5), &at(6)).await, Commit::Done);
}

pub(crate) async fn positions_of_an_earlier_version_are_brought_up_to_date(warehouse: &dyn Warehouse) {
    let mut old = warehouse.claimed(&table(warehouse), None).await;
    assert_eq!(commit(&mut old, &Offsets::new(), &at(3)).await, Commit::Done);
    drop(old);
    warehouse.execute("ALTER TABLE millrace_positions DROP COLUMN topic_id").await;
    let rows = table(warehouse);
    let lacks = async || {
        let examined = warehouse.connection().examine(&warehouse.table(&rows), &notes()).await.expect("is looked at");
        examined.missing.iter().any(|missing| missing.kind == "column" && missing.name.ends_with("topic_id"))
    };
    assert!(lacks().await, "check --connected says what is missing");
    let mut sink = identified(warehouse, TopicIdentity::Is(topic(1))).await;
    assert!(!lacks().await);
    assert_eq!(claim(&mut sink).await, at(3));
    assert_eq!(commit(&mut sink, &at(3), &at(4)).await, Commit::Done);
}
