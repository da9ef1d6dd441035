//! A column of each type that the codec yields, as it yields it.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Decimal256Array, DictionaryArray, FixedSizeBinaryArray,
    Float32Array, Float64Array, Int32Array, Int32Builder, Int64Array, IntervalMonthDayNanoArray, ListBuilder, MapBuilder, MapFieldNames,
    RecordBatch, StringArray, StringBuilder, StructArray, Time32MillisecondArray, Time64MicrosecondArray, TimestampMicrosecondArray,
    TimestampMillisecondArray,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, Int32Type, IntervalMonthDayNano, i256};
use millrace_model::{Batch, Origin, Schema};
use millrace_runtime::codec;
use serde_json::{Value, json};

use crate::rows::{records, schema};

/// 2013-01-31, in days and in milliseconds since the epoch, and 05:30 in milliseconds.
const DAY: i32 = 15_736;
const DAY_MILLIS: i64 = DAY as i64 * 86_400_000;
const MORNING: i32 = 19_800_000;

/// One row of values, and one in which all but the key is null.
pub(crate) fn batch() -> (Schema, Batch) {
    let columns = columns();
    let fields = columns.iter().map(|(name, array)| field(name, array)).collect();
    let schema = schema(fields);
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    let columns = RecordBatch::try_new(Arc::clone(schema.arrow()), arrays).expect("the columns fit");
    (schema, Batch::new(columns, Origin::all(records(0, 2))))
}

/// What the rows of [`batch`] look like when a query shows them; `own` are the columns that a store shows in a way of its own.
pub(crate) fn shown(own: &[(&str, &'static str)]) -> Vec<Vec<Option<&'static str>>> {
    let usual = [
        ("flag", "true"),
        ("id", "1"),
        ("small", "-7"),
        ("big", "9007199254740993"),
        ("single", "1.5"),
        ("twice", "0.1"),
        ("text", "żółw"),
        ("bytes", "\\x00ff"),
        ("fixed", "\\x01020304"),
        ("uuid", "11111111-1111-1111-1111-111111111111"),
        ("price", "-123.45"),
        ("wide", "123456789012345678901234567890123456789.0001"),
        ("day", "2013-01-31"),
        ("time", "05:30:00.001"),
        ("fine_time", "05:30:00.000001"),
        ("instant", "2013-01-31T05:30:00.001Z"),
        ("fine_instant", "2013-01-31T05:30:00.000001Z"),
        ("local", "2013-01-31T05:30:00.001"),
        ("duration", "1 mons 2 days 0.003000000 secs"),
        ("status", "NEW"),
        ("list", r#"["a",null]"#),
        ("map", r#"{"k":1}"#),
        ("record", r#"{"x":1,"y":null}"#),
    ];
    let own_of = |name| own.iter().find(|(column, _)| *column == name).map(|(_, text)| *text);
    let row = usual.iter().map(|&(name, text)| own_of(name).or(Some(text))).collect();
    let nulls = usual.iter().map(|&(name, _)| (name == "id").then_some("2")).collect();
    vec![row, nulls]
}

/// A schema as it is written for a topic, with the types of Avro in the order of the documentation.
pub(crate) fn avro() -> Schema {
    let logical = |kind: &str, logical: &str| json!({"type": kind, "logicalType": logical});
    let types = [
        ("id", logical("string", "uuid")),
        ("flag", json!("boolean")),
        ("small", json!("int")),
        ("big", json!("long")),
        ("single", json!("float")),
        ("twice", json!("double")),
        ("text", json!("string")),
        ("status", json!({"type": "enum", "name": "status", "symbols": ["NEW", "DONE"]})),
        ("bytes", json!("bytes")),
        ("fixed", json!({"type": "fixed", "name": "four", "size": 4})),
        ("price", json!({"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2})),
        ("day", logical("int", "date")),
        ("time", logical("int", "time-millis")),
        ("fine_time", logical("long", "time-micros")),
        ("instant", logical("long", "timestamp-millis")),
        ("local", logical("long", "local-timestamp-micros")),
        ("list", json!({"type": "array", "items": "string"})),
        ("map", json!({"type": "map", "values": "int"})),
        ("record", json!({"type": "record", "name": "point", "fields": [{"name": "x", "type": "int"}]})),
    ];
    let fields: Vec<Value> = types.into_iter().map(|(name, kind)| json!({"name": name, "type": kind})).collect();
    codec::schema(json!({"type": "record", "name": "all", "fields": fields})).expect("is a schema")
}

fn field(name: &str, array: &ArrayRef) -> Field {
    let field = Field::new(name, array.data_type().clone(), name != "id");
    if name == "uuid" { field.with_metadata([("logicalType".into(), "uuid".into())].into()) } else { field }
}

fn columns() -> Vec<(&'static str, ArrayRef)> {
    let mut columns = plain();
    columns.extend(times());
    columns.extend(nested());
    columns
}

fn plain() -> Vec<(&'static str, ArrayRef)> {
    let wide = i256::from_string("1234567890123456789012345678901234567890001").expect("is a number");
    vec![
        ("flag", Arc::new(BooleanArray::from(vec![Some(true), None]))),
        ("id", Arc::new(Int64Array::from(vec![1, 2]))),
        ("small", Arc::new(Int32Array::from(vec![Some(-7), None]))),
        ("big", Arc::new(Int64Array::from(vec![Some(9_007_199_254_740_993), None]))),
        ("single", Arc::new(Float32Array::from(vec![Some(1.5), None]))),
        ("twice", Arc::new(Float64Array::from(vec![Some(0.1), None]))),
        ("text", Arc::new(StringArray::from(vec![Some("żółw"), None]))),
        ("bytes", Arc::new(BinaryArray::from(vec![Some(&[0, 255][..]), None]))),
        ("fixed", fixed(&[1, 2, 3, 4])),
        ("uuid", fixed(&[0x11; 16])),
        ("price", Arc::new(Decimal128Array::from(vec![Some(-12_345), None]).with_precision_and_scale(9, 2).expect("fits"))),
        ("wide", Arc::new(Decimal256Array::from(vec![Some(wide), None]).with_precision_and_scale(50, 4).expect("fits"))),
    ]
}

fn fixed(bytes: &[u8]) -> ArrayRef {
    let values = [Some(bytes), None].into_iter();
    Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(values, bytes.len() as i32).expect("of one length"))
}

fn times() -> Vec<(&'static str, ArrayRef)> {
    let millis = DAY_MILLIS + i64::from(MORNING);
    vec![
        ("day", Arc::new(Date32Array::from(vec![Some(DAY), None]))),
        ("time", Arc::new(Time32MillisecondArray::from(vec![Some(MORNING + 1), None]))),
        ("fine_time", Arc::new(Time64MicrosecondArray::from(vec![Some(i64::from(MORNING) * 1_000 + 1), None]))),
        ("instant", Arc::new(TimestampMillisecondArray::from(vec![Some(millis + 1), None]).with_timezone("+00:00"))),
        ("fine_instant", Arc::new(TimestampMicrosecondArray::from(vec![Some(millis * 1_000 + 1), None]).with_timezone("+00:00"))),
        ("local", Arc::new(TimestampMillisecondArray::from(vec![Some(millis + 1), None]))),
        ("duration", Arc::new(IntervalMonthDayNanoArray::from(vec![Some(IntervalMonthDayNano::new(1, 2, 3_000_000)), None]))),
    ]
}

fn nested() -> Vec<(&'static str, ArrayRef)> {
    let symbols: DictionaryArray<Int32Type> = vec![Some("NEW"), None].into_iter().collect();
    vec![("status", Arc::new(symbols)), ("list", list()), ("map", map()), ("record", record())]
}

fn list() -> ArrayRef {
    let mut list = ListBuilder::new(StringBuilder::new());
    list.append_value([Some("a"), None]);
    list.append_null();
    Arc::new(list.finish())
}

fn map() -> ArrayRef {
    let names = MapFieldNames { entry: "entries".into(), key: "key".into(), value: "value".into() };
    let mut map = MapBuilder::new(Some(names), StringBuilder::new(), Int32Builder::new());
    map.keys().append_value("k");
    map.values().append_value(1);
    map.append(true).expect("has as many keys as values");
    map.append(false).expect("has as many keys as values");
    Arc::new(map.finish())
}

fn record() -> ArrayRef {
    let parts: Vec<ArrayRef> = vec![Arc::new(Int32Array::from(vec![Some(1), None])), Arc::new(StringArray::from(vec![None::<&str>, None]))];
    let fields = vec![Field::new("x", DataType::Int32, true), Field::new("y", DataType::Utf8, true)];
    Arc::new(StructArray::new(fields.into(), parts, Some(NullBuffer::from(vec![true, false]))))
}

/// `id`, a nullable `note` and a nullable `seen`.
pub(crate) fn seen() -> Schema {
    let nullable = |name: &str, kind| Field::new(name, kind, true);
    schema(vec![Field::new("id", DataType::Int64, false), nullable("note", DataType::Utf8), nullable("seen", DataType::Int64)])
}

/// Rows of [`seen`], each of a record of its own; without a note they lack that column.
pub(crate) fn seen_batch(schema: &Schema, rows: &[(i64, i64)], note: Option<&str>) -> Batch {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.0)));
    let notes: ArrayRef = Arc::new(StringArray::from(vec![note; rows.len()]));
    let seen: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.1)));
    let columns = RecordBatch::try_new(Arc::clone(schema.arrow()), vec![ids, notes, seen]).expect("three columns");
    let columns = if note.is_some() { columns } else { columns.project(&[0, 2]).expect("has them") };
    Batch::new(columns, Origin::all(records(0, rows.len())))
}

/// Two rows of so many columns of small numbers: `id`, then `c1` and so on.
pub(crate) fn wide(columns: usize) -> (Schema, Batch) {
    let name = |number| if number == 0 { "id".to_owned() } else { format!("c{number}") };
    let schema = schema((0..columns).map(|number| Field::new(name(number), DataType::Int32, number > 0)).collect());
    let column: ArrayRef = Arc::new(Int32Array::from(vec![0, 1]));
    let rows = RecordBatch::try_new(Arc::clone(schema.arrow()), vec![column; columns]).expect("the columns fit");
    (schema, Batch::new(rows, Origin::all(records(0, 2))))
}
