use millrace_model::{Header, Record, RecordsBuilder};
use millrace_runtime::codec;
use millrace_runtime::formats::JsonReader;
use millrace_runtime::project::RegistryConfig;
use serde_json::{Value, from_value, json};

use super::*;

fn schema() -> Schema {
    let fields = json!([{"name": "id", "type": ["null", "string"]}, {"name": "n", "type": ["null", "int"]}]);
    codec::schema(json!({"type": "record", "name": "Row", "fields": fields})).expect("is a schema")
}

fn intake(settings: &Value) -> Intake {
    let mut pipeline = json!({"from": "t", "to": {"connection": "w", "table": "t"}});
    pipeline.as_object_mut().expect("settings").extend(settings.as_object().expect("settings").clone());
    Intake::new(&from_value(pipeline).expect("reads"), &schema()).expect("fits")
}

/// A registry that nobody asks.
fn registry() -> Registry {
    Registry::new(&RegistryConfig { url: "http://127.0.0.1:1".to_owned(), ..RegistryConfig::default() }).expect("a client")
}

/// A record: its key, its value, its headers.
type Sent<'a> = (Option<&'a [u8]>, Option<Value>, &'a [(&'a str, &'a str)]);

/// Records, and the batch of those that have values.
fn records(of: &[Sent<'_>]) -> (Arc<Records>, Batch, Vec<u32>) {
    let mut records = RecordsBuilder::new("t".into(), of.len());
    for ((key, value, headers), offset) in of.iter().zip(0..) {
        let headers: Vec<Header> =
            headers.iter().map(|(key, value)| Header { key: (*key).into(), value: Some(value.as_bytes().to_vec()) }).collect();
        let value = value.as_ref().map(|value| value.to_string().into_bytes());
        records.push(&Record { topic: "t", partition: 0, offset, timestamp: 0, key: *key, value: value.as_deref(), headers: &headers });
    }
    let records = Arc::new(records.finish());
    let parsed = JsonReader::new(&schema()).expect("a reader").read(&records).expect("reads");
    let tombstones = (0..of.len() as u32).filter(|&record| of[record as usize].1.is_none()).collect();
    (records, parsed.batch, tombstones)
}

/// What records do: for each part its action and records; and the records that are rejected, with their codes.
async fn told(
    intake: &mut Intake,
    (records, batch, tombstones): (Arc<Records>, Batch, Vec<u32>),
) -> (Vec<(Action, Vec<u32>)>, Vec<(u32, Code)>) {
    let taken = intake.take(&records, batch, tombstones, &registry(), 0).await.expect("takes");
    let parts = taken.parts.iter().map(|part| (part.action, part.batch.origin().rows().to_vec())).collect();
    (parts, taken.rejected.iter().map(|rejection| (rejection.record, rejection.code)).collect())
}

fn row() -> Value {
    json!({"id": "a", "n": 1})
}

#[tokio::test]
async fn a_record_whose_bounds_name_no_load_is_rejected_once_and_not_loaded() {
    let bad = [("millrace.load.begin", ""), ("millrace.load.end", "")];
    let taken = records(&[
        (None, Some(row()), &[]),
        (None, Some(row()), &bad),
        (None, Some(row()), &[("millrace.load.end", "a")]),
        (None, None, &bad),
    ]);
    let (parts, rejected) = told(&mut intake(&json!({"mode": "replace"})), taken).await;
    assert_eq!(parts, [(Action::Write, vec![0, 2])]);
    assert_eq!(rejected, [(1, Code::ChangeInvalid), (3, Code::ChangeInvalid)]);
}

#[tokio::test]
async fn the_default_of_a_key_column_names_the_row_to_delete_too() {
    let mut intake = intake(&json!({"mode": "mirror", "envelope": "flat", "keys": ["id"], "defaults": {"id": "none"}}));
    let deletes = [("millrace.op", "d")];
    let taken = records(&[(None, Some(json!({"id": null, "n": null})), &deletes), (None, Some(json!({"id": "a", "n": 1})), &deletes)]);
    let taken = intake.take(&taken.0, taken.1, taken.2, &registry(), 0).await.expect("takes");
    let keys = taken.parts[0].batch.columns().column(0);
    assert_eq!(
        (taken.parts[0].action, format!("{keys:?}")),
        (Action::Delete, format!("{:?}", arrow::array::StringArray::from(vec!["none", "a"])))
    );
    assert!(taken.rejected.is_empty());
}

#[tokio::test]
async fn a_tombstone_whose_key_is_no_text_is_rejected_alone_where_the_table_has_keys_as_text() {
    let settings = json!({"mode": "upsert", "keys": ["k"], "columns": ["*", {"name": "k", "metadata": "key_text"}]});
    let taken = records(&[(Some(b"a"), None, &[]), (Some(b"\xff"), None, &[])]);
    let (parts, rejected) = told(&mut intake(&settings), taken).await;
    assert_eq!(parts, [(Action::Delete, vec![0])]);
    assert_eq!(rejected, [(1, Code::KeyMissing)]);
}
