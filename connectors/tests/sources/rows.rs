//! Orders, and what a source brought of them.

use std::time::{Duration, Instant};

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use millrace_model::{Fault, Position, Pulled, Schema, Source};
use millrace_runtime::codec;
use serde_json::json;

/// How long anything may take to come.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// `id` and `customer`.
pub(crate) fn schema() -> Schema {
    let fields = json!([{ "name": "id", "type": "long" }, { "name": "customer", "type": "string" }]);
    codec::schema(json!({ "type": "record", "name": "Order", "fields": fields })).expect("a schema")
}

/// What came of a record: its id, or the reason why it was rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    Order(i64),
    Rejected(String),
}

/// The records of a pull in their order.
pub(crate) fn seen(pulled: &Pulled) -> Vec<Seen> {
    let ids = pulled.batch.columns().column_by_name("id").expect("has ids").as_primitive::<Int64Type>();
    let good = (0..pulled.batch.len()).map(|row| (pulled.batch.origin().record(row).offset, Seen::Order(ids.value(row))));
    let bad = pulled.rejected.iter().map(|rejected| (rejected.record().offset, Seen::Rejected(rejected.reason().to_owned())));
    let mut all: Vec<(i64, Seen)> = good.chain(bad).collect();
    all.sort_by_key(|(offset, _)| *offset);
    all.into_iter().map(|(_, seen)| seen).collect()
}

/// Orders of these ids, as they are seen.
pub(crate) fn orders(ids: impl IntoIterator<Item = i64>) -> Vec<Seen> {
    ids.into_iter().map(Seen::Order).collect()
}

/// The next pull, which must come.
pub(crate) async fn pull(source: &mut dyn Source) -> Pulled {
    let started = Instant::now();
    loop {
        if let Some(pulled) = source.next().await.expect("pulls") {
            return pulled;
        }
        assert!(started.elapsed() < DEADLINE, "nothing came");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Pulls until `count` records were seen; they are all that there are. Each position with the number of records up to it.
pub(crate) async fn take(source: &mut dyn Source, count: usize) -> (Vec<Seen>, Vec<(usize, Position)>) {
    let (mut all, mut positions) = (Vec::new(), Vec::new());
    while all.len() < count {
        let pulled = pull(source).await;
        all.extend(seen(&pulled));
        positions.push((all.len(), pulled.position));
    }
    assert_eq!(all.len(), count);
    (all, positions)
}

/// Pulls until the source fails; its fault, and what came before it.
pub(crate) async fn fault(source: &mut dyn Source) -> (Fault, Vec<Pulled>) {
    let (started, mut all) = (Instant::now(), Vec::new());
    loop {
        match source.next().await {
            Ok(Some(pulled)) => all.push(pulled),
            Ok(None) => tokio::time::sleep(Duration::from_millis(10)).await,
            Err(fault) => return (fault, all),
        }
        assert!(started.elapsed() < DEADLINE, "nothing failed");
    }
}

/// That a source has nothing more, however often it looks: the pauses let it look again.
pub(crate) async fn assert_nothing(source: &mut dyn Source) {
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_millis(8)).await;
        if let Some(pulled) = source.next().await.expect("pulls") {
            assert_eq!(seen(&pulled), []);
        }
    }
}
