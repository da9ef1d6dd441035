//! A store over a network that the test makes a bad one.

use std::time::{Duration, Instant};

use millrace_devkit::proxy::{Network, Proxy};
use millrace_model::{Code, Retry};
use serde_json::{Value, json};

use crate::config;
use crate::store::{Place, variable};

/// The settings of a pattern in S3, by way of a proxy.
async fn by_proxy(place: &Place, resilience: &Value) -> (Value, Proxy) {
    let endpoint = variable("MILLRACE_TEST_S3");
    let server = endpoint.trim_start_matches("http://").trim_end_matches('/');
    let proxy = Proxy::to(server).await.expect("listens");
    let endpoint = format!("http://{}", proxy.address());
    let s3 = json!({ "endpoint": endpoint, "access_key_id": "test", "secret_access_key": "hunter2", "resilience": resilience });
    (json!({ "path": place.url("*.csv"), "store": { "s3": s3 } }), proxy)
}

#[tokio::test]
async fn a_store_that_is_away_is_left_alone_and_found_again() {
    let place = Place::s3("trouble");
    place.put("a.csv", "s\nx\n").await;
    let resilience = json!({ "retry": { "attempts": 1 }, "breaker": { "failures": 2, "open_for": "300ms" } });
    let (settings, proxy) = by_proxy(&place, &resilience).await;
    let config = config(&settings);
    assert_eq!(config.splits().await.expect("lists").len(), 1);

    proxy.is(Network::Down);
    for _ in 0..2 {
        let fault = config.splits().await.expect_err("is away");
        assert_eq!((fault.code(), fault.retry()), (Code::StoreUnavailable, Retry::BackOff), "{fault}");
    }
    let fault = config.splits().await.expect_err("nobody is asked");
    assert!(fault.to_string().contains("left alone after 2 failures"), "{fault}");
    proxy.is(Network::Good);
    tokio::time::sleep(fault.wait().expect("says for how long")).await;
    assert_eq!(config.splits().await.expect("lists").len(), 1);
}

#[tokio::test]
async fn a_store_that_says_nothing_is_passing_trouble_after_its_time() {
    let place = Place::s3("silence");
    let (settings, proxy) = by_proxy(&place, &json!({ "timeouts": { "request": "300ms" }, "retry": { "attempts": 1 } })).await;
    proxy.is(Network::Silent);
    let started = Instant::now();
    let fault = config(&settings).splits().await.expect_err("no answer comes");
    assert!(fault.retry() == Retry::BackOff && started.elapsed() < Duration::from_secs(5), "{fault}");
}

#[tokio::test]
async fn a_file_that_is_not_there_is_an_answer() {
    let place = Place::s3("answers");
    let (mut settings, _proxy) = by_proxy(&place, &json!({ "breaker": { "failures": 1 } })).await;
    settings["path"] = json!(place.url("none.csv"));
    let config = config(&settings);
    for _ in 0..3 {
        assert!(config.splits().await.expect("is answered").is_empty());
    }
}
