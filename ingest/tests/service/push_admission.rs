//! Who is let in, and how much.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::world::{World, answer, ingest};

async fn gateway(world: &World, http: &Value) -> crate::world::Service {
    let mut settings = json!({ "path": "/orders" });
    settings.as_object_mut().expect("an object").extend(http.as_object().cloned().unwrap_or_default());
    world.run("one", vec![("web", ingest(&json!({ "http": settings }), &json!({})))]).await
}

const ORDER: &str = r#"{"id": 1, "customer": "c"}"#;

#[tokio::test(flavor = "multi_thread")]
async fn without_a_key_nothing_is_taken_and_the_answer_says_how_to_send_one() {
    let world = World::start().await;
    let service = gateway(&world, &json!({ "api_keys": ["first-key", "second-key"] })).await;
    let refused = service.post(ORDER).send().await.expect("answers");
    assert_eq!(refused.headers()["www-authenticate"].to_str().expect("text"), "Bearer realm=\"millrace\"");
    let (status, said) = answer(service.post(ORDER).header("x-api-key", "third-key")).await;
    assert_eq!((status, &said["error"]["code"]), (401, &json!("MR0416")));
    let reason = said["error"]["reason"].as_str().expect("a reason");
    assert!(reason.contains("X-API-Key") && !reason.contains("third-key") && !reason.contains("first-key"), "{reason}");
    assert_eq!(answer(service.post(ORDER).bearer_auth("second-key")).await.0, 200);
    world.await_ids([1]).await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_the_rate_is_told_when_to_come_again() {
    let world = World::start().await;
    let service = gateway(&world, &json!({ "rate": { "requests_per_second": 1 } })).await;
    assert_eq!(answer(service.post(ORDER)).await.0, 200);
    let asked = Instant::now();
    let refused = loop {
        let response = service.post("[]").send().await.expect("answers");
        if response.status() != 200 {
            break response;
        }
        assert!(asked.elapsed() < Duration::from_secs(20), "requests one after the other come at less than the rate or without one");
    };
    assert_eq!((refused.status().as_u16(), refused.headers()["retry-after"].to_str().expect("text")), (429, "1"));
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_of_a_named_origin_may_send_and_others_may_not() {
    let world = World::start().await;
    let service = gateway(&world, &json!({ "api_keys": ["k"], "cors": { "origins": ["https://shop.example"] } })).await;
    let client = reqwest::Client::new();
    let preflight = async |origin: &str| {
        let asked = client.request(Method::OPTIONS, service.url("/orders")).header("origin", origin);
        let asked = asked.header("access-control-request-method", "POST").header("access-control-request-headers", "x-api-key");
        let answer = asked.send().await.expect("answers");
        let allowed = |name: &str| answer.headers().get(name).map(|value| value.to_str().expect("text").to_owned());
        (allowed("access-control-allow-origin"), allowed("access-control-allow-headers"))
    };
    assert_eq!(preflight("https://shop.example").await, (Some("https://shop.example".into()), Some("x-api-key".into())));
    assert_eq!(preflight("https://elsewhere.example").await.0, None);
    let refused = service.post(ORDER).header("origin", "https://shop.example").send().await.expect("answers");
    assert_eq!(refused.status(), 401);
    assert_eq!(
        refused.headers()["access-control-allow-origin"].to_str().expect("text"),
        "https://shop.example",
        "so that a page can read why"
    );
    service.stop().await;
}
