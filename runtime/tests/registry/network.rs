//! A registry over a network that the test makes a bad one.

use std::time::Duration;

use millrace_devkit::proxy::{Network, Proxy};
use millrace_model::Retry;
use millrace_runtime::project::RegistryConfig;
use serde_json::json;

use super::{client_of, registry, schema};

fn config(url: String, resilience: serde_json::Value) -> RegistryConfig {
    RegistryConfig { url, resilience: serde_json::from_value(resilience).expect("reads"), ..RegistryConfig::default() }
}

#[tokio::test]
async fn the_second_address_is_asked_when_the_first_dies() {
    let running = registry().await;
    let server = running.url().trim_start_matches("http://").to_owned();
    let proxies = [Proxy::to(&server).await.expect("listens"), Proxy::to(&server).await.expect("listens")];
    let url = proxies.each_ref().map(|proxy| format!("http://{}", proxy.address())).join(",");
    let client = client_of(config(url, json!({ "timeouts": { "request": "500ms" } })));
    let register =
        async |name: &str| client.register(&format!("{name}-value"), &schema(name, &json!([{ "name": "a", "type": "int" }]))).await;
    let first = register("one").await.expect("is registered by the first");
    proxies[0].is(Network::Silent);
    let second = register("two").await.expect("is registered by the second");
    proxies[1].is(Network::Down);
    proxies[0].is(Network::Good);
    let third = register("three").await.expect("is registered by the first again");
    assert!(first < second && second < third, "each once: {first} {second} {third}");
    assert_eq!(client.link().status().failures, 0);
}

#[tokio::test]
async fn a_registry_that_is_away_is_left_alone_and_found_again() {
    let running = registry().await;
    let proxy = Proxy::to(running.url().trim_start_matches("http://")).await.expect("listens");
    let resilience = json!({ "retry": { "attempts": 1 }, "breaker": { "failures": 2, "open_for": "200ms" } });
    let client = client_of(config(format!("http://{}", proxy.address()), resilience));
    client.probe().await.expect("is there");
    proxy.is(Network::Down);
    for _ in 0..2 {
        assert_eq!(client.probe().await.expect_err("is away").retry(), Retry::BackOff);
    }
    let fault = client.schema(1).await.expect_err("nobody is asked");
    assert!(fault.message().contains("left alone after 2 failures"), "{fault}");
    proxy.is(Network::Good);
    tokio::time::sleep(fault.wait().expect("says for how long").max(Duration::from_millis(1))).await;
    client.probe().await.expect("is there again");
}
