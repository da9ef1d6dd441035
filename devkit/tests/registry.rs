//! The registry's API as clients use it. Runs against the development registry, or, when `MILLRACE_TEST_REGISTRY` has the base
//! URL of another one, against that.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use millrace_devkit::registry::{Config, Running, start};
use reqwest::{Client, Method};
use serde_json::{Value, json};

/// A registry, and a subject in it that nobody else uses.
struct Registry {
    url: String,
    subject: String,
    client: Client,
    /// Ends when this does.
    running: Option<Running>,
}

fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

fn unused_subject() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970").as_nanos();
    format!("suite-{now}-{}-value", COUNT.fetch_add(1, Ordering::Relaxed))
}

impl Registry {
    async fn any() -> Self {
        match std::env::var("MILLRACE_TEST_REGISTRY") {
            Ok(url) => Self { url, subject: unused_subject(), client: Client::new(), running: None },
            Err(_) => Self::development().await,
        }
    }

    async fn development() -> Self {
        let running = start(Config { addr: loopback(), data_dir: None }).await.expect("starts");
        Self { url: running.url(), subject: unused_subject(), client: Client::new(), running: Some(running) }
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let mut request = self.client.request(method, format!("{}{path}", self.url));
        if let Some(body) = body {
            request = request.header("content-type", "application/vnd.schemaregistry.v1+json").body(body.to_string());
        }
        let response = request.send().await.expect("is answered");
        let status = response.status().as_u16();
        let text = response.text().await.expect("has a body");
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        self.call(Method::GET, path, None).await
    }

    async fn post(&self, path: &str, schema: &Value) -> (u16, Value) {
        self.call(Method::POST, path, Some(json!({"schema": schema.to_string()}))).await
    }

    /// Registers under the subject.
    async fn register(&self, schema: &Value) -> (u16, Value) {
        self.post(&format!("/subjects/{}/versions", self.subject), schema).await
    }

    async fn registered(&self, schema: &Value) -> u64 {
        let (status, body) = self.register(schema).await;
        assert_eq!(status, 200, "{body}");
        body["id"].as_u64().expect("is an id")
    }

    async fn set_level(&self, level: &str) {
        let (status, body) = self.call(Method::PUT, &format!("/config/{}", self.subject), Some(json!({"compatibility": level}))).await;
        assert_eq!((status, &body["compatibility"]), (200, &json!(level)));
    }
}

/// A record with the field `a`, and such others.
fn schema(subject: &str, others: &[Value]) -> Value {
    let mut fields = vec![json!({"name": "a", "type": "string"})];
    fields.extend_from_slice(others);
    json!({"type": "record", "name": "R", "namespace": format!("n{}", subject.replace('-', "_")), "fields": fields})
}

fn optional(name: &str) -> Value {
    json!({"name": name, "type": ["null", "int"], "default": null})
}

fn required(name: &str) -> Value {
    json!({"name": name, "type": "int"})
}

fn refused(answer: &(u16, Value), status: u16, code: u32) {
    assert_eq!((answer.0, &answer.1["error_code"]), (status, &json!(code)), "{answer:?}");
    assert!(answer.1["message"].as_str().is_some_and(|message| !message.is_empty()), "{answer:?}");
}

#[tokio::test]
async fn a_schema_is_registered_once_and_found_by_id_and_version() {
    let registry = Registry::any().await;
    let subject = &registry.subject;
    let first = schema(subject, &[]);
    let id = registry.registered(&first).await;
    assert_eq!(registry.registered(&first).await, id);
    let second = schema(subject, &[optional("b")]);
    let next = registry.registered(&second).await;
    assert_ne!(next, id);

    let (status, body) = registry.get(&format!("/schemas/ids/{id}")).await;
    assert_eq!(status, 200);
    let text: Value = serde_json::from_str(body["schema"].as_str().expect("is a text")).expect("is JSON");
    assert_eq!(text, first);
    assert_eq!(registry.get(&format!("/subjects/{subject}/versions")).await, (200, json!([1, 2])));
    let (_, latest) = registry.get(&format!("/subjects/{subject}/versions/latest")).await;
    assert_eq!((&latest["subject"], &latest["version"], &latest["id"]), (&json!(subject), &json!(2), &json!(next)));
    let (_, one) = registry.get(&format!("/subjects/{subject}/versions/1")).await;
    assert_eq!((&one["version"], &one["id"]), (&json!(1), &json!(id)));
    let (_, subjects) = registry.get("/subjects").await;
    assert!(subjects.as_array().is_some_and(|subjects| subjects.contains(&json!(subject))));
}

#[tokio::test]
async fn one_schema_has_one_id_in_every_subject() {
    let registry = Registry::any().await;
    let schema = schema(&registry.subject, &[optional("b")]);
    let id = registry.registered(&schema).await;
    let other = unused_subject();
    assert_eq!(registry.post(&format!("/subjects/{other}/versions"), &schema).await.1["id"], json!(id));
    let (status, found) = registry.post(&format!("/subjects/{other}"), &schema).await;
    assert_eq!((status, &found["version"], &found["id"]), (200, &json!(1), &json!(id)));
    let (_, uses) = registry.get(&format!("/schemas/ids/{id}/versions")).await;
    assert_eq!(uses.as_array().map(Vec::len), Some(2), "{uses}");
}

#[tokio::test]
async fn what_is_not_there_is_said_so_by_its_code() {
    let registry = Registry::any().await;
    let subject = &registry.subject;
    refused(&registry.get("/schemas/ids/987654").await, 404, 40_403);
    refused(&registry.get(&format!("/subjects/{subject}/versions")).await, 404, 40_401);
    let schema = schema(subject, &[]);
    refused(&registry.post(&format!("/subjects/{subject}"), &schema).await, 404, 40_401);
    registry.registered(&schema).await;
    refused(&registry.get(&format!("/subjects/{subject}/versions/7")).await, 404, 40_402);
    refused(&registry.post(&format!("/subjects/{subject}"), &self::schema(subject, &[optional("b")])).await, 404, 40_403);
}

#[tokio::test]
async fn what_is_no_schema_is_refused() {
    let registry = Registry::any().await;
    refused(&registry.register(&json!({"type": "record", "name": "R"})).await, 422, 42_201);
    refused(&registry.register(&json!("integer")).await, 422, 42_201);
}

#[tokio::test]
async fn backward_lets_optional_fields_come_and_any_go() {
    let registry = Registry::any().await;
    let subject = &registry.subject;
    registry.set_level("BACKWARD").await;
    registry.registered(&schema(subject, &[required("b")])).await;
    let refusal = registry.register(&schema(subject, &[required("b"), required("c")])).await;
    refused(&refusal, 409, 409);
    assert_eq!(registry.get(&format!("/subjects/{subject}/versions")).await.1, json!([1]));
    registry.registered(&schema(subject, &[required("b"), optional("c")])).await;
    registry.registered(&schema(subject, &[])).await;
}

/// The fields of versions in turn, and whether each is taken.
type Versions<'a> = &'a [(&'a [&'a str], bool)];

#[tokio::test]
async fn each_level_keeps_its_rule() {
    let registry = Registry::any().await;
    let cases: [(&str, Versions); 6] = [
        ("NONE", &[(&["required b"], true), (&["required b", "required c"], true)]),
        ("FORWARD", &[(&["required b"], true), (&["required b", "required c"], true), (&["required c"], false)]),
        ("FULL", &[(&["optional b"], true), (&["required c"], false), (&[], true)]),
        ("BACKWARD_TRANSITIVE", &[(&["optional b"], true), (&["required b"], false)]),
        ("FORWARD_TRANSITIVE", &[(&["optional b"], true), (&["required b"], true), (&["optional c"], false)]),
        ("FULL_TRANSITIVE", &[(&["optional b"], true), (&["optional b", "optional c"], true), (&["required c"], false)]),
    ];
    for (level, versions) in cases {
        let registry = Registry { url: registry.url.clone(), subject: unused_subject(), client: registry.client.clone(), running: None };
        registry.set_level(level).await;
        let field = |text: &&str| text.strip_prefix("required ").map_or_else(|| optional(text.trim_start_matches("optional ")), required);
        for (fields, taken) in versions {
            let fields: Vec<Value> = fields.iter().map(field).collect();
            let (status, body) = registry.register(&schema(&registry.subject, &fields)).await;
            assert_eq!(status, if *taken { 200 } else { 409 }, "{level} {fields:?}: {body}");
        }
    }
}

#[tokio::test]
async fn compatibility_can_be_asked_for_without_registering() {
    let registry = Registry::any().await;
    let subject = &registry.subject;
    registry.registered(&schema(subject, &[])).await;
    let path = format!("/compatibility/subjects/{subject}/versions/latest");
    let (status, good) = registry.post(&path, &schema(subject, &[optional("b")])).await;
    assert_eq!((status, &good["is_compatible"]), (200, &json!(true)));
    let (status, bad) = registry.post(&path, &schema(subject, &[required("b")])).await;
    assert_eq!((status, &bad["is_compatible"]), (200, &json!(false)));
    assert_eq!(registry.get(&format!("/subjects/{subject}/versions")).await.1, json!([1]));
}

#[tokio::test]
async fn a_subjects_level_is_its_own() {
    let registry = Registry::any().await;
    let subject = &registry.subject;
    let (status, common) = registry.get("/config").await;
    assert_eq!(status, 200);
    assert!(common["compatibilityLevel"].is_string());
    registry.registered(&schema(subject, &[])).await;
    registry.set_level("FULL").await;
    assert_eq!(registry.get(&format!("/config/{subject}")).await, (200, json!({"compatibilityLevel": "FULL"})));
    assert_eq!(registry.get("/config").await.1, common);
    let path = format!("/config/{subject}");
    refused(&registry.call(Method::PUT, &path, Some(json!({"compatibility": "SOMETIMES"}))).await, 422, 42_203);
}

#[tokio::test]
async fn a_deleted_subject_is_gone_but_its_ids_still_read_old_records() {
    let registry = Registry::any().await;
    let subject = &registry.subject;
    let id = registry.registered(&schema(subject, &[])).await;
    registry.registered(&schema(subject, &[optional("b")])).await;
    let (status, version) = registry.call(Method::DELETE, &format!("/subjects/{subject}/versions/2"), None).await;
    assert_eq!((status, version), (200, json!(2)));
    assert_eq!(registry.get(&format!("/subjects/{subject}/versions")).await.1, json!([1]));
    assert_eq!(registry.call(Method::DELETE, &format!("/subjects/{subject}"), None).await.0, 200);
    refused(&registry.get(&format!("/subjects/{subject}/versions")).await, 404, 40_401);
    assert_eq!(registry.get(&format!("/schemas/ids/{id}?deleted=true")).await.0, 200);
}

/// What other registries answer differently, or not at all.
mod development {
    use super::*;

    #[tokio::test]
    async fn backward_is_the_level_of_who_sets_none() {
        let registry = Registry::development().await;
        registry.registered(&schema(&registry.subject, &[])).await;
        refused(&registry.register(&schema(&registry.subject, &[required("b")])).await, 409, 409);
    }

    #[tokio::test]
    async fn the_level_of_all_subjects_can_be_set() {
        let registry = Registry::development().await;
        assert_eq!(registry.get("/config").await.1, json!({"compatibilityLevel": "BACKWARD"}));
        let none = Some(json!({"compatibility": "NONE"}));
        assert_eq!(registry.call(Method::PUT, "/config", none).await, (200, json!({"compatibility": "NONE"})));
        registry.registered(&schema(&registry.subject, &[])).await;
        registry.registered(&schema(&registry.subject, &[required("b")])).await;
        let own = format!("/config/{}", registry.subject);
        refused(&registry.get(&own).await, 404, 40_408);
        assert_eq!(registry.get(&format!("{own}?defaultToGlobal=true")).await.1, json!({"compatibilityLevel": "NONE"}));
        registry.set_level("FULL").await;
        assert_eq!(registry.call(Method::DELETE, &own, None).await.0, 200);
        refused(&registry.get(&own).await, 404, 40_408);
    }

    #[tokio::test]
    async fn numbers_of_deleted_versions_are_not_used_again() {
        let registry = Registry::development().await;
        let subject = format!("/subjects/{}", registry.subject);
        registry.registered(&schema(&registry.subject, &[])).await;
        refused(&registry.call(Method::DELETE, &format!("{subject}?permanent=true"), None).await, 404, 40_405);
        assert_eq!(registry.call(Method::DELETE, &subject, None).await, (200, json!([1])));
        registry.registered(&schema(&registry.subject, &[required("b")])).await;
        assert_eq!(registry.get(&format!("{subject}/versions")).await.1, json!([2]));
        registry.call(Method::DELETE, &subject, None).await;
        assert_eq!(registry.call(Method::DELETE, &format!("{subject}?permanent=true"), None).await, (200, json!([1, 2])));
    }

    #[tokio::test]
    async fn requests_of_another_form_are_refused_with_a_reason() {
        let registry = Registry::development().await;
        let path = format!("/subjects/{}/versions", registry.subject);
        refused(&registry.call(Method::POST, &path, Some(json!({"schema": 7}))).await, 400, 400);
        refused(&registry.call(Method::POST, &path, Some(json!({"schema": "{}", "schemaType": "PROTOBUF"}))).await, 422, 42_201);
        let reference = json!({"name": "x", "subject": "x", "version": 1});
        refused(&registry.call(Method::POST, &path, Some(json!({"schema": "\"int\"", "references": [reference]}))).await, 422, 42_201);
        registry.registered(&schema(&registry.subject, &[])).await;
        refused(&registry.post(&format!("/subjects/{}", registry.subject), &json!("integer")).await, 422, 42_201);
        refused(&registry.get(&format!("{path}/first")).await, 422, 42_202);
        refused(&registry.get(&format!("{path}/0")).await, 422, 42_202);
        refused(&registry.get("/schemas/ids/first").await, 404, 40_403);
        refused(&registry.get("/nowhere").await, 404, 404);
        refused(&registry.call(Method::PUT, "/subjects", None).await, 405, 405);
    }

    #[tokio::test]
    async fn a_schema_with_another_default_is_another_schema() {
        let registry = Registry::development().await;
        let first = registry.registered(&schema(&registry.subject, &[json!({"name": "b", "type": "int", "default": 1})])).await;
        let second = registry.registered(&schema(&registry.subject, &[json!({"name": "b", "type": "int", "default": 2})])).await;
        assert_ne!(first, second);
    }

    #[tokio::test]
    async fn what_is_kept_in_a_folder_is_there_after_a_restart() {
        let folder = tempfile::tempdir().expect("has a folder");
        let config = Config { addr: loopback(), data_dir: Some(folder.path().join("deeper")) };
        let running = start(config.clone()).await.expect("starts");
        let before = Registry { url: running.url(), subject: unused_subject(), client: Client::new(), running: None };
        let id = before.registered(&schema(&before.subject, &[])).await;
        before.set_level("FULL").await;
        let old = running.addr();
        running.stop().await;
        assert!(before.client.get(format!("http://{old}/subjects")).send().await.is_err());

        let running = start(config).await.expect("starts again");
        let after = Registry { url: running.url(), running: Some(running), ..before };
        assert_eq!(after.registered(&schema(&after.subject, &[])).await, id);
        assert_eq!(after.get(&format!("/config/{}", after.subject)).await.1, json!({"compatibilityLevel": "FULL"}));
    }

    #[tokio::test]
    async fn a_folder_that_can_not_be_read_and_an_address_that_is_taken_are_said() {
        let folder = tempfile::tempdir().expect("has a folder");
        std::fs::write(folder.path().join("registry.json"), "{ not JSON").expect("writes");
        let error = start(Config { addr: loopback(), data_dir: Some(folder.path().to_owned()) }).await.expect_err("is refused");
        assert!(error.to_string().contains("registry.json"), "{error}");
        let registry = Registry::development().await;
        let addr = registry.running.as_ref().expect("runs").addr();
        let error = start(Config { addr, data_dir: None }).await.expect_err("is taken");
        assert!(error.to_string().contains(&addr.to_string()), "{error}");
    }
}
