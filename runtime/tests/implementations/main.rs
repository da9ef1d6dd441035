//! The codec against two implementations of Avro that share no code with it, fastavro and Java's: records that fastavro wrote (kept in
//! `fixtures/fastavro.json`) are decoded here, and fastavro reads what is encoded here; the same with Java's in `java.rs`.
//!
//! Needs a Python that has fastavro: that of `MILLRACE_TEST_PYTHON`, or `python3`.

mod java;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type, Time32MillisecondType, Time64MicrosecondType,
    TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
};
use millrace_model::{Record, Records, RecordsBuilder};
use millrace_runtime::codec::{self, Decoder, Encoder};
use serde_json::{Map, Value, json};

const WRITER: u32 = 258;

/// Records of one writer's schema, and what they are in the reader's.
struct Case {
    name: String,
    writer: Value,
    reader: Value,
    records: Vec<Vec<u8>>,
    values: Value,
}

fn cases() -> Vec<Case> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/fastavro.json")).expect("is there");
    let cases: Vec<Value> = serde_json::from_str(&text).expect("is JSON");
    cases.into_iter().map(Case::of).collect()
}

impl Case {
    fn of(mut case: Value) -> Self {
        let records =
            case["records"].as_array().expect("is a list").iter().map(|record| bytes(record.as_str().expect("is a text"))).collect();
        let name = case["name"].as_str().expect("is a text").to_owned();
        Self { name, writer: case["writer"].take(), reader: case["reader"].take(), records, values: case["values"].take() }
    }

    fn decoded(&self) -> RecordBatch {
        let schema = codec::schema(self.reader.clone()).expect("is carried");
        let mut decoder = Decoder::new(&schema).expect("has a decoder");
        decoder.learn(WRITER, Some(&self.writer.to_string()));
        let out = decoder.decode(&framed(&self.records)).expect("decodes");
        assert_eq!(out.rejected, [], "{}", self.name);
        assert_eq!(out.batch.columns().schema(), *schema.arrow(), "{}", self.name);
        out.batch.columns().clone()
    }
}

/// The records of a case, encoded here by the reader's schema.
fn encoded(case: &Case) -> Vec<Vec<u8>> {
    let schema = codec::schema(case.reader.clone()).expect("is carried");
    let encoded = Encoder::new(&schema, WRITER).expect("has an encoder").encode(&case.decoded()).expect("encodes");
    (0..encoded.len()).map(|row| encoded.value(row)[5..].to_vec()).collect()
}

fn framed(bodies: &[Vec<u8>]) -> Arc<Records> {
    let mut records = RecordsBuilder::new("topic".into(), bodies.len());
    for (body, offset) in bodies.iter().zip(0..) {
        let value = [&[0], &WRITER.to_be_bytes()[..], body].concat();
        records.push(&Record { topic: "topic", partition: 0, offset, timestamp: 0, key: None, value: Some(&value), headers: &[] });
    }
    Arc::new(records.finish())
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("is hexadecimal")).collect()
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a String takes any text");
        hex
    })
}

fn rows(columns: &RecordBatch) -> Value {
    (0..columns.num_rows()).map(|row| object(columns.schema().fields(), columns.columns(), row)).collect()
}

fn object(fields: &arrow::datatypes::Fields, columns: &[ArrayRef], row: usize) -> Value {
    Value::Object(fields.iter().zip(columns).map(|(field, column)| (field.name().clone(), plain(column, row))).collect::<Map<_, _>>())
}

/// One value as the fixtures have it.
fn plain(array: &ArrayRef, row: usize) -> Value {
    if array.is_null(row) {
        return Value::Null;
    }
    match array.data_type() {
        DataType::Boolean => json!(array.as_boolean().value(row)),
        DataType::Int32 => json!(array.as_primitive::<Int32Type>().value(row)),
        DataType::Int64 => json!(array.as_primitive::<Int64Type>().value(row)),
        DataType::Float32 => json!(array.as_primitive::<Float32Type>().value(row)),
        DataType::Float64 => json!(array.as_primitive::<Float64Type>().value(row)),
        DataType::Utf8 => json!(array.as_string::<i32>().value(row)),
        DataType::Binary => json!(hex(array.as_binary::<i32>().value(row))),
        DataType::FixedSizeBinary(_) => json!(hex(array.as_fixed_size_binary().value(row))),
        DataType::Decimal128(..) => json!(array.as_primitive::<Decimal128Type>().value_as_string(row)),
        DataType::Dictionary(..) => {
            let dictionary = array.as_dictionary::<Int32Type>();
            plain(dictionary.values(), dictionary.key(row).expect("is not null"))
        }
        DataType::List(_) => {
            let items = array.as_list::<i32>().value(row);
            (0..items.len()).map(|item| plain(&items, item)).collect()
        }
        DataType::Map(..) => {
            let entries = array.as_map().value(row);
            let key = |entry| entries.column(0).as_string::<i32>().value(entry).to_owned();
            Value::Object((0..entries.len()).map(|entry| (key(entry), plain(entries.column(1), entry))).collect())
        }
        DataType::Struct(fields) => object(fields, array.as_struct().columns(), row),
        DataType::Union(..) => {
            let union = array.as_union();
            plain(union.child(union.type_id(row)), union.value_offset(row))
        }
        DataType::Null => Value::Null,
        _ => time(array, row),
    }
}

fn time(array: &ArrayRef, row: usize) -> Value {
    match array.data_type() {
        DataType::Date32 => json!(array.as_primitive::<Date32Type>().value(row)),
        DataType::Time32(_) => json!(array.as_primitive::<Time32MillisecondType>().value(row)),
        DataType::Time64(_) => json!(array.as_primitive::<Time64MicrosecondType>().value(row)),
        DataType::Timestamp(TimeUnit::Millisecond, _) => json!(array.as_primitive::<TimestampMillisecondType>().value(row)),
        DataType::Timestamp(TimeUnit::Microsecond, _) => json!(array.as_primitive::<TimestampMicrosecondType>().value(row)),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => json!(array.as_primitive::<TimestampNanosecondType>().value(row)),
        other => panic!("{other} is no type of the codec"),
    }
}

/// The values of records as fastavro reads them.
fn read_by_fastavro(cases: &Value) -> Value {
    let python = std::env::var("MILLRACE_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/fixtures/avro_fixtures.py");
    let mut command = Command::new(&python);
    let mut child = command.arg(script).arg("read").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("Python starts");
    child.stdin.take().expect("has an input").write_all(cases.to_string().as_bytes()).expect("is read");
    let output = child.wait_with_output().expect("ends");
    assert!(output.status.success(), "{python} has no fastavro, or it can't read the records; `make test` installs it");
    serde_json::from_slice(&output.stdout).expect("is JSON")
}

/// Numbers of JSON are equal when their values are: 2.0 is 2.
fn assert_same(found: &Value, expected: &Value, name: &str) {
    match (found, expected) {
        (Value::Number(a), Value::Number(b)) if a.is_f64() || b.is_f64() => assert_eq!(a.as_f64(), b.as_f64(), "{name}"),
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            a.iter().zip(b).enumerate().for_each(|(index, (a, b))| assert_same(a, b, &format!("{name}[{index}]")));
        }
        (Value::Object(a), Value::Object(b)) if a.keys().eq(b.keys()) => {
            a.iter().for_each(|(key, value)| assert_same(value, &b[key], &format!("{name}.{key}")));
        }
        _ => assert_eq!(found, expected, "{name}"),
    }
}

#[test]
fn records_that_fastavro_wrote_are_decoded() {
    for case in cases() {
        assert_same(&rows(&case.decoded()), &case.values, &case.name);
    }
}

#[test]
fn records_that_are_encoded_here_are_read_by_fastavro() {
    let mut input = Vec::new();
    for case in cases() {
        let records: Vec<String> = encoded(&case).iter().map(|record| hex(record)).collect();
        input.push(json!({"schema": case.reader, "records": records}));
    }
    let found = read_by_fastavro(&json!(input));
    for (case, found) in cases().iter().zip(found.as_array().expect("is a list")) {
        assert_same(found, &case.values, &case.name);
    }
}
