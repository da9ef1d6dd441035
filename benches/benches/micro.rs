//! What the parts of the hot paths cost alone, a record: codec, plan, COPY, JSON, bodies of requests, and positions of very many partitions.
//!
//! Each is given a batch of orders of the standard workload as the services have them: 4,096 records, and those of I1 and I2 in bodies.

use std::hint::black_box;
use std::io::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput};
use http::Request;
use millrace_connectors::postgres::CopyBody;
use millrace_ingest::Bodies;
use millrace_model::{Batch, Offsets, Record, Records, RecordsBuilder, Schema};
use millrace_runtime::codec::{self, Decoder, Encoder};
use millrace_runtime::formats::JsonReader;
use millrace_runtime::project::RegistryConfig;
use millrace_runtime::registry::Registry;
use millrace_transform::config::StepConfig;
use millrace_transform::steps;
use orders::Order;

#[path = "../src/orders.rs"]
#[expect(dead_code, unused_imports, reason = "the jobs make more of orders, and their tests are run elsewhere")]
mod orders;

const SCHEMA: &str = include_str!("../projects/transform/schemas/order.avsc");
/// The step of job T.
const SQL: &str = "SELECT id, customer_id, concat('***@', split_part(email, '@', 2)) AS email, amount, currency, created_at, status, coupon, \
    upper(country) AS country, quantity, items, amount * CASE currency WHEN 'EUR' THEN 1.0 WHEN 'USD' THEN 0.92 WHEN 'GBP' THEN 1.17 \
    WHEN 'PLN' THEN 0.23 WHEN 'SEK' THEN 0.088 WHEN 'JPY' THEN 0.0061 ELSE 0.0 END AS amount_eur FROM input WHERE status <> 'CANCELLED'";
const RECORDS: i64 = 4096;
const ID: u32 = 7;

fn schema() -> Schema {
    codec::schema(serde_json::from_str(SCHEMA).expect("JSON")).expect("a schema")
}

/// A batch of orders over so many partitions, each as `value` writes it.
fn records(partitions: i64, mut value: impl FnMut(&Order, &mut Vec<u8>)) -> Arc<Records> {
    let (mut builder, mut bytes) = (RecordsBuilder::new("orders".into(), RECORDS as usize), Vec::new());
    for offset in 0..RECORDS {
        let order = Order::number(offset as u64);
        value(&order, &mut bytes);
        let (key, partition) = (Some(order.customer.as_bytes()), (offset * 31 % partitions) as i32);
        builder.push(&Record { topic: "orders", partition, offset, timestamp: offset, key, value: Some(&bytes), headers: &[] });
    }
    Arc::new(builder.finish())
}

fn framed() -> Arc<Records> {
    records(6, |order, bytes| order.encode(ID, bytes))
}

/// The order as a JSON object: the columns of the line that PostgreSQL would be given, the last of which is JSON already.
fn json(order: &Order, out: &mut Vec<u8>) {
    let mut line = String::new();
    order.copy_line(&mut line);
    let columns: Vec<&str> = line.trim_end().split('\t').collect();
    let text = |column: usize| if columns[column] == "\\N" { "null".to_owned() } else { format!("\"{}\"", columns[column]) };
    let [customer, email, currency, created, status, coupon, note, country] = [1, 2, 4, 5, 6, 7, 8, 9].map(text);
    out.clear();
    write!(
        out,
        r#"{{"id":{},"customer_id":{customer},"email":{email},"amount":{},"currency":{currency},"created_at":{created},"status":{status},"coupon":{coupon},"note":{note},"country":{country},"quantity":{},"items":{}}}"#,
        columns[0], columns[3], columns[10], columns[11]
    )
    .expect("a Vec takes everything");
}

fn decoder(schema: &Schema) -> Decoder {
    let mut decoder = Decoder::new(schema).expect("a decoder");
    decoder.learn(ID, Some(SCHEMA));
    decoder
}

fn decoded(schema: &Schema) -> Batch {
    let decoded = decoder(schema).decode(&framed()).expect("decodes");
    assert_eq!((decoded.batch.len() as i64, decoded.rejected.len()), (RECORDS, 0), "every order decodes");
    decoded.batch
}

fn parts(criterion: &mut Criterion) {
    let (schema, mut group) = (schema(), criterion.benchmark_group("orders"));
    group.throughput(Throughput::Elements(RECORDS as u64));

    let (framed, mut decoder) = (framed(), decoder(&schema));
    group.bench_function("decode", |bencher| bencher.iter(|| decoder.decode(black_box(&framed)).expect("decodes")));

    let (batch, encoder) = (decoded(&schema), Encoder::new(&schema, ID).expect("an encoder"));
    group.bench_function("encode", |bencher| bencher.iter(|| encoder.encode(black_box(batch.columns())).expect("encodes")));

    let steps = steps::compile(&[StepConfig::Sql(SQL.to_owned())], &schema).expect("compiles");
    group.bench_function("plan", |bencher| {
        bencher.iter_batched(|| batch.clone(), |batch| steps[0].apply(batch).expect("applies"), BatchSize::SmallInput);
    });

    let (copy, mut body) = (CopyBody::of(&schema).expect("has forms"), Vec::new());
    group.bench_function("copy", |bencher| bencher.iter(|| copy.write(black_box(batch.columns()), &mut body).expect("writes")));

    let (json, reader) = (records(6, json), JsonReader::new(&schema).expect("a reader"));
    assert!(reader.read(&json).expect("reads").refused.is_empty(), "every order is read");
    group.bench_function("json", |bencher| bencher.iter(|| reader.read(black_box(&json)).expect("reads")));
    group.finish();
}

/// What the gateway makes of a request's body before its records are sent: 1,000 lines, and one object.
fn requests(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("requests");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    // Nobody is asked there: the records are of the path's own schema.
    let registry = Registry::new(&RegistryConfig { url: "http://127.0.0.1:1".to_owned(), ..RegistryConfig::default() }).expect("a client");
    let bodies = Bodies::new(&schema(), 1 << 24, &registry).expect("reads bodies");
    for (name, content_type, lines) in [("lines", "application/x-ndjson", 1000), ("object", "application/json", 1)] {
        let head = Request::post("/orders").header("content-type", content_type).body(()).expect("a request").into_parts().0;
        let body = body(lines);
        let accepted = runtime.block_on(bodies.read(&head, body.clone())).expect("is read").accepted;
        assert_eq!(accepted as u64, lines, "every order is accepted");
        group.throughput(Throughput::Elements(lines));
        let read = || runtime.block_on(bodies.read(&head, black_box(body.clone()))).expect("is read");
        group.bench_function(name, |bencher| bencher.iter(read));
    }
    group.finish();
}

fn body(lines: u64) -> Bytes {
    let (mut body, mut line) = (Vec::new(), Vec::new());
    for number in 0..lines {
        json(&Order::number(number), &mut line);
        body.extend_from_slice(&line);
        body.push(b'\n');
    }
    body.into()
}

/// How far a batch moves the positions of an assignment, and the copy of them that a commit takes along.
fn positions(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("positions");
    group.throughput(Throughput::Elements(RECORDS as u64));
    for partitions in [1, 64, 1000, 10_000] {
        let records = records(partitions, |order, bytes| order.encode(ID, bytes));
        let mut offsets = Offsets::new();
        group.bench_function(format!("{partitions} partitions"), |bencher| {
            bencher.iter(|| {
                records.advance(&mut offsets);
                black_box(offsets.clone())
            });
        });
    }
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    parts(&mut criterion);
    requests(&mut criterion);
    positions(&mut criterion);
    criterion.final_summary();
}
