//! Tables to run steps over, and what came out of them.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Decimal128Array, DictionaryArray, Float64Array, Int32Array, Int64Array, ListBuilder, RecordBatch, StringArray, StringBuilder,
    StructArray, TimestampMillisecondArray,
};
use arrow::buffer::NullBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int32Type};
use arrow::util::display::array_value_to_string;
use millrace_model::{Applied, Batch, Code, Header, Origin, Record, Records, RecordsBuilder, Schema, Step};
use serde_json::{Value, json};

use crate::config::StepConfig;
use crate::steps::clock::Clock;
use crate::steps::{StepError, compile_with};

/// 2026-11-21T10:20:30Z.
pub(super) const NOW: i64 = 1_795_256_430_000_000;

pub(super) fn avro() -> Value {
    json!({
        "type": "record", "name": "Order", "namespace": "shop", "doc": "An order.",
        "fields": [
            { "name": "id", "type": "long", "doc": "The order's number." },
            { "name": "a", "type": ["null", "int"], "default": null },
            { "name": "b", "type": "int" },
            { "name": "big", "type": "long" },
            { "name": "ratio", "type": "double" },
            { "name": "text", "type": ["null", "string"], "default": null, "doc": "As it was typed." },
            { "name": "name", "type": "string" },
            { "name": "status", "type": { "type": "enum", "name": "Status", "symbols": ["NEW", "PAID", "CANCELLED", "_7"] } },
            { "name": "before", "type": ["null", "Status"], "default": null },
            { "name": "price", "type": { "type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2 } },
            { "name": "at", "type": { "type": "long", "logicalType": "timestamp-millis" } },
            { "name": "tags", "type": { "type": "array", "items": "string" } },
            { "name": "item", "type": { "type": "record", "name": "Item", "fields": [
                { "name": "sku", "type": "string" }, { "name": "weight", "type": "double" },
            ] } },
        ],
    })
}

pub(in crate::steps) fn schema() -> Schema {
    millrace_runtime::codec::schema(avro()).expect("the fixture's schema is valid")
}

/// One order; tests change the fields that they are about.
#[derive(Debug, Clone)]
pub(super) struct Order {
    pub(super) a: Option<i32>,
    pub(super) b: i32,
    pub(super) big: i64,
    pub(super) ratio: f64,
    pub(super) text: Option<&'static str>,
    pub(super) name: &'static str,
    pub(super) status: i32,
    pub(super) before: Option<i32>,
    pub(super) cents: i128,
}

impl Default for Order {
    fn default() -> Self {
        Self { a: Some(1), b: 2, big: 3, ratio: 0.5, text: Some("text"), name: "name", status: 0, before: None, cents: 1050 }
    }
}

fn array<T>(orders: &[Order], field: impl Fn(&Order) -> T) -> Vec<T> {
    orders.iter().map(field).collect()
}

fn symbols(keys: Vec<Option<i32>>) -> ArrayRef {
    let symbols: ArrayRef = Arc::new(StringArray::from(vec!["NEW", "PAID", "CANCELLED", "_7"]));
    Arc::new(DictionaryArray::<Int32Type>::new(keys.into(), symbols))
}

fn tags(count: usize) -> ArrayRef {
    let mut builder = ListBuilder::new(StringBuilder::new());
    for row in 0..count {
        builder.values().append_value(format!("tag {row}"));
        builder.append(true);
    }
    Arc::new(builder.finish())
}

fn item(orders: &[Order], data_type: &DataType) -> ArrayRef {
    let DataType::Struct(fields) = data_type else { panic!("item is a record") };
    let sku: ArrayRef = Arc::new(StringArray::from(array(orders, |order| order.name)));
    let weight: ArrayRef = Arc::new(Float64Array::from(array(orders, |order| order.ratio)));
    Arc::new(StructArray::new(fields.clone(), vec![sku, weight], None::<NullBuffer>))
}

fn columns(orders: &[Order], schema: &Schema) -> RecordBatch {
    let fields = schema.arrow().fields();
    let at: Vec<i64> = (0..orders.len() as i64).map(|row| NOW / 1000 + row).collect();
    let cents = Decimal128Array::from(array(orders, |order| order.cents)).with_precision_and_scale(10, 2).expect("fits");
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(0..orders.len() as i64)),
        Arc::new(Int32Array::from(array(orders, |order| order.a))),
        Arc::new(Int32Array::from(array(orders, |order| order.b))),
        Arc::new(Int64Array::from(array(orders, |order| order.big))),
        Arc::new(Float64Array::from(array(orders, |order| order.ratio))),
        Arc::new(StringArray::from(array(orders, |order| order.text))),
        Arc::new(StringArray::from(array(orders, |order| order.name))),
        symbols(array(orders, |order| Some(order.status))),
        symbols(array(orders, |order| order.before)),
        Arc::new(cents),
        Arc::new(TimestampMillisecondArray::from(at).with_timezone("+00:00")),
        tags(orders.len()),
        item(orders, fields[12].data_type()),
    ];
    let columns = columns.iter().zip(fields).map(|(column, field)| cast(column, field.data_type()).expect("the fixture's types")).collect();
    RecordBatch::try_new(Arc::clone(schema.arrow()), columns).expect("the fixture's columns")
}

fn records(count: usize) -> Arc<Records> {
    let mut builder = RecordsBuilder::new("orders".into(), count);
    for offset in 0..count {
        let headers = [Header { key: "n".into(), value: Some(offset.to_string().into_bytes()) }];
        let key = format!("key {offset}");
        builder.push(&Record {
            topic: "orders",
            partition: 0,
            offset: offset as i64,
            timestamp: offset as i64 * 10,
            key: Some(key.as_bytes()),
            value: None,
            headers: &headers,
        });
    }
    Arc::new(builder.finish())
}

/// What a pipeline of steps gave.
pub(super) struct Ran {
    pub(super) batch: Batch,
    /// The records that were rejected, by their place in the input.
    pub(super) rejected: Vec<(u32, Code, String)>,
}

impl Ran {
    /// The values of one column as text.
    pub(super) fn column(&self, name: &str) -> Vec<String> {
        let values = self.batch.columns().column_by_name(name).unwrap_or_else(|| panic!("there is no column {name}"));
        let shown = |row| if values.is_null(row) { "null".to_owned() } else { array_value_to_string(values, row).expect("shows") };
        (0..values.len()).map(shown).collect()
    }

    /// The rows that came out, by the place of their record in the input.
    pub(super) fn rows(&self) -> &[u32] {
        self.batch.origin().rows()
    }

    /// The rows that were rejected.
    pub(super) fn rejected_rows(&self) -> Vec<u32> {
        self.rejected.iter().map(|(row, ..)| *row).collect()
    }

    /// The reason of the only rejection.
    pub(super) fn reason(&self) -> &str {
        assert_eq!(self.rejected.len(), 1, "one record is rejected: {:?}", self.rejected);
        &self.rejected[0].2
    }
}

pub(super) fn run_steps(steps: &[StepConfig], orders: &[Order]) -> Result<Ran, StepError> {
    Ok(run(&compile_with(steps, &schema(), Clock::reading(|| NOW))?, orders))
}

/// Takes one batch through compiled steps.
pub(super) fn run(compiled: &[Box<dyn Step>], orders: &[Order]) -> Ran {
    let schema = schema();
    let records = records(orders.len());
    let mut batch = Batch::new(columns(orders, &schema), Origin::all(records));
    let mut rejected = Vec::new();
    for step in compiled {
        let applied = apply(step.as_ref(), batch);
        assert_eq!(applied.out.columns().schema(), *step.output().arrow(), "a batch has the schema that its step declares");
        rejected.extend(applied.rejected.into_iter().map(|rejection| (rejection.record, rejection.code, rejection.reason)));
        batch = applied.out;
    }
    Ran { batch, rejected }
}

fn apply(step: &dyn Step, batch: Batch) -> Applied {
    step.apply(batch).unwrap_or_else(|fault| panic!("no row makes a step fail as a whole: {fault}"))
}

/// Runs one SELECT.
pub(super) fn sql(text: &str, orders: &[Order]) -> Ran {
    run_steps(&[StepConfig::Sql(text.to_owned())], orders).unwrap_or_else(|error| panic!("{text}\n{error}"))
}

/// The values of `SELECT expression AS x`.
pub(super) fn values(expression: &str, orders: &[Order]) -> Vec<String> {
    sql(&format!("SELECT {expression} AS x FROM input"), orders).column("x")
}

/// The error of a SELECT that can't be compiled.
pub(super) fn error(text: &str) -> StepError {
    match run_steps(&[StepConfig::Sql(text.to_owned())], &[]) {
        Ok(_) => panic!("{text}\nis not refused"),
        Err(error) => error,
    }
}

/// The schema that a SELECT gives.
pub(super) fn output(text: &str) -> Schema {
    let steps = compile_with(&[StepConfig::Sql(text.to_owned())], &schema(), Clock::system());
    steps.unwrap_or_else(|error| panic!("{text}\n{error}"))[0].output().clone()
}
