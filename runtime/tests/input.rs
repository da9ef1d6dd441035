//! A topic whose schema changes while a pipeline reads it: against the development registry, or that of `MILLRACE_TEST_REGISTRY`.

use std::sync::Arc;

use millrace_devkit::registry::{Config, Running, start};
use millrace_model::{Code, Fault, Record, Records, RecordsBuilder, Rejection, Retry, Schema};
use millrace_runtime::codec;
use millrace_runtime::input::Input;
use millrace_runtime::project::{OnIncompatible, RegistryConfig, SchemaChanges};
use millrace_runtime::registry::Registry;
use serde_json::{Value, json};

/// A topic with a subject of its own.
struct Topic {
    name: String,
    url: String,
    registry: Registry,
    _running: Option<Running>,
}

impl Topic {
    async fn new() -> Self {
        let (url, running) = if let Ok(url) = std::env::var("MILLRACE_TEST_REGISTRY") {
            (url, None)
        } else {
            let running = start(Config { addr: ([127, 0, 0, 1], 0).into(), data_dir: None }).await.expect("starts");
            (running.url(), Some(running))
        };
        let registry = Registry::new(&RegistryConfig { url: url.clone(), ..RegistryConfig::default() }).expect("has a client");
        Self { name: format!("moving-{}", uuid::Uuid::new_v4().simple()), url, registry, _running: running }
    }

    /// A topic whose subject takes any schema.
    async fn without_rules() -> Self {
        let topic = Self::new().await;
        let config = format!("{}/config/{}-value", topic.url, topic.name);
        let answer = reqwest::Client::new().put(config).json(&json!({ "compatibility": "NONE" })).send().await.expect("answers");
        assert!(answer.status().is_success(), "{answer:?}");
        topic
    }

    /// Registers the next version; returns its id.
    async fn version(&self, schema: &Schema) -> u32 {
        self.registry.register(&format!("{}-value", self.name), schema).await.expect("is registered")
    }

    fn input(&self, declared: &Schema, changes: SchemaChanges, on_incompatible: OnIncompatible) -> Input {
        Input::new(&self.name, declared, changes, on_incompatible).expect("has an input")
    }

    fn following(&self, declared: &Schema) -> Input {
        self.input(declared, SchemaChanges::Follow, OnIncompatible::Halt)
    }

    /// Learns the schemas of the records, and follows every change that is offered.
    async fn learn(&self, input: &mut Input, records: &Records) -> Result<(), Fault> {
        while let Some(change) = input.learn(&self.registry, records).await? {
            input.follow(change)?;
        }
        Ok(())
    }

    /// The same for a pipeline that can't work with any change.
    async fn refuse(&self, input: &mut Input, records: &Records) -> Result<(), Fault> {
        while let Some(change) = input.learn(&self.registry, records).await? {
            input.decline(&change, "step 0 (sql): there is no column a")?;
        }
        Ok(())
    }

    /// What becomes of the records: their columns by name, and what is rejected.
    async fn read(&self, input: &mut Input, records: &Arc<Records>) -> (Vec<String>, usize, Vec<Rejection>) {
        self.learn(input, records).await.expect("learns");
        decoded(input, records)
    }
}

fn decoded(input: &mut Input, records: &Arc<Records>) -> (Vec<String>, usize, Vec<Rejection>) {
    let decoded = input.decode(records).expect("decodes");
    let columns = decoded.batch.columns().schema().fields().iter().map(|field| field.name().clone()).collect();
    (columns, decoded.batch.len(), decoded.rejected)
}

fn schema(fields: &Value) -> Schema {
    codec::schema(json!({ "type": "record", "name": "Moving", "fields": fields })).expect("is carried")
}

/// `a`, an int.
fn first() -> Schema {
    schema(&json!([{ "name": "a", "type": "int" }]))
}

/// And `b`, with a default.
fn second() -> Schema {
    schema(&json!([{ "name": "a", "type": "int" }, { "name": "b", "type": ["null", "string"], "default": null }]))
}

/// And `a` a long.
fn third() -> Schema {
    schema(&json!([{ "name": "a", "type": "long" }, { "name": "b", "type": ["null", "string"], "default": null }]))
}

/// Records that were written with the schema of each id: `a` is 7, and `b` is null where there is one.
fn records(ids: &[(u32, usize)]) -> Arc<Records> {
    let mut records = RecordsBuilder::new("t".into(), ids.len());
    for (id, columns) in ids {
        let value = [&[0], &id.to_be_bytes()[..], &[14, 0][..*columns]].concat();
        records.push(&Record { topic: "t", partition: 0, offset: 0, timestamp: 0, key: None, value: Some(&value), headers: &[] });
    }
    Arc::new(records.finish())
}

#[tokio::test]
async fn a_later_version_is_read_by_from_its_first_record_on() {
    let topic = Topic::new().await;
    let one = topic.version(&first()).await;
    let mut input = topic.following(&first());
    assert_eq!(topic.read(&mut input, &records(&[(one, 1)])).await, (vec!["a".to_owned()], 1, vec![]));
    let two = topic.version(&second()).await;
    assert_eq!(topic.read(&mut input, &records(&[(one, 1), (two, 2), (one, 1)])).await, (vec!["a".into(), "b".into()], 3, vec![]));
    let three = topic.version(&third()).await;
    assert_eq!(topic.read(&mut input, &records(&[(three, 2), (one, 1), (two, 2)])).await.1, 3);
    assert_eq!(input.schema(), &third());
}

#[tokio::test]
async fn what_starts_anew_goes_on_with_the_latest_version_and_reads_earlier_records_by_it() {
    let topic = Topic::new().await;
    let one = topic.version(&first()).await;
    topic.version(&second()).await;
    topic.version(&third()).await;
    let mut input = topic.following(&first());
    assert_eq!(topic.read(&mut input, &records(&[(one, 1)])).await, (vec!["a".into(), "b".into()], 1, vec![]));
    assert_eq!(input.schema(), &third());
    let mut later = topic.following(&third());
    assert_eq!(topic.read(&mut later, &records(&[(one, 1)])).await.1, 1);
    assert_eq!(later.schema(), &third());
}

#[tokio::test]
async fn a_pinned_pipeline_reads_all_versions_by_its_own_schema() {
    let topic = Topic::new().await;
    let (one, two) = (topic.version(&first()).await, topic.version(&second()).await);
    let mut input = topic.input(&first(), SchemaChanges::Pin, OnIncompatible::Halt);
    assert_eq!(topic.read(&mut input, &records(&[(two, 2), (one, 1)])).await, (vec!["a".to_owned()], 2, vec![]));
}

#[tokio::test]
async fn a_schema_of_the_projects_own_is_not_followed() {
    let topic = Topic::new().await;
    let part = schema(&json!([{ "name": "b", "type": ["null", "string"], "default": null }]));
    let two = topic.version(&second()).await;
    let mut input = topic.following(&part);
    assert_eq!(topic.read(&mut input, &records(&[(two, 2)])).await, (vec!["b".to_owned()], 1, vec![]));
    let documented =
        codec::schema(json!({ "type": "record", "name": "Moving", "doc": "It moves.", "fields": second().fields() })).expect("is carried");
    let three = topic.version(&third()).await;
    let mut same = topic.following(&documented);
    assert_eq!(topic.read(&mut same, &records(&[(two, 2)])).await.1, 1);
    assert_eq!(topic.read(&mut same, &records(&[(three, 2)])).await.1, 1);
}

#[tokio::test]
async fn a_version_that_the_pipeline_can_not_work_with_leaves_it_as_it_is_while_it_can_read_it() {
    let topic = Topic::new().await;
    let one = topic.version(&first()).await;
    let mut input = topic.following(&first());
    topic.refuse(&mut input, &records(&[(one, 1)])).await.expect("learns");
    let two = topic.version(&second()).await;
    let both = records(&[(one, 1), (two, 2)]);
    topic.refuse(&mut input, &both).await.expect("learns");
    assert_eq!(decoded(&mut input, &both), (vec!["a".to_owned()], 2, vec![]));
}

#[tokio::test]
async fn a_version_that_can_neither_be_followed_nor_read_halts_and_says_what_changed() {
    let topic = Topic::without_rules().await;
    let one = topic.version(&second()).await;
    let mut input = topic.following(&second());
    topic.learn(&mut input, &records(&[(one, 2)])).await.expect("learns");
    let text = schema(&json!([{ "name": "a", "type": "string" }]));
    let two = topic.version(&text).await;
    for _ in 0..2 {
        let fault = topic.learn(&mut input, &records(&[(one, 2), (two, 1)])).await.expect_err("can't be read");
        assert_eq!((fault.code(), fault.retry()), (Code::SchemaChanged, Retry::Operator));
        for told in ["version 2", "field `a` was int and is string", "field `b` is gone", "on_incompatible: dead_letter"] {
            assert!(fault.message().contains(told), "{fault}");
        }
    }
}

#[tokio::test]
async fn a_version_of_which_no_record_has_come_halts_nothing() {
    let topic = Topic::without_rules().await;
    let one = topic.version(&second()).await;
    let two = topic.version(&schema(&json!([{ "name": "b", "type": ["null", "string"], "default": null }]))).await;
    let mut input = topic.following(&second());
    topic.refuse(&mut input, &records(&[(one, 2)])).await.expect("goes on");
    assert_eq!(decoded(&mut input, &records(&[(one, 2)])).1, 1);
    let fault = topic.refuse(&mut input, &records(&[(one, 2), (two, 1)])).await.expect_err("can't be read");
    assert_eq!(fault.code(), Code::SchemaChanged);
}

#[tokio::test]
async fn such_a_version_becomes_dead_letters_where_that_is_asked_for() {
    let topic = Topic::without_rules().await;
    let one = topic.version(&first()).await;
    let two = topic.version(&schema(&json!([{ "name": "a", "type": "string" }]))).await;
    for changes in [SchemaChanges::Follow, SchemaChanges::Pin] {
        let mut input = topic.input(&first(), changes, OnIncompatible::DeadLetter);
        let (_, rows, rejected) = topic.read(&mut input, &records(&[(one, 1), (two, 1), (one, 1)])).await;
        assert_eq!(rows, 2);
        assert_eq!(rejected.iter().map(|one| (one.record, one.code)).collect::<Vec<_>>(), [(1, Code::SchemaIncompatible)]);
    }
}

#[tokio::test]
async fn a_new_field_without_a_default_is_not_read_into_earlier_records() {
    let topic = Topic::without_rules().await;
    let one = topic.version(&first()).await;
    let mut input = topic.following(&first());
    topic.learn(&mut input, &records(&[(one, 1)])).await.expect("learns");
    let required = schema(&json!([{ "name": "a", "type": "int" }, { "name": "c", "type": "int" }]));
    let two = topic.version(&required).await;
    assert_eq!(topic.read(&mut input, &records(&[(two, 2), (one, 1)])).await, (vec!["a".to_owned()], 2, vec![]));
}

#[tokio::test]
async fn a_schema_of_another_subject_is_a_bad_record_and_no_change() {
    let (topic, other) = (Topic::new().await, Topic::new().await);
    let one = topic.version(&first()).await;
    let stray =
        codec::schema(json!({ "type": "record", "name": "Stray", "fields": [{ "name": "a", "type": "string" }] })).expect("is carried");
    let strays = topic.registry.register(&format!("{}-value", other.name), &stray).await.expect("is registered");
    let mut input = topic.following(&first());
    let (_, rows, rejected) = topic.read(&mut input, &records(&[(strays, 1), (one, 1)])).await;
    assert_eq!((rows, rejected.len()), (1, 1));
}

#[tokio::test]
async fn a_recursive_schema_is_rejected_with_its_records() {
    let topic = Topic::without_rules().await;
    let one = topic.version(&first()).await;
    let node = json!({ "type": "record", "name": "Moving", "fields": [{ "name": "next", "type": ["null", "Moving"] }, { "name": "a", "type": "int" }] });
    let node = Schema::new(node, first().arrow().clone());
    let two = topic.version(&node).await;
    let mut input = topic.input(&first(), SchemaChanges::Follow, OnIncompatible::DeadLetter);
    let (_, rows, rejected) = topic.read(&mut input, &records(&[(two, 2), (one, 1)])).await;
    assert_eq!((rows, rejected.len()), (1, 1));
    assert!(rejected[0].reason.contains("recursive"), "{rejected:?}");
    let mut halting = topic.following(&first());
    let fault = topic.learn(&mut halting, &records(&[(two, 2)])).await.expect_err("can't be read");
    assert!(fault.message().contains("recursive"), "{fault}");
}
