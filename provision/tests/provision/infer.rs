//! Schemas inferred from files, which then read those files.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, Decimal128Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use millrace_model::{Code, Record, RecordsBuilder};
use millrace_provision::infer::{Sample, infer};
use millrace_runtime::codec;
use millrace_runtime::formats::JsonReader;
use parquet::arrow::ArrowWriter;
use serde_json::{Value, json};
use tempfile::TempDir;

fn sample() -> Sample {
    Sample { format: None, name: None, records: 10_000, nulls: Vec::new() }
}

fn written(folder: &TempDir, name: &str, text: &str) -> PathBuf {
    let file = folder.path().join(name);
    std::fs::write(&file, text).expect("writes");
    file
}

fn fields(avro: &Value) -> Vec<(&str, Value)> {
    let fields = avro["fields"].as_array().expect("fields");
    fields.iter().map(|field| (field["name"].as_str().expect("a name"), field["type"].clone())).collect()
}

fn logical(base: &str, logical: &str) -> Value {
    json!({ "type": base, "logicalType": logical })
}

#[test]
fn a_csv_is_typed_by_its_columns() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = "\u{feff}id,zip,price,day,at,note,open\n1,01234,3.50,2013-01-31,2013-01-31T05:30:00Z,NA,true\n2,99999,12.25,2013-02-01,2013-02-01T05:30:00.5Z,\"a, b\",FALSE\n";
    let file = written(&folder, "new-orders.csv", text);
    let avro = infer(&file, &Sample { nulls: vec!["NA".into()], ..sample() }).expect("has a schema");
    assert_eq!(avro["name"], "new_orders");
    let decimal = json!({ "type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 2 });
    assert_eq!(
        fields(&avro),
        [
            ("id", json!("long")),
            ("zip", json!("string")),
            ("price", decimal),
            ("day", logical("int", "date")),
            ("at", logical("long", "timestamp-millis")),
            ("note", json!(["null", "string"])),
            ("open", json!("boolean")),
        ]
    );
    codec::schema(avro).expect("is what the codec carries");
}

/// The strict reader of the ingest service takes every record that the schema was inferred from.
#[test]
fn what_the_schema_was_inferred_from_can_be_read_by_it() {
    let lines = [
        r#"{"id": 1, "to": {"street": "a", "no": 3}, "tags": ["x"], "at": "2013-01-31T05:30:00.000001Z", "price": "3.50", "ratio": 1}"#,
        r#"{"id": 2, "to": {"street": "b"}, "tags": [null], "at": "2013-01-31T05:30:00+01:00", "price": "12.00", "ratio": 2.5, "days": {"2013-01-31": 1}}"#,
        r#"{"id": 3, "to": {"street": "c", "no": null}, "tags": [], "at": null, "price": "0.10", "ratio": 0}"#,
    ];
    let folder = tempfile::tempdir().expect("a folder");
    let schema = codec::schema(infer(&written(&folder, "orders.ndjson", &lines.join("\n")), &sample()).expect("has a schema"));
    let schema = schema.expect("is what the codec carries");
    let mut records = RecordsBuilder::new("orders".into(), lines.len());
    for (offset, line) in lines.iter().enumerate() {
        let value = Some(line.as_bytes());
        records.push(&Record { topic: "orders", partition: 0, offset: offset as i64, timestamp: 0, key: None, value, headers: &[] });
    }
    let parsed = JsonReader::new(&schema).expect("a reader").read(&Arc::new(records.finish())).expect("reads");
    assert_eq!((parsed.batch.len(), parsed.refused.len()), (3, 0), "{:?}", parsed.refused);
}

#[test]
fn a_json_array_and_objects_behind_one_another_are_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let array = infer(&written(&folder, "a.json", r#"[{"id": 1}, {"id": null}]"#), &sample()).expect("has a schema");
    let lines = infer(&written(&folder, "b.jsonl", "{\"id\": 1}\n{\"id\": null}\n"), &sample()).expect("has a schema");
    assert_eq!(array["fields"], lines["fields"]);
    let first = infer(&written(&folder, "c.json", r#"[{"id": 1}, {"id": null}]"#), &Sample { records: 1, ..sample() }).expect("has one");
    assert_eq!(fields(&first), [("id", json!("long"))], "only as many records as were asked for");
}

#[test]
fn files_that_have_a_schema_give_theirs() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("orders.parquet");
    write_parquet(&file);
    let avro = infer(&file, &sample()).expect("has a schema");
    let decimal = json!({ "type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2 });
    assert_eq!(
        fields(&avro),
        [
            ("id", json!("long")),
            ("note", json!(["null", "string"])),
            ("price", json!(["null", decimal])),
            ("at", json!(["null", logical("long", "timestamp-micros")])),
        ]
    );
    assert!(avro["fields"][1]["default"].is_null() && avro["name"] == "orders", "{avro}");
    codec::schema(avro).expect("is what the codec carries");

    let schema = apache_avro::Schema::parse_str(
        r#"{"type": "record", "name": "Order", "fields": [{"name": "id", "type": "long", "doc": "the key"}]}"#,
    );
    let schema = schema.expect("a schema");
    let file = folder.path().join("orders.avro");
    let writer = apache_avro::Writer::new(&schema, File::create(&file).expect("creates")).expect("a writer");
    writer.into_inner().expect("writes");
    let avro = infer(&file, &Sample { name: Some("shop.Order".into()), ..sample() }).expect("has a schema");
    assert_eq!((&avro["name"], &avro["fields"][0]["doc"]), (&json!("shop.Order"), &json!("the key")));
}

fn write_parquet(file: &Path) {
    let columns: Vec<(&str, ArrayRef, bool)> = vec![
        ("id", Arc::new(Int64Array::from(vec![1])), false),
        ("note", Arc::new(StringArray::from(vec![None::<&str>])), true),
        ("price", Arc::new(Decimal128Array::from(vec![150]).with_precision_and_scale(10, 2).expect("fits")), true),
        ("at", Arc::new(TimestampMicrosecondArray::from(vec![0]).with_timezone("+00:00")), true),
    ];
    let batch = RecordBatch::try_from_iter_with_nullable(columns).expect("a batch");
    let mut writer = ArrowWriter::try_new(File::create(file).expect("creates"), batch.schema(), None).expect("a writer");
    writer.write(&batch).expect("writes");
    writer.close().expect("closes");
}

#[test]
fn what_is_no_sample_is_told_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let told = |name: &str, text: &str, sample: &Sample| infer(&written(&folder, name, text), sample).expect_err("has none");
    let none = sample();
    assert!(told("orders.txt", "a", &none).message().contains("--format"));
    assert_eq!(told("broken.json", "{", &none).code(), Code::FileUnreadable);
    assert_eq!(told("broken.avro", "Obj\u{1}", &none).code(), Code::FileUnreadable);
    assert_eq!(told("broken.parquet", "PAR1", &none).code(), Code::FileUnreadable);
    assert_eq!(told("ragged.csv", "a,b\n1\n", &none).code(), Code::FileUnreadable);
    assert_eq!(told("empty.ndjson", "", &none).code(), Code::SchemaUnsupported);
    assert!(told("named.csv", "order date\n1\n", &none).message().contains("\"order date\""));
    assert_eq!(infer(Path::new("nowhere.csv"), &none).expect_err("is not there").code(), Code::FileUnreadable);
}
