use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, StructArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::DataType;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use millrace_model::{Batch, Code, Header, Origin, Record, RecordsBuilder, Schema};
use millrace_runtime::codec;
use serde_json::{Value, from_value, json};

use super::*;

fn rows() -> Schema {
    let address = json!({"type": "record", "name": "Address", "fields": [{"name": "city", "type": "string"}]});
    let customer =
        json!({"type": "record", "name": "Customer", "fields": [{"name": "name", "type": "string"}, {"name": "address", "type": address}]});
    let fields = json!([
        {"name": "id", "type": "long"},
        {"name": "note", "type": ["null", "string"]},
        {"name": "customer", "type": ["null", customer]},
    ]);
    codec::schema(json!({"type": "record", "name": "Order", "fields": fields})).expect("is a schema")
}

fn pipeline(settings: &Value) -> Pipeline {
    let mut pipeline = json!({"from": "orders", "to": {"connection": "w", "table": "orders"}});
    let settings = settings.as_object().expect("settings").clone();
    pipeline.as_object_mut().expect("settings").extend(settings);
    from_value(pipeline).expect("reads")
}

/// Two orders; the second has neither a note nor a customer, and its key is no text.
fn batch() -> Batch {
    let schema = rows();
    let text = |values: [&str; 2]| -> ArrayRef { Arc::new(StringArray::from(values.to_vec())) };
    let DataType::Struct(customer) = schema.arrow().field(2).data_type() else { panic!("is a record") };
    let DataType::Struct(address) = customer[1].data_type() else { panic!("is a record") };
    let address: ArrayRef = Arc::new(StructArray::new(address.clone(), vec![text(["Bonn", ""])], None));
    let customers = StructArray::new(customer.clone(), vec![text(["Ann", ""]), address], Some(NullBuffer::from(vec![true, false])));
    let columns: Vec<ArrayRef> =
        vec![Arc::new(Int64Array::from(vec![1, 2])), Arc::new(StringArray::from(vec![Some("a"), None])), Arc::new(customers)];
    let mut records = RecordsBuilder::new("orders".into(), 2);
    let headers = [Header { key: "trace".into(), value: Some(b"x".to_vec()) }, Header { key: "trace".into(), value: Some(b"y".to_vec()) }];
    let record =
        Record { topic: "orders", partition: 3, offset: 7, timestamp: 1_000, key: Some(b"k"), value: Some(b"v"), headers: &headers };
    records.push(&record);
    records.push(&Record { offset: 8, key: Some(b"\xff"), headers: &[], ..record });
    let columns = RecordBatch::try_new(Arc::clone(schema.arrow()), columns).expect("three columns");
    Batch::new(columns, Origin::all(Arc::new(records.finish())))
}

fn mapped(settings: &Value) -> (Mapping, Batch, Vec<Rejection>) {
    let mapping = Mapping::of(&pipeline(settings), &rows()).expect("fits");
    let (batch, rejected) = mapping.apply(&batch(), &[], 1_500_000).expect("maps");
    assert_eq!(batch.columns().schema().fields(), mapping.schema().arrow().fields());
    (mapping, batch, rejected)
}

/// The names of the columns, then the rows.
fn table(batch: &Batch) -> Vec<String> {
    let (schema, options) = (batch.columns().schema(), FormatOptions::new());
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let arrays = batch.columns().columns().iter();
    let shown: Vec<ArrayFormatter<'_>> = arrays.map(|array| ArrayFormatter::try_new(array, &options).expect("is shown")).collect();
    let row = |row: usize| shown.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join(" | ");
    std::iter::once(names.join(" | ")).chain((0..batch.len()).map(row)).collect()
}

fn misfits(settings: &Value) -> Vec<(String, String)> {
    let misfits = Mapping::of(&pipeline(settings), &rows()).expect_err("does not fit");
    misfits.into_iter().map(|one| (one.at.join("."), format!("{} ({})", one.message, one.help.unwrap_or_default()))).collect()
}

#[test]
fn without_settings_rows_pass_as_they_are() {
    for settings in [json!({}), json!({"columns": ["*"]}), json!({"columns": ["id", "*"]})] {
        let (mapping, batch, _) = mapped(&settings);
        assert!(mapping.columns.is_none() && batch.columns().num_columns() == 3, "{settings}");
    }
}

#[test]
fn columns_are_renamed_left_out_and_ordered() {
    let (_, batch, _) = mapped(&json!({"columns": [{"name": "said", "from": "note"}, "id"]}));
    assert_eq!(table(&batch), ["said | id", "a | 1", " | 2"]);
    let (_, batch, _) = mapped(&json!({"columns": [{"name": "said", "from": "note"}, "*"], "omit": ["customer"]}));
    assert_eq!(table(&batch), ["said | id", "a | 1", " | 2"]);
}

#[test]
fn a_path_leads_into_records_and_is_null_where_one_is() {
    let (mapping, batch, _) = mapped(&json!({"columns": ["id", {"name": "city", "from": "customer.address.city"}]}));
    assert_eq!(table(&batch), ["id | city", "1 | Bonn", "2 | "]);
    assert!(mapping.schema().arrow().field(1).is_nullable());
}

#[test]
fn records_are_flattened_at_any_depth() {
    let (_, batch, _) = mapped(&json!({"nested": "flatten", "omit": ["note"]}));
    assert_eq!(table(&batch), ["id | customer_name | customer_address_city", "1 | Ann | Bonn", "2 |  | "]);
    let (_, batch, _) = mapped(&json!({"nested": "flatten", "separator": ".", "columns": [{"name": "who", "from": "customer"}]}));
    assert_eq!(table(&batch)[0], "who.name | who.address.city");
}

#[test]
fn a_default_stands_where_the_record_has_null_and_the_column_takes_none() {
    let (mapping, batch, _) = mapped(&json!({"columns": ["id", "note"], "defaults": {"note": "none"}}));
    assert_eq!(table(&batch), ["id | note", "1 | a", "2 | none"]);
    assert!(!mapping.schema().arrow().field(1).is_nullable());
}

#[test]
fn what_stands_beside_the_value_fills_columns_too() {
    let part = |part: &str| json!({"name": part, "metadata": part});
    let columns = json!([part("topic"), part("partition"), part("offset"), part("timestamp"), part("key"), {"name": "trace", "header": "trace"}, part("headers")]);
    let (_, batch, _) = mapped(&json!({"columns": columns, "loaded_at": "at"}));
    let expected = [
        "topic | partition | offset | timestamp | key | trace | headers | at",
        "orders | 3 | 7 | 1970-01-01T00:00:01Z | 6b | y | {trace: x, trace: y} | 1970-01-01T00:00:01.500Z",
        "orders | 3 | 8 | 1970-01-01T00:00:01Z | ff |  | {} | 1970-01-01T00:00:01.500Z",
    ];
    assert_eq!(table(&batch), expected);
}

#[test]
fn a_key_that_is_to_be_text_and_is_not_rejects_its_record_alone() {
    let (_, batch, rejected) = mapped(&json!({"columns": [{"name": "key", "metadata": "key_text"}, "id"]}));
    assert_eq!(table(&batch), ["key | id", "k | 1"]);
    assert_eq!((batch.origin().rows(), rejected[0].record, rejected[0].code), (&[0][..], 1, Code::KeyMissing));
}

#[test]
fn what_is_filled_from_a_column_that_rows_lack_is_left_out() {
    let mapping = Mapping::of(&pipeline(&json!({"nested": "flatten"})), &rows()).expect("fits");
    let (batch, _) = mapping.apply(&batch(), &["customer".into()], 0).expect("maps");
    assert_eq!(table(&batch)[0], "id | note");
}

#[test]
fn keys_are_found_where_records_have_them() {
    let source = |settings: Value, keys: &[&str]| {
        let keys: Vec<String> = keys.iter().map(|&key| key.to_owned()).collect();
        Mapping::of(&pipeline(&settings), &rows()).expect("fits").key_source(&keys)
    };
    let renamed = json!({"columns": [{"name": "order_id", "from": "id"}, {"name": "key", "metadata": "key"}, {"name": "offset", "metadata": "offset"}]});
    assert_eq!(source(renamed.clone(), &["order_id"]), KeySource::Columns(vec!["id".into()]));
    assert_eq!(source(renamed.clone(), &["key"]), KeySource::Record);
    assert_eq!(source(renamed, &["order_id", "offset"]), KeySource::Elsewhere("offset".into()));
    assert_eq!(source(json!({}), &["id"]), KeySource::Columns(vec!["id".into()]));
}

#[test]
fn what_does_not_fit_is_told_with_its_place() {
    let told = |settings: Value| misfits(&settings).remove(0);
    let (at, message) = told(json!({"columns": ["id", "nota"]}));
    assert_eq!((at.as_str(), message.as_str()), ("columns.1", "the records have no column `nota` (did you mean `note`?)"));
    assert_eq!(told(json!({"columns": [{"name": "x", "from": "customer.town"}]})).1, "the records have no field `customer.town` ()");
    assert_eq!(told(json!({"omit": ["nota"]})).0, "omit.0");
    assert_eq!(told(json!({"defaults": {"id": "seven"}})).0, "defaults.id");
    assert!(told(json!({"defaults": {"nota": "x"}})).1.contains("the table gets no column `nota` (did you mean `note`?)"));
    assert!(told(json!({"columns": ["id", {"name": "id", "metadata": "offset"}]})).1.contains("two columns `id`"));
    assert!(told(json!({"columns": [{"name": "id", "from": "id", "metadata": "offset"}]})).1.contains("several sources"));
    assert_eq!(told(json!({"omit": ["id", "note", "customer"]})).1, "the table gets no column ()");
}
