use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BinaryArray, Int64Array, ListBuilder, RecordBatch, StringArray, StringBuilder, StructArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Int64Type};
use millrace_model::{Batch, Header, Origin, Record, RecordsBuilder, Schema};
use millrace_runtime::codec;
use serde_json::json;

use super::*;

fn row_type() -> serde_json::Value {
    json!({"type": "record", "name": "Value", "fields": [
        {"name": "id", "type": "long"},
        {"name": "note", "type": ["null", "string"]},
        {"name": "photo", "type": ["null", "bytes"]},
        {"name": "tags", "type": ["null", {"type": "array", "items": "string"}]},
    ]})
}

fn envelope() -> Schema {
    let fields = json!([
        {"name": "before", "type": ["null", row_type()], "default": null},
        {"name": "after", "type": ["null", "Value"], "default": null},
        {"name": "op", "type": "string"},
    ]);
    codec::schema(json!({"type": "record", "name": "Envelope", "namespace": "shop.public", "fields": fields})).expect("is a schema")
}

/// A row: its id and its note.
type Row<'a> = (i64, &'a str);

fn columns(rows: &[Option<Row<'_>>]) -> Vec<ArrayRef> {
    let note = |row: &Option<Row<'_>>| row.map(|row| row.1.to_owned());
    let mut tags = ListBuilder::new(StringBuilder::new()).with_field(Arc::new(arrow::datatypes::Field::new("item", DataType::Utf8, false)));
    for row in rows {
        tags.append_value([Some(row.map_or("", |row| row.1))]);
    }
    vec![
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.map_or(0, |row| row.0)))),
        Arc::new(rows.iter().map(note).collect::<StringArray>()),
        Arc::new(rows.iter().map(|row| row.map(|row| row.1.as_bytes())).collect::<BinaryArray>()),
        Arc::new(tags.finish()),
    ]
}

fn records(headers: &[&[(&str, &str)]]) -> Origin {
    let mut records = RecordsBuilder::new("t".into(), headers.len());
    for (offset, headers) in headers.iter().enumerate() {
        let headers: Vec<Header> =
            headers.iter().map(|(key, value)| Header { key: (*key).into(), value: Some(value.as_bytes().to_vec()) }).collect();
        records.push(&Record { topic: "t", partition: 0, offset: offset as i64, timestamp: 0, key: None, value: None, headers: &headers });
    }
    Origin::all(Arc::new(records.finish()))
}

fn record(rows: &[Option<Row<'_>>], schema: &Schema, name: &str) -> ArrayRef {
    let DataType::Struct(fields) = schema.arrow().field_with_name(name).expect("is there").data_type() else { panic!("is a record") };
    let nulls: NullBuffer = rows.iter().map(Option::is_some).collect();
    Arc::new(StructArray::new(fields.clone(), columns(rows), Some(nulls)))
}

fn debezium(changes: &[(&str, Option<Row<'_>>, Option<Row<'_>>)]) -> (Mirror, Batch) {
    let schema = envelope();
    let before: Vec<_> = changes.iter().map(|change| change.1).collect();
    let after: Vec<_> = changes.iter().map(|change| change.2).collect();
    let ops: ArrayRef = Arc::new(changes.iter().map(|change| Some(change.0)).collect::<StringArray>());
    let columns = vec![record(&before, &schema, "before"), record(&after, &schema, "after"), ops];
    let columns = RecordBatch::try_new(Arc::clone(schema.arrow()), columns).expect("three columns");
    let mirror = Mirror::new(Envelope::Debezium, &rows(&schema).expect("is an envelope"), &["id".to_owned()]);
    (mirror, Batch::new(columns, records(&vec![&[][..]; changes.len()])))
}

/// What changes do: the action, the records, the ids, the columns that are lacked.
fn shown(changes: &[Change]) -> Vec<String> {
    let ids = |batch: &Batch| batch.columns().column_by_name("id").expect("has it").as_primitive::<Int64Type>().values().to_vec();
    let change = |change: &Change| match change {
        Change::Write { rows, lacking } => format!("write {:?} {:?} {lacking:?}", rows.origin().rows(), ids(rows)),
        Change::Delete(keys) => format!("delete {:?} {:?}", keys.origin().rows(), ids(keys)),
        Change::Clear(rows) => format!("clear {:?}", rows.origin().rows()),
    };
    changes.iter().map(change).collect()
}

#[test]
fn each_op_of_debezium_does_its_own_to_the_table() {
    let (one, two) = (Some((1, "a")), Some((2, "b")));
    let (mirror, batch) = debezium(&[("c", None, one), ("u", one, one), ("d", two, None), ("r", None, two), ("t", None, None)]);
    let (changes, rejected) = mirror.changes(&batch).expect("reads");
    assert_eq!(shown(&changes), ["write [0, 1, 3] [1, 1, 2] []", "delete [2] [2]", "clear [4]"]);
    assert!(rejected.is_empty());
}

#[test]
fn a_change_without_what_its_op_needs_is_rejected_alone() {
    let one = Some((1, "a"));
    let (mirror, batch) = debezium(&[("c", None, None), ("x", one, one), ("d", None, None), ("u", one, one)]);
    let (changes, rejected) = mirror.changes(&batch).expect("reads");
    assert_eq!(shown(&changes)[0], "write [3] [1] []");
    let told: Vec<_> = rejected.iter().map(|one| (one.record, one.code)).collect();
    assert_eq!(told, [(0, Code::ChangeInvalid), (1, Code::ChangeInvalid), (2, Code::ChangeInvalid)]);
    assert!(rejected[2].reason.contains("replica identity"), "{}", rejected[2].reason);
}

#[test]
fn a_value_that_the_source_did_not_tell_is_lacked_as_text_bytes_and_list() {
    let (one, unchanged) = (Some((1, "a")), Some((2, "__debezium_unavailable_value")));
    let (mirror, batch) = debezium(&[("u", None, one), ("u", None, unchanged), ("c", None, one)]);
    let (changes, _) = mirror.changes(&batch).expect("reads");
    assert_eq!(shown(&changes)[..2], ["write [0, 2] [1, 1] []", r#"write [1] [2] ["note", "photo", "tags"]"#]);
}

#[test]
fn records_that_are_no_changes_are_told_so() {
    let no_envelope = codec::schema(row_type()).expect("is a schema");
    assert!(rows(&no_envelope).expect_err("has no before").contains("`before`"));
    assert_eq!(rows(&envelope()).expect("is one").arrow().fields().len(), 4);
}

fn flat(headers: &[&[(&str, &str)]]) -> (Mirror, Batch) {
    let schema = codec::schema(row_type()).expect("is a schema");
    let rows: Vec<_> = (0..headers.len() as i64).map(|id| Some((id, "a"))).collect();
    let columns = RecordBatch::try_new(Arc::clone(schema.arrow()), columns(&rows)).expect("four columns");
    (Mirror::new(Envelope::Flat, &schema, &["id".to_owned()]), Batch::new(columns, records(headers)))
}

#[test]
fn the_header_of_a_row_says_what_was_done() {
    let (mirror, batch) = flat(&[&[], &[("millrace.op", "d")], &[("__op", "c")], &[("millrace.op", "t")], &[("millrace.op", "z")]]);
    let (changes, rejected) = mirror.changes(&batch).expect("reads");
    assert_eq!(shown(&changes), ["write [0, 2] [0, 2] []", "delete [1] [1]", "clear [3]"]);
    assert_eq!((rejected.len(), rejected[0].record, rejected[0].code), (1, 4, Code::ChangeInvalid));
}

#[test]
fn a_header_names_columns_that_did_not_change_and_keys_are_never_among_them() {
    let (mirror, batch) = flat(&[&[("millrace.unchanged", "note, id,nothing")], &[]]);
    let (changes, _) = mirror.changes(&batch).expect("reads");
    assert_eq!(shown(&changes)[..2], ["write [1] [1] []", r#"write [0] [0] ["note"]"#]);
}

#[test]
fn a_record_without_a_value_may_clear_the_table() {
    let (mirror, batch) = flat(&[&[("millrace.op", "t")], &[], &[("millrace.op", "d")]]);
    assert_eq!(mirror.tombstones(batch.origin().records(), vec![0, 1, 2]), (vec![1, 2], vec![0]));
}
