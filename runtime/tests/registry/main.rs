//! The registry's client, against the development registry, or that of `MILLRACE_TEST_REGISTRY`, and against servers that
//! misbehave.

mod addresses;
mod level;
mod network;
mod tls;
mod versions;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::get;
use millrace_devkit::registry::{Config, Running, start};
use millrace_model::{Code, Fault, Record, RecordsBuilder, Retry, Schema};
use millrace_runtime::codec::{self, Decoder};
use millrace_runtime::input;
use millrace_runtime::project::{RegistryConfig, Secret};
use millrace_runtime::registry::Registry;
use serde_json::{Value, json};

fn client(url: &str) -> Registry {
    client_of(RegistryConfig { url: url.to_owned(), ..RegistryConfig::default() })
}

#[expect(clippy::needless_pass_by_value, reason = "each configuration is made for one client")]
fn client_of(config: RegistryConfig) -> Registry {
    Registry::new(&config).expect("has a client")
}

/// A development registry of the test's own.
async fn registry() -> Running {
    start(Config { addr: loopback(), data_dir: None }).await.expect("starts")
}

fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

async fn any_registry() -> (Registry, Option<Running>) {
    if let Ok(url) = std::env::var("MILLRACE_TEST_REGISTRY") {
        (client(&url), None)
    } else {
        let running = registry().await;
        (client(&running.url()), Some(running))
    }
}

fn unused_subject(suite: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970").as_nanos();
    format!("{suite}-{now}-value")
}

fn schema(name: &str, fields: &Value) -> Schema {
    codec::schema(json!({"type": "record", "name": name.replace('-', "_"), "fields": fields})).expect("is carried")
}

/// A server on which every path gives the same answer.
async fn server(answer: impl Fn(HeaderMap) -> (StatusCode, String) + Clone + Send + Sync + 'static) -> String {
    let handler = move |headers: HeaderMap| {
        let answer = answer.clone();
        async move { answer(headers).into_response() }
    };
    let router = Router::new().fallback(get(handler.clone()).post(handler));
    let listener = tokio::net::TcpListener::bind(loopback()).await.expect("listens");
    let url = format!("http://{}", listener.local_addr().expect("has an address"));
    tokio::spawn(async move { axum::serve(listener, router).await.expect("serves") });
    url
}

async fn failed(url: &str) -> Fault {
    client(url).schema(1).await.expect_err("fails")
}

#[tokio::test]
async fn what_is_registered_is_read_by_its_id() {
    let (registry, _running) = any_registry().await;
    let subject = unused_subject("read");
    let schema = schema(&subject, &json!([{"name": "a", "type": "string"}]));
    let id = registry.register(&subject, &schema).await.expect("is registered");
    assert_eq!(registry.register(&subject, &schema).await.expect("is registered"), id);
    let text = registry.schema(id).await.expect("is read").expect("is known");
    assert_eq!(&serde_json::from_str::<Value>(&text).expect("is JSON"), schema.avro());
}

#[tokio::test]
async fn an_unknown_id_is_no_fault() {
    let (registry, _running) = any_registry().await;
    assert_eq!(registry.schema(987_654).await.expect("is answered"), None);
}

#[tokio::test]
async fn an_incompatible_schema_is_for_an_operator_with_the_registrys_reason() {
    let running = start(Config { addr: loopback(), data_dir: None }).await.expect("starts");
    let registry = client(&running.url());
    registry.register("s-value", &schema("r", &json!([{"name": "a", "type": "string"}]))).await.expect("is registered");
    let next = schema("r", &json!([{"name": "a", "type": "string"}, {"name": "added", "type": "int"}]));
    let fault = registry.register("s-value", &next).await.expect_err("is refused");
    assert_eq!((fault.code(), fault.retry()), (Code::RegistryRefused, Retry::Operator));
    let text = fault.to_string();
    assert!(text.contains("s-value") && text.contains("added") && text.contains("default"), "{text}");
}

#[tokio::test]
async fn a_known_id_is_not_asked_for_again() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let url = server(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        (StatusCode::OK, json!({"schema": "\"string\"", "id": 4}).to_string())
    })
    .await;
    let registry = client(&url);
    for _ in 0..3 {
        assert_eq!(registry.clone().schema(4).await.expect("is read").as_deref(), Some("\"string\""));
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_registry_in_trouble_or_out_of_reach_passes() {
    let gone = start(Config { addr: loopback(), data_dir: None }).await.expect("starts");
    let url = gone.url();
    gone.stop().await;
    let fault = failed(&url).await;
    assert_eq!((fault.code(), fault.retry()), (Code::RegistryUnavailable, Retry::BackOff), "{fault}");
    assert!(fault.to_string().contains(&url), "{fault}");
    for status in [StatusCode::INTERNAL_SERVER_ERROR, StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS] {
        let url = server(move |_| (status, "<html>trouble</html>".to_owned())).await;
        let fault = failed(&url).await;
        assert_eq!((fault.code(), fault.retry()), (Code::RegistryUnavailable, Retry::BackOff), "{fault}");
    }
}

#[tokio::test]
async fn a_server_that_is_no_registry_rejects_no_record() {
    for (status, body) in [(StatusCode::NOT_FOUND, "<html>nothing here</html>"), (StatusCode::OK, "<html>hello</html>")] {
        let url = server(move |_| (status, body.to_owned())).await;
        let fault = failed(&url).await;
        assert_eq!((fault.code(), fault.retry()), (Code::RegistryUnavailable, Retry::Operator), "{fault}");
    }
}

#[tokio::test]
async fn credentials_are_sent_and_a_refusal_names_their_variables_only() {
    let url = server(|headers| match headers.get("authorization").and_then(|value| value.to_str().ok()) {
        Some("Basic dXNlcjpzM2NyZXQ=") => (StatusCode::OK, json!({"schema": "\"string\"", "id": 1}).to_string()),
        _ => (StatusCode::UNAUTHORIZED, json!({"error_code": 401, "message": "Unauthorized"}).to_string()),
    })
    .await;
    let beside = |password: &str| RegistryConfig {
        url: url.clone(),
        username: Some("user".to_owned()),
        password: Some(Secret::new(password)),
        ..RegistryConfig::default()
    };
    let inline = RegistryConfig { url: url.replace("http://", "http://user:s3cret@"), ..RegistryConfig::default() };
    for config in [beside("s3cret"), inline] {
        assert!(Registry::new(&config).expect("has a client").schema(1).await.expect("is read").is_some());
    }
    let fault = Registry::new(&beside("wr0ng")).expect("has a client").schema(1).await.expect_err("is refused");
    assert_eq!(fault.retry(), Retry::Operator);
    let text = fault.to_string();
    assert!(text.contains("SCHEMA_REGISTRY_PASSWORD") && !text.contains("wr0ng"), "{text}");
}

#[tokio::test]
async fn a_schema_that_refers_to_others_comes_whole() {
    let country = json!({"type": "enum", "name": "a.Country", "symbols": ["NO"]});
    let order =
        json!({"type": "record", "name": "a.Order", "fields": [{"name": "to", "type": "Country"}, {"name": "by", "type": "a.Country"}]});
    let reference = json!([{"name": "a.Country", "subject": "country", "version": 1}]);
    let router = Router::new()
        .route("/schemas/ids/5", get(async move || json!({"schema": order.to_string(), "references": reference}).to_string()))
        .route("/subjects/country/versions/1", get(async move || json!({"schema": country.to_string(), "id": 2}).to_string()));
    let listener = tokio::net::TcpListener::bind(loopback()).await.expect("listens");
    let url = format!("http://{}", listener.local_addr().expect("has an address"));
    tokio::spawn(async move { axum::serve(listener, router).await.expect("serves") });
    let text = client(&url).schema(5).await.expect("is read").expect("is known");
    codec::schema(serde_json::from_str(&text).expect("is JSON")).expect("is a whole schema");
}

#[tokio::test]
async fn a_schema_that_is_not_avro_is_said_to_be_so() {
    let url = server(|_| (StatusCode::OK, json!({"schema": "message M {}", "schemaType": "PROTOBUF"}).to_string())).await;
    let fault = failed(&url).await;
    assert_eq!(fault.code(), Code::SchemaUnsupported);
}

#[tokio::test]
async fn records_of_a_schema_that_can_not_be_used_are_rejected_alone() {
    let url = server(|_| (StatusCode::OK, json!({"schema": "message M {}", "schemaType": "PROTOBUF"}).to_string())).await;
    let mut decoder = Decoder::new(&schema("r", &json!([{"name": "a", "type": "int"}]))).expect("a decoder");
    // The second id is larger than any that a registry gives: it is not even asked for.
    let values: [&[u8]; 2] = [&[0, 0, 0, 0, 5, 2], &[0, 0xff, 0xff, 0xff, 0xff, 2]];
    let mut records = RecordsBuilder::new("t".into(), 2);
    for value in values {
        records.push(&Record { topic: "t", partition: 0, offset: 0, timestamp: 0, key: None, value: Some(value), headers: &[] });
    }
    let records = Arc::new(records.finish());
    input::learn(&mut decoder, &client(&url), &records).await.expect("is no fault of the pipeline");
    let codes: Vec<Code> = decoder.decode(&records).expect("decodes").rejected.iter().map(|rejection| rejection.code).collect();
    assert_eq!(codes, [Code::SchemaIncompatible, Code::SchemaUnknown]);
}
