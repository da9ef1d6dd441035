use std::collections::BTreeSet;

use futures::future::join_all;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::world::{DEAD_LETTERS, World, answer, inflated, ingest};

fn order(id: i64) -> String {
    json!({ "id": id, "customer": format!("c{}", id % 7) }).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_an_array_and_lines_become_records_that_are_keyed() {
    let world = World::start().await;
    let service = world.gateway().await;
    let accepted = |count: u64| (200, json!({ "accepted": count, "rejected": 0, "errors": [] }));
    assert_eq!(answer(service.post(order(1))).await, accepted(1));
    assert_eq!(answer(service.post(format!("[{},{}]", order(2), order(3)))).await, accepted(2));
    assert_eq!(answer(service.post(format!("{}\n{}\n", order(4), order(5)))).await, accepted(2));
    assert_eq!(answer(service.post("[]")).await, accepted(0));
    let orders = world.orders().await;
    let ids: BTreeSet<i64> = orders.iter().map(|order| order.id).collect();
    assert_eq!((orders.len(), ids), (5, (1..=5).collect()));
    assert!(orders.iter().all(|order| order.key == format!("c{}", order.id % 7)));
    assert!(orders.iter().map(|order| order.partition).collect::<BTreeSet<_>>().len() > 1);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_record_is_answered_and_becomes_a_dead_letter_and_the_others_go_on() {
    let world = World::start().await;
    let service = world.gateway().await;
    let bad = r#"{"id": "x", "customer": "c"}"#;
    let (status, said) = answer(service.post(format!("[{},{bad},{}]", order(1), order(2)))).await;
    let error = json!({ "index": 1, "code": "MR0404", "field": "id", "reason": "expected long, found string \"x\"" });
    assert_eq!((status, said), (207, json!({ "accepted": 2, "rejected": 1, "errors": [error] })));
    world.await_ids([1, 2]).await;
    let letters = world.dead_letters().await;
    assert_eq!((letters.len(), letters[0].value.as_deref()), (1, Some(bad.as_bytes())));
    assert_eq!((letters[0].said("pipeline"), letters[0].said("stage"), letters[0].said("topic")), ("shop.web", "read", "http:/orders"));
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_nothing_are_refused_and_nothing_ends() {
    let world = World::start().await;
    let service = world.gateway().await;
    let codes = async |body: &[u8]| {
        let (status, said) = answer(service.post(body.to_vec())).await;
        (status, said["errors"][0]["code"].as_str().map(str::to_owned))
    };
    assert_eq!(codes(b"{\"id\": 1").await, (422, Some("MR0401".into())));
    assert_eq!(codes(b"{\"id\": 1, \"customer\": \"\xff\"}").await, (422, Some("MR0408".into())));
    assert_eq!(codes(b"12").await, (422, Some("MR0404".into())));
    assert_eq!(codes(b"{\"id\": 99999999999999999999, \"customer\": \"\"}").await, (422, Some("MR0404".into())));
    assert_eq!(codes("[".repeat(100_000).as_bytes()).await, (422, Some("MR0401".into())));
    assert_eq!(answer(service.post("  ")).await.0, 400);
    assert_eq!(answer(service.post(order(1))).await.0, 200);
    assert_eq!(world.dead_letters().await.len(), 5);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_for_nothing_is_told_what_there_is() {
    let world = World::start().await;
    let service = world.gateway().await;
    let client = reqwest::Client::new();
    let (status, said) = answer(client.post(service.url("/order")).body("{}")).await;
    assert_eq!((status, &said["paths"]), (404, &json!(["/orders"])));
    let got = client.get(service.url("/orders")).send().await.expect("answers");
    assert_eq!((got.status().as_u16(), got.headers()["allow"].to_str().expect("text")), (405, "POST"));
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_the_limit_is_refused_whether_it_says_so_or_not() {
    let world = World::start().await;
    let limited = ingest(&json!({ "http": { "path": "/orders", "max_body": "1KiB" } }), &json!({}));
    let service = world.run("one", vec![("web", limited)]).await;
    let body = format!("[{}]", vec![order(1); 1000].join(","));
    let (status, said) = answer(service.post(body.clone())).await;
    assert_eq!((status, &said["error"]["code"]), (413, &json!("MR0406")));
    let chunked = format!("POST /orders HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    assert!(spoken(&service.url(""), &chunked).await.starts_with("HTTP/1.1 413"));
    assert_eq!(answer(service.post(order(1))).await.0, 200);
    world.await_ids([1]).await;
    service.stop().await;
}

/// The beginning of the answer to a request written by hand.
async fn spoken(url: &str, request: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(url.trim_start_matches("http://")).await.expect("connects");
    stream.write_all(request.as_bytes()).await.expect("writes");
    let mut answer = [0; 64];
    let length = stream.read(&mut answer).await.expect("reads");
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_many_senders_are_written_once_each() {
    let world = World::start().await;
    let service = world.gateway().await;
    let body = |sender: i64| format!("[{}]", (0..5).map(|n| order(sender * 5 + n)).collect::<Vec<_>>().join(","));
    let answers = join_all((0..100).map(|sender| answer(service.post(body(sender))))).await;
    assert!(answers.iter().all(|(status, said)| *status == 200 && said["accepted"] == 5));
    world.await_ids(0..500).await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_idempotency_key_is_written_once_even_after_a_restart() {
    let world = World::start().await;
    let service = world.gateway().await;
    let body = format!("[{},{{}}]", order(1));
    let answers = join_all((0..10).map(|_| answer(service.post(body.clone()).header("idempotency-key", "k1")))).await;
    assert_eq!(answers[0].0, 207);
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    service.stop().await;
    let service = world.gateway().await;
    assert_eq!(answer(service.post(body).header("idempotency-key", "k1")).await, answers[0]);
    assert_eq!(answer(service.post(order(2)).header("idempotency-key", "k2")).await.0, 200);
    world.await_ids([1, 2]).await;
    assert_eq!(world.dead_letters().await.len(), 1);
    assert_eq!(answer(service.post(order(3)).header("idempotency-key", "")).await.0, 400);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_waits_while_the_broker_is_away() {
    let mut world = World::start().await;
    let service = world.gateway().await;
    assert_eq!(answer(service.post(order(1))).await.0, 200);
    world.stop_broker().await;
    let waiting = tokio::spawn(answer(service.post(order(2))));
    // Not a wait for something: so long the request is not answered.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert!(!waiting.is_finished(), "the request waits");
    world.start_broker().await;
    assert_eq!(waiting.await.expect("ends").0, 200);
    world.await_ids([1, 2]).await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_stays_away_is_said_to_be_and_nothing_was_written() {
    let mut world = World::start().await;
    let service = world.gateway().await;
    assert_eq!(answer(service.post(order(1))).await.0, 200);
    world.stop_broker().await;
    let response = service.post(order(2)).send().await.expect("answers");
    assert_eq!((response.status().as_u16(), response.headers()["retry-after"].to_str().expect("text")), (503, "5"));
    world.start_broker().await;
    assert_eq!(answer(service.post(order(3))).await.0, 200);
    world.await_ids([1, 3]).await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_on_error_halt_a_request_with_a_bad_record_is_refused_whole() {
    let world = World::start().await;
    let strict = ingest(&json!({ "http": { "path": "/orders" } }), &json!({ "on_error": "halt" }));
    let service = world.run("one", vec![("web", strict)]).await;
    let (status, said) = answer(service.post(format!("[{},{{}}]", order(1)))).await;
    assert_eq!((status, &said["error"]["code"]), (422, &json!("MR0402")));
    assert_eq!(answer(service.post(order(2))).await.0, 200);
    world.await_ids([2]).await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_with_more_bad_records_than_the_quota_leaves_is_refused_whole() {
    let world = World::start().await;
    let quota = json!({ "dead_letters": { "topic": DEAD_LETTERS, "max_per_minute": 2 } });
    let service = world.run("one", vec![("web", ingest(&json!({ "http": { "path": "/orders" } }), &quota))]).await;
    assert_eq!(answer(service.post(format!("[{},{{}}]", order(1)))).await.0, 207);
    let (status, said) = answer(service.post(format!("[{},{{}},{{}}]", order(2)))).await;
    assert_eq!((status, &said["error"]["code"]), (429, &json!("MR0801")));
    assert_eq!(answer(service.post(format!("[{},{{}}]", order(3)))).await.0, 207);
    assert_eq!(answer(service.post(order(4))).await.0, 200);
    world.await_ids([1, 3, 4]).await;
    assert_eq!(world.dead_letters().await.len(), 2);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_whose_key_is_null_is_rejected_alone_or_with_on_error_halt_refused_with_its_request() {
    let world = World::start().await;
    let keyed_by_note = |path: &str, more: Value| {
        let mut keyed = ingest(&json!({ "http": { "path": path } }), &more);
        keyed.key = vec!["note".into()];
        keyed
    };
    let pipelines = vec![("web", keyed_by_note("/orders", json!({}))), ("strict", keyed_by_note("/strict", json!({ "on_error": "halt" })))];
    let service = world.run("one", pipelines).await;
    let noted = |id: i64| json!({ "id": id, "customer": "c", "note": "n" }).to_string();
    let body = format!("[{},{}]", order(1), noted(2));
    let (status, said) = answer(service.post(body.clone())).await;
    assert_eq!((status, &said["accepted"], &said["errors"][0]["code"]), (207, &json!(1), &json!("MR0505")));
    let (status, said) = answer(service.post_to("/strict", body)).await;
    assert_eq!((status, &said["error"]["code"]), (422, &json!("MR0505")));
    assert_eq!(answer(service.post_to("/strict", noted(3))).await.0, 200);
    world.await_ids([2, 3]).await;
    assert_eq!(world.dead_letters().await.len(), 1);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_context_of_a_request_goes_with_its_records() {
    let world = World::start().await;
    let service = world.gateway().await;
    let context = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
    answer(service.post(order(1)).header("traceparent", context)).await;
    let orders = world.orders().await;
    assert_eq!(orders[0].headers.len(), 1);
    assert_eq!((orders[0].headers[0].key.as_str(), orders[0].headers[0].value.as_deref()), ("traceparent", Some(context.as_bytes())));
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_kafka_would_not_take_is_refused_and_the_rest_goes_on() {
    let world = World::start().await;
    let roomy = ingest(&json!({ "http": { "path": "/orders", "max_body": "8MiB" } }), &json!({}));
    let service = world.run("one", vec![("web", roomy)]).await;
    let large = json!({ "id": 1, "customer": "c", "note": "x".repeat(1_500_000) }).to_string();
    let (large, small) = tokio::join!(answer(service.post(large)), answer(service.post(order(2))));
    assert_eq!((large.0, &large.1["error"]["code"], small.0), (413, &json!("MR0207"), 200));
    // One that grows too large when it is encoded does not keep back those in the same request.
    let both = answer(service.post(format!("[{}, {}]", inflated(1), order(3)))).await;
    assert_eq!((both.0, &both.1["errors"][0]["code"], &both.1["accepted"]), (207, &json!("MR0207"), &json!(1)));
    world.await_ids([2, 3]).await;
    assert_eq!(world.dead_letters().await.len(), 1);
    service.stop().await;
}
