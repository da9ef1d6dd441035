//! Requests with an `Idempotency-Key`, over one replica and over two.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures::future::join_all;
use serde_json::{Value, json};

use crate::world::{Service, World, answer, inflated, ingest, until};

fn order(id: i64) -> String {
    json!({ "id": id, "customer": "c" }).to_string()
}

async fn replica(world: &World, instance: &str, http: &Value) -> Service {
    let mut settings = json!({ "path": "/orders" });
    settings.as_object_mut().expect("an object").extend(http.as_object().cloned().unwrap_or_default());
    world.run(instance, vec![("web", ingest(&json!({ "http": settings }), &json!({})))]).await
}

/// Posts until somebody owns the key's partition.
async fn post(service: &Service, key: &str, body: &str) -> (u16, Value) {
    until(&format!("{key} is owned"), async || {
        let (status, said) = answer(service.post(body.to_owned()).header("idempotency-key", key)).await;
        (said["error"]["code"] != "MR0419").then_some((status, said))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_belongs_to_one_request() {
    let world = World::start().await;
    let service = world.gateway().await;
    assert_eq!(post(&service, "k", &order(1)).await.0, 200);
    let (status, said) = post(&service, "k", &order(2)).await;
    assert_eq!((status, &said["error"]["code"]), (422, &json!("MR0418")));
    let typed = service.post(order(1)).header("idempotency-key", "k").header("content-type", "application/vnd.shop+json");
    assert_eq!(answer(typed).await.0, 422, "the type is a part of the request");
    let twins = join_all(
        (0..20).map(|n| post(&service, "twins", if n % 2 == 0 { r#"{"id":3,"customer":"a"}"# } else { r#"{"id":3,"customer":"b"}"# })),
    );
    let statuses: BTreeMap<u16, usize> = twins.await.into_iter().fold(BTreeMap::new(), |mut counts, (status, _)| {
        *counts.entry(status).or_default() += 1;
        counts
    });
    assert_eq!(statuses, BTreeMap::from([(200, 10), (422, 10)]), "one of two bodies won, and its twins got its answer");
    world.await_ids([1, 3]).await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_whole_may_be_sent_again() {
    let world = World::start().await;
    let strict = ingest(&json!({ "http": { "path": "/orders" } }), &json!({ "on_error": "halt" }));
    let service = world.run("one", vec![("web", strict)]).await;
    assert_eq!(post(&service, "k", "{}").await.0, 422);
    assert_eq!(post(&service, "k", &order(1)).await.0, 200, "nothing was written, and nothing is remembered");
    world.await_ids([1]).await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_one_key_whichever_replica_it_comes_to_and_when_one_has_gone() {
    let world = World::start().await;
    let closed = json!({ "api_keys": ["secret"] });
    let replicas = [replica(&world, "one", &closed).await, replica(&world, "two", &closed).await];
    let keyed = async |service: &Service, id: i64| {
        until(&format!("key-{id} is answered"), async || {
            let request = service.post(order(id)).header("idempotency-key", format!("key-{id}")).header("x-api-key", "secret");
            let (status, said) = answer(request).await;
            (status != 503).then_some((status, said))
        })
        .await
    };
    let first = join_all((0..40).map(|id| keyed(&replicas[id as usize % 2], id))).await;
    assert!(first.iter().all(|(status, said)| *status == 200 && said["accepted"] == 1), "{first:?}");
    let again = join_all((0..40).map(|id| keyed(&replicas[(id as usize + 1) % 2], id))).await;
    assert_eq!(again, first);
    let open = answer(replicas[0].post(order(50)).header("idempotency-key", "key-50").header("millrace-forwarded", "1")).await;
    assert_eq!(open.0, 401, "who says to be a replica must bring a key as well");
    let [one, two] = replicas;
    one.stop().await;
    let after = join_all((0..40).map(|id| keyed(&two, id))).await;
    assert_eq!(after, first);
    world.await_ids(0..40).await;
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_sent_on_once_and_no_further() {
    let world = World::start().await;
    let replicas = [replica(&world, "one", &json!({})).await, replica(&world, "two", &json!({})).await];
    for (id, service) in (0..20).zip(replicas.iter().cycle()) {
        assert_eq!(post(service, &format!("key-{id}"), &order(id)).await.0, 200);
    }
    let deadline = Instant::now() + Duration::from_mins(1);
    // The second to join gets its part when the first has let it go.
    while !(1..20).contains(&elsewhere(&replicas[0]).await) {
        assert!(Instant::now() < deadline, "each replica owns some");
    }
    world.await_ids(0..20).await;
    for service in replicas {
        service.stop().await;
    }
}

/// How many of the keys this replica says to be another's, of requests that were sent on to it.
async fn elsewhere(replica: &Service) -> usize {
    let mut elsewhere = 0;
    for id in 0..20 {
        let sent_on = replica.post(order(id)).header("idempotency-key", format!("key-{id}")).header("millrace-forwarded", "1");
        let response = sent_on.send().await.expect("answers");
        if response.status() == 503 {
            elsewhere += 1;
            assert_eq!(response.headers()["millrace-forwarded"].to_str().expect("text"), "elsewhere");
            assert_eq!(response.headers()["retry-after"].to_str().expect("text"), "2");
        }
    }
    elsewhere
}

#[tokio::test(flavor = "multi_thread")]
async fn when_there_is_no_room_for_keys_the_sender_is_told_and_nothing_is_written() {
    let world = World::start().await;
    let service = replica(&world, "one", &json!({ "idempotency": { "memory": "3000" } })).await;
    let mut refused = None;
    for id in 0..100 {
        let (status, said) = post(&service, &format!("key-{id}"), &order(id)).await;
        if status != 200 {
            refused = Some((id, status, said["error"]["code"].clone()));
            break;
        }
    }
    let (id, status, code) = refused.expect("the room is used up");
    assert_eq!((status, code), (429, json!("MR0423")));
    assert_eq!(post(&service, "key-0", &order(0)).await.0, 200, "what is remembered is answered");
    assert_eq!(answer(service.post(order(200))).await.0, 200, "requests without a key need no room");
    world.await_ids((0..id).chain([200])).await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_whose_time_is_over_leaves_the_topic_though_the_next_request_fails() {
    let world = World::start().await;
    let http = json!({ "path": "/orders", "idempotency": { "window": "100ms" } });
    let strict = ingest(&json!({ "http": http }), &json!({ "on_error": "halt" }));
    let service = world.run("one", vec![("web", strict)]).await;
    let has_value = async |key: &str| {
        let keys = world.keys_of("millrace.idempotency").await;
        keys.into_iter().find(|(name, _)| name.ends_with(key)).is_some_and(|(_, has_value)| has_value)
    };
    assert_eq!(post(&service, "k", &order(1)).await.0, 200);
    assert!(has_value("k").await);
    // The key's own partition looks at its window with each request, and that it was sent before does not matter any more.
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let (status, said) = post(&service, "k", &inflated(2)).await;
        if status == 413 {
            break;
        }
        assert!(Instant::now() < deadline, "{status} {said}");
    }
    assert!(has_value("k").await, "nothing of a request that fails is written");
    let mut others = 0;
    while has_value("k").await {
        assert_eq!(post(&service, &format!("other-{others}"), &order(10 + others)).await.0, 200);
        others += 1;
        assert!(others < 500, "a key of the same partition takes the tombstone along");
    }
    service.stop().await;
}
