//! Senders that share no code with the gateway: the official CloudEvents SDK and fastavro, in the Python of
//! `MILLRACE_TEST_PYTHON` (or `python3`).

use std::process::Stdio;

use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::world::World;

fn python() -> Command {
    Command::new(std::env::var("MILLRACE_TEST_PYTHON").unwrap_or_else(|_| "python3".into()))
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_the_official_sdk_and_containers_of_fastavro_become_records() {
    let world = World::start().await;
    let service = world.gateway().await;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/senders.py");
    let sent = python().arg(script).arg(service.url("")).stderr(Stdio::inherit()).output().await.expect("Python starts");
    assert!(sent.status.success(), "needs fastavro and cloudevents; scripts/setup.sh test installs them");
    let answers: Vec<Value> = String::from_utf8_lossy(&sent.stdout).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(answers.iter().all(|answer| answer["status"] == 200), "{answers:#?}");
    world.await_ids((1..=4).chain(10..15).chain(20..25).chain(30..35).chain(40..45).chain([50, 60])).await;
    for order in world.orders().await {
        let mut headers: Vec<_> = order.headers.iter().map(|header| (header.key.as_str(), text(header.value.as_deref()))).collect();
        headers.retain(|(name, _)| *name != "ce_time");
        headers.sort_unstable();
        if order.id > 4 {
            assert_eq!(headers, [], "{}", order.id);
            continue;
        }
        let (id, subject) = (order.id.to_string(), format!("order {}", order.id));
        let expected = [
            ("ce_id", id.as_str()),
            ("ce_source", "/shop/ö"),
            ("ce_specversion", "1.0"),
            ("ce_subject", &subject),
            ("ce_type", "order.placed"),
            ("content-type", "application/avro"),
        ];
        assert_eq!(headers, expected);
    }
    service.stop().await;
}

fn text(value: Option<&[u8]>) -> &str {
    std::str::from_utf8(value.expect("a value")).expect("text")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_openapi_document_is_valid_and_has_a_page() {
    let world = World::start().await;
    let service = world.gateway().await;
    let document = reqwest::get(service.url("/openapi.json")).await.expect("answers").text().await.expect("text");
    let script = "import json, sys, openapi_spec_validator; openapi_spec_validator.validate(json.load(sys.stdin))";
    let mut validator = python().args(["-c", script]).stdin(Stdio::piped()).spawn().expect("Python starts");
    validator.stdin.take().expect("a pipe").write_all(document.as_bytes()).await.expect("writes");
    assert!(validator.wait().await.expect("ends").success(), "needs openapi-spec-validator; scripts/setup.sh test installs it");
    let document: Value = serde_json::from_str(&document).expect("JSON");
    let order = &document["components"]["schemas"]["records.web"];
    assert_eq!(order["required"], serde_json::json!(["id", "customer"]));
    let page = reqwest::get(service.url("/docs")).await.expect("answers").text().await.expect("text");
    assert!(page.contains("POST /orders") && page.contains("customer"), "{page}");
    service.stop().await;
}
