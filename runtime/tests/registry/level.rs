//! The rule by which a subject's versions follow one another.

use millrace_runtime::registry::Level;
use serde_json::json;

use super::{client, registry, schema, unused_subject};

async fn set(url: &str, path: &str, level: &str) {
    let put = reqwest::Client::new().put(format!("{url}/config{path}")).json(&json!({ "compatibility": level })).send();
    let answer = put.await.expect("answers");
    assert!(answer.status().is_success(), "{answer:?}");
}

#[tokio::test]
async fn a_subject_has_the_registrys_rule_until_it_has_its_own() {
    let (url, _running) = if let Ok(url) = std::env::var("MILLRACE_TEST_REGISTRY") {
        (url, None)
    } else {
        let running = registry().await;
        (running.url(), Some(running))
    };
    let (registry, subject) = (client(&url), unused_subject("level"));
    let schema = schema("Level", &json!([{ "name": "x", "type": "int" }]));
    registry.register(&subject, &schema).await.expect("is registered");
    let common: serde_json::Value = reqwest::get(format!("{url}/config")).await.expect("answers").json().await.expect("is JSON");
    let told = registry.level(&subject).await.expect("is told");
    assert_eq!(json!(told.to_string()), common["compatibilityLevel"]);
    for (text, level) in [("FULL_TRANSITIVE", Level::FullTransitive), ("NONE", Level::None), ("FORWARD", Level::Forward)] {
        set(&url, &format!("/{subject}"), text).await;
        assert_eq!(registry.level(&subject).await.expect("is told"), level);
        assert_eq!(level.to_string(), text);
    }
}
