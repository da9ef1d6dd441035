//! What a step costs for each row: an order's record through the SELECT of the standard workload.
//!
//! `cargo run --release -p millrace-transform --example steps_cost`

use std::sync::Arc;
use std::time::Instant;

use arrow::array::{
    ArrayRef, DictionaryArray, Float64Array, Int32Array, Int64Array, ListArray, RecordBatch, StringArray, StructArray,
    TimestampMillisecondArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Int32Type};
use millrace_model::{Batch, Origin, Record, Records, RecordsBuilder, Schema};
use millrace_transform::config::StepConfig;
use millrace_transform::steps::compile;
use serde_json::json;

const ROWS: usize = 2000;
const ROUNDS: usize = 500;

const SELECT: &str = "
    SELECT id, customer_id, concat('***@', split_part(email, '@', 2)) AS email, amount, currency, created_at, status, coupon,
           upper(country) AS country, quantity, items,
           amount * CASE currency WHEN 'EUR' THEN 1.0 WHEN 'USD' THEN 0.92 WHEN 'GBP' THEN 1.17 WHEN 'PLN' THEN 0.23
                                  WHEN 'SEK' THEN 0.088 WHEN 'JPY' THEN 0.0061 ELSE 0.0 END AS amount_eur
    FROM input WHERE status <> 'CANCELLED'";

const PARTS: [(&str, &str); 9] = [
    ("the whole", SELECT),
    ("all columns", "SELECT * FROM input"),
    ("WHERE and all columns", "SELECT * FROM input WHERE status <> 'CANCELLED'"),
    ("WHERE and one column", "SELECT id FROM input WHERE status <> 'CANCELLED'"),
    ("email", "SELECT concat('***@', split_part(email, '@', 2)) AS email FROM input"),
    ("country", "SELECT upper(country) AS country FROM input"),
    ("amount_eur", "SELECT amount * CASE currency WHEN 'EUR' THEN 1.0 WHEN 'USD' THEN 0.92 ELSE 0.0 END AS amount_eur FROM input"),
    ("a checked product", "SELECT quantity * 3 AS three FROM input"),
    ("a guarded quotient", "SELECT CASE WHEN quantity <> 0 THEN 100 / quantity ELSE 0 END AS share FROM input"),
];

fn schema() -> Schema {
    let status = json!({ "type": "enum", "name": "Status", "symbols": ["NEW", "PAID", "SHIPPED", "DELIVERED", "CANCELLED", "RETURNED"] });
    let item =
        json!({ "type": "record", "name": "Item", "fields": [{ "name": "sku", "type": "string" }, { "name": "price", "type": "double" }] });
    let avro = json!({ "type": "record", "name": "Order", "namespace": "bench", "fields": [
        { "name": "id", "type": "long" },
        { "name": "customer_id", "type": "string" },
        { "name": "email", "type": "string" },
        { "name": "amount", "type": "double" },
        { "name": "currency", "type": "string" },
        { "name": "created_at", "type": { "type": "long", "logicalType": "timestamp-millis" } },
        { "name": "status", "type": status },
        { "name": "coupon", "type": ["null", "string"], "default": null },
        { "name": "note", "type": ["null", "string"], "default": null },
        { "name": "country", "type": "string" },
        { "name": "quantity", "type": "int" },
        { "name": "items", "type": { "type": "array", "items": item } },
    ] });
    millrace_runtime::codec::schema(avro).expect("the schema is valid")
}

fn texts(value: impl Fn(usize) -> String) -> ArrayRef {
    Arc::new((0..ROWS).map(|row| Some(value(row))).collect::<StringArray>())
}

fn sometimes(every: usize, value: &str) -> ArrayRef {
    Arc::new((0..ROWS).map(|row| (row % every == 0).then_some(value)).collect::<StringArray>())
}

fn statuses() -> ArrayRef {
    let symbols: ArrayRef = Arc::new(StringArray::from(vec!["NEW", "PAID", "SHIPPED", "DELIVERED", "CANCELLED", "RETURNED"]));
    Arc::new(DictionaryArray::<Int32Type>::new((0..ROWS).map(|row| (row * 7 % 6) as i32).collect(), symbols))
}

fn items(data_type: &DataType) -> ArrayRef {
    let DataType::List(item) = data_type else { panic!("items is an array") };
    let DataType::Struct(fields) = item.data_type() else { panic!("an item is a record") };
    let count = ROWS * 2;
    let sku: ArrayRef = Arc::new((0..count).map(|n| Some(format!("SKU-{n:06}"))).collect::<StringArray>());
    let price: ArrayRef = Arc::new((0..count).map(|n| Some(n as f64 / 7.0)).collect::<Float64Array>());
    let values = StructArray::new(fields.clone(), vec![sku, price], None);
    Arc::new(ListArray::new(Arc::clone(item), OffsetBuffer::from_repeated_length(2, ROWS), Arc::new(values), None))
}

fn columns(schema: &Schema) -> RecordBatch {
    let arrow = schema.arrow();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(0..ROWS as i64)),
        texts(|row| format!("customer-{:08}", row * 31)),
        texts(|row| format!("person{row}@mail{}.example.org", row % 50)),
        Arc::new((0..ROWS).map(|row| Some(row as f64 * 1.37)).collect::<Float64Array>()),
        texts(|row| ["EUR", "USD", "GBP", "PLN", "SEK", "JPY"][row % 6].to_owned()),
        Arc::new(TimestampMillisecondArray::from_iter_values((0..ROWS as i64).map(|row| 1_700_000_000_000 + row)).with_timezone("+00:00")),
        statuses(),
        sometimes(3, "WELCOME10"),
        sometimes(2, "please leave it with the neighbours, the bell does not work"),
        texts(|row| ["de", "us", "gb", "pl", "se", "jp"][row % 6].to_owned()),
        Arc::new((0..ROWS).map(|row| Some((row % 9) as i32)).collect::<Int32Array>()),
        items(arrow.field(11).data_type()),
    ];
    RecordBatch::try_new(Arc::clone(arrow), columns).expect("the columns fit the schema")
}

fn records() -> Arc<Records> {
    let mut builder = RecordsBuilder::new("orders".into(), ROWS);
    for offset in 0..ROWS as i64 {
        builder.push(&Record { topic: "orders", partition: 0, offset, timestamp: 0, key: None, value: None, headers: &[] });
    }
    Arc::new(builder.finish())
}

/// Nanoseconds for a row, the best of several runs.
fn cost(sql: &str, schema: &Schema, batch: &Batch) -> f64 {
    let steps = compile(&[StepConfig::Sql(sql.to_owned())], schema).unwrap_or_else(|error| panic!("{sql}: {error}"));
    let run = || {
        let begun = Instant::now();
        for _ in 0..ROUNDS {
            let applied = steps[0].apply(batch.clone()).expect("the step applies");
            assert!(applied.rejected.is_empty(), "no row fails");
        }
        begun.elapsed().as_nanos() as f64 / (ROUNDS * ROWS) as f64
    };
    (0..5).map(|_| run()).fold(f64::INFINITY, f64::min)
}

fn main() {
    let schema = schema();
    let batch = Batch::new(columns(&schema), Origin::all(records()));
    let begun = Instant::now();
    compile(&[StepConfig::Sql(SELECT.to_owned())], &schema).expect("compiles");
    println!("compiled in {:.2} ms; batches of {ROWS} rows", begun.elapsed().as_secs_f64() * 1e3);
    for (name, sql) in PARTS {
        println!("{name:>24} {:8.1} ns a row", cost(sql, &schema, &batch));
    }
}
