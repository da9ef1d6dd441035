//! What every source must do.

use std::time::{Duration, Instant};

use futures::FutureExt as _;

use crate::places::Place;
use crate::rows::{DEADLINE, Seen, assert_nothing, orders, pull, take};

pub(crate) async fn records_come_in_order_and_each_once(place: &dyn Place) {
    place.put((0..25).map(|id| (id, Some("c")))).await;
    let mut source = place.open(None).await;
    assert_eq!(take(source.as_mut(), 25).await.0, orders(0..25));
    assert_nothing(source.as_mut()).await;
}

pub(crate) async fn reading_goes_on_from_every_position(place: &dyn Place) {
    place.put((0..25).map(|id| (id, (id % 6 != 5).then_some("c")))).await;
    let mut source = place.open(None).await;
    let (all, positions) = take(source.as_mut(), 25).await;
    for (count, position) in positions {
        let mut source = place.open(Some(&position)).await;
        assert_eq!(take(source.as_mut(), 25 - count).await.0, all[count..], "{position:?}");
        assert_nothing(source.as_mut()).await;
    }
}

pub(crate) async fn a_source_opened_at_its_end_brings_what_comes_later(place: &dyn Place) {
    place.put((0..3).map(|id| (id, Some("c")))).await;
    let mut source = place.open(None).await;
    let (_, positions) = take(source.as_mut(), 3).await;
    let position = &positions.last().expect("has one").1;
    source.settled(position).await.expect("settles");
    let mut again = place.open(Some(position)).await;
    assert_nothing(again.as_mut()).await;
    place.put((3..5).map(|id| (id, Some("c")))).await;
    assert_eq!(take(again.as_mut(), 2).await.0, orders(3..5));
    assert_eq!(take(source.as_mut(), 2).await.0, orders(3..5), "the one that is still open too");
}

pub(crate) async fn nothing_comes_of_an_empty_source(place: &dyn Place) {
    place.put(std::iter::empty()).await;
    let mut source = place.open(None).await;
    assert_nothing(source.as_mut()).await;
    place.put([(1, Some("c"))].into_iter()).await;
    assert_eq!(take(source.as_mut(), 1).await.0, orders([1]));
}

pub(crate) async fn a_bad_record_is_rejected_alone_with_its_original(place: &dyn Place) {
    place.put([(1, Some("c")), (2, None), (3, Some("c"))].into_iter()).await;
    let mut source = place.open(None).await;
    let pulled = pull(source.as_mut()).await;
    let rejected = &pulled.rejected[0];
    assert!(rejected.reason().contains("customer: expected string, found null"), "{}", rejected.reason());
    let original = String::from_utf8_lossy(rejected.record().value.expect("has a value"));
    assert!(original.contains('2'), "{original}");
    assert_eq!(pulled.rejected.len(), 1);
    assert_eq!(crate::rows::seen(&pulled)[0], Seen::Order(1));
    assert_eq!(crate::rows::seen(&pulled)[2], Seen::Order(3));
}

pub(crate) async fn a_pull_that_is_dropped_loses_nothing(place: &dyn Place) {
    place.put((0..25).map(|id| (id, Some("c")))).await;
    let mut source = place.open(None).await;
    let (mut all, mut patience, started) = (Vec::new(), Duration::from_micros(100), Instant::now());
    while all.len() < 25 {
        // A pull that is dropped at its first wait, and then one after some time.
        let pulled = match source.next().now_or_never() {
            Some(pulled) => Ok(pulled),
            None => tokio::time::timeout(patience, source.next()).await,
        };
        match pulled {
            Ok(pulled) => all.extend(pulled.expect("pulls").iter().flat_map(crate::rows::seen)),
            Err(_) => patience *= 2,
        }
        assert!(started.elapsed() < DEADLINE, "a dropped pull lost what it had: {all:?}");
    }
    assert_eq!(all, orders(0..25));
    assert_nothing(source.as_mut()).await;
}

pub(crate) async fn an_origin_is_named_and_numbered(place: &dyn Place) {
    place.put((0..3).map(|id| (id, Some("c")))).await;
    let mut source = place.open(None).await;
    let pulled = pull(source.as_mut()).await;
    let records = pulled.batch.origin().records();
    assert!(records.topic().starts_with(place.kind()), "{}", records.topic());
    assert!(records.offsets().is_sorted_by(|before, after| before < after), "{:?}", records.offsets());
}
