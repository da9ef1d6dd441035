//! Several addresses, and tokens.

use axum::http::StatusCode;
use millrace_model::{Code, Retry};
use millrace_runtime::project::{RegistryConfig, Secret};
use serde_json::json;

use super::{client, client_of, registry, schema, server};

/// An address at which nothing listens.
fn nowhere() -> String {
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("binds").local_addr().expect("has an address").port();
    format!("http://127.0.0.1:{port}")
}

#[tokio::test]
async fn an_address_that_is_away_or_in_trouble_is_passed_over() {
    let running = registry().await;
    let trouble = server(|_| (StatusCode::SERVICE_UNAVAILABLE, "trouble".to_owned())).await;
    let registry = client(&format!("{},{trouble},{}", nowhere(), running.url()));
    let id = registry.register("s-value", &schema("r", &json!([{"name": "a", "type": "int"}]))).await.expect("is registered");
    assert!(registry.schema(id).await.expect("is read").is_some());
    drop(running);
    let fault = registry.schema(id + 1).await.expect_err("none answers");
    assert_eq!(fault.retry(), Retry::BackOff, "{fault}");
}

#[tokio::test]
async fn a_refusal_is_an_answer_and_no_other_address_is_asked() {
    let refusing = server(|_| (StatusCode::CONFLICT, json!({"error_code": 409, "message": "no"}).to_string())).await;
    let registry = client(&format!("{refusing},{}", nowhere()));
    let fault = registry.register("s-value", &schema("r", &json!([{"name": "a", "type": "int"}]))).await.expect_err("is refused");
    assert_eq!((fault.code(), fault.retry()), (Code::RegistryRefused, Retry::Operator), "{fault}");
}

#[tokio::test]
async fn a_token_is_sent_and_a_refusal_does_not_show_it() {
    let url = server(|headers| match headers.get("authorization").and_then(|value| value.to_str().ok()) {
        Some("Bearer t0ken") => (StatusCode::OK, json!({"schema": "\"string\"", "id": 1}).to_string()),
        _ => (StatusCode::UNAUTHORIZED, json!({"error_code": 401, "message": "Unauthorized"}).to_string()),
    })
    .await;
    let with = |token| client_of(RegistryConfig { url: url.clone(), token: Some(Secret::new(token)), ..RegistryConfig::default() });
    assert!(with("t0ken").schema(1).await.expect("is read").is_some());
    let fault = with("stale").schema(1).await.expect_err("is refused");
    assert_eq!(fault.retry(), Retry::Operator);
    assert!(fault.to_string().contains("SCHEMA_REGISTRY_TOKEN") && !fault.to_string().contains("stale"), "{fault}");
}
