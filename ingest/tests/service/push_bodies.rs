//! What the gateway takes, beside JSON.

use std::io::Write as _;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Builder, Int64Array, ListBuilder, RecordBatch, StringArray};
use arrow::datatypes::Int64Type;
use flate2::Compression;
use flate2::write::GzEncoder;
use millrace_ingest::reread::Reread;
use millrace_model::{Header, Record, RecordsBuilder};
use millrace_runtime::codec::{Encoder, container};
use serde_json::{Value, json};

use crate::world::{World, answer, ingest, schema};

/// An order as Avro, framed with the id of its schema.
fn framed(id: i64, schema_id: u32) -> Vec<u8> {
    let columns: [ArrayRef; 4] = [
        Arc::new(Int64Array::from(vec![id])),
        Arc::new(StringArray::from(vec!["c"])),
        Arc::new(StringArray::from(vec![None::<&str>])),
        Arc::new({
            let mut weights = ListBuilder::new(Float64Builder::new());
            weights.append(true);
            weights.finish()
        }),
    ];
    let encoder = Encoder::new(&schema(), schema_id).expect("an encoder");
    let schema = schema();
    let fields = ["id", "customer", "note", "weights"].into_iter().zip(columns);
    let batch = RecordBatch::try_from_iter_with_nullable(fields.map(|(name, column)| (name, column, name == "note"))).expect("columns");
    assert_eq!(schema.arrow().fields().len(), batch.num_columns());
    encoder.encode(&batch).expect("encodes").value(0).to_vec()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("compresses");
    encoder.finish().expect("ends")
}

fn event(more: &Value) -> Value {
    let mut event = json!({ "specversion": "1.0", "id": "1", "source": "/shop", "type": "order" });
    event.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
    event
}

#[tokio::test(flavor = "multi_thread")]
async fn one_value_of_avro_names_its_schema_by_a_frame_or_by_a_subject() {
    let world = World::start().await;
    let service = world.gateway().await;
    let id = world.registry.register("orders-value", &schema()).await.expect("registers");
    let avro = |query: &str, body: Vec<u8>| answer(service.post_to(&format!("/orders{query}"), body).header("content-type", "avro/binary"));
    assert_eq!(avro("", framed(1, id)).await.0, 200);
    assert_eq!(avro("?subject=orders-value&version=1", framed(2, id)[5..].to_vec()).await.0, 200);
    let named =
        service.post(framed(3, id)[5..].to_vec()).header("content-type", "application/avro").header("schema-subject", "orders-value");
    assert_eq!(answer(named).await.0, 200);
    let codes = async |query: &str, body: Vec<u8>| {
        let (status, said) = avro(query, body).await;
        (status, said["error"]["code"].as_str().or(said["errors"][0]["code"].as_str()).map(str::to_owned))
    };
    assert_eq!(codes("?subject=orders", framed(4, id)[5..].to_vec()).await, (422, Some("MR0303".into())), "no such subject");
    assert_eq!(codes("", framed(4, id)[5..].to_vec()).await, (422, Some("MR0310".into())), "no frame");
    assert_eq!(codes("", framed(4, 77)).await, (422, Some("MR0303".into())), "no such id");
    assert_eq!(codes("", framed(4, id)[..9].to_vec()).await, (422, Some("MR0311".into())), "cut");
    world.await_ids([1, 2, 3]).await;
    let letters = world.dead_letters().await;
    assert_eq!(letters.len(), 2, "those that a replay may decode");
    assert_eq!(letters[0].value.as_deref(), Some(&*framed(4, 77)));
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_value_in_a_container_is_kept_as_a_container_and_the_others_go_on() {
    let world = World::start().await;
    let service = world.gateway().await;
    let values = [&framed(1, 1)[5..], &framed(2, 1)[5..], &[0x80]].concat();
    let mut body = container::of_one(schema().text(), &values);
    let count = body.len() - 16 - values.len() - 2;
    body[count] = 3 << 1;
    let (status, said) = answer(service.post(body).header("content-type", "application/vnd.apache.avro")).await;
    assert_eq!((status, &said["accepted"], &said["errors"][0]["index"]), (207, &json!(2), &json!(2)), "{said}");
    world.await_ids([1, 2]).await;
    let letters = world.dead_letters().await;
    let kept = container::Container::open(letters[0].value.as_deref().expect("a value")).expect("a container").blocks(9).expect("blocks");
    assert_eq!(kept[0].bytes, [0x80]);
    let broken = answer(service.post(&b"Obj\x01\x02"[..]).header("content-type", "avro/binary")).await;
    assert_eq!((broken.0, &broken.1["error"]["code"]), (422, &json!("MR0415")));
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_event_is_kept_whole_and_one_with_bad_data_by_its_data() {
    let world = World::start().await;
    let service = world.gateway().await;
    let events = json!([
        event(&json!({ "data": { "id": 1, "customer": "a" } })),
        { "specversion": "1.0", "data": {} },
        event(&json!({ "data": { "id": "x" } })),
        event(&json!({ "data": { "id": 2, "customer": "b" } })),
    ]);
    let batch = service.post(events.to_string()).header("content-type", "application/cloudevents-batch+json");
    let (status, said) = answer(batch).await;
    let errors: Vec<_> = [0, 1].map(|n| (said["errors"][n]["index"].clone(), said["errors"][n]["code"].clone())).into();
    assert_eq!((status, errors), (207, vec![(json!(1), json!("MR0413")), (json!(2), json!("MR0404"))]), "{said}");
    world.await_ids([1, 2]).await;
    let letters = world.dead_letters().await;
    let kept = |n: usize, name: &str| {
        let header = letters[n].headers.iter().find(|header| header.key == name)?;
        Some(String::from_utf8_lossy(header.value.as_deref()?).into_owned())
    };
    assert_eq!(kept(0, "content-type").as_deref(), Some("application/cloudevents+json"));
    assert_eq!(letters[0].value.as_deref(), Some(events[1].to_string().as_bytes()));
    assert_eq!((kept(1, "content-type").as_deref(), kept(1, "ce_source").as_deref()), (Some("application/json"), Some("/shop")));
    assert_eq!(letters[1].value.as_deref(), Some(br#"{"id":"x"}"#.as_slice()));
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_may_be_compressed_and_is_limited_by_what_it_inflates_to() {
    let world = World::start().await;
    let limited = ingest(&json!({ "http": { "path": "/orders", "max_body": "1KiB" } }), &json!({}));
    let service = world.run("one", vec![("web", limited)]).await;
    let order = |id: i64| json!({ "id": id, "customer": "c" }).to_string();
    let sent = async |encoding: &str, body: Vec<u8>| answer(service.post(body).header("content-encoding", encoding)).await;
    assert_eq!(sent("gzip", gzip(order(1).as_bytes())).await.0, 200);
    assert_eq!(sent("zstd", zstd::encode_all(order(2).as_bytes(), 0).expect("compresses")).await.0, 200);
    let bomb = sent("gzip", gzip(&vec![b' '; 500_000])).await;
    assert_eq!((bomb.0, &bomb.1["error"]["code"]), (413, &json!("MR0406")));
    assert_eq!(sent("gzip", order(3).into()).await.0, 400);
    let unknown = service.post(order(3)).header("content-encoding", "br").send().await.expect("answers");
    assert_eq!((unknown.status().as_u16(), unknown.headers()["accept-encoding"].to_str().expect("text")), (415, "gzip, zstd"));
    let typed = answer(service.post(order(3)).header("content-type", "text/xml")).await;
    assert_eq!((typed.0, &typed.1["error"]["code"]), (415, &json!("MR0414")));
    world.await_ids([1, 2]).await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_rejected_is_read_again_as_what_it_was_sent_as() {
    let world = World::start().await;
    let id = world.registry.register("orders-value", &schema()).await.expect("registers");
    let data = json!({ "id": 4, "customer": "c" });
    let sent = [
        (json!({ "id": 1, "customer": "c" }).to_string().into_bytes(), None),
        (framed(2, id), Some("avro/binary")),
        (container::of_one(schema().text(), &framed(3, 1)[5..]), Some("application/vnd.apache.avro")),
        (event(&json!({ "data": data })).to_string().into_bytes(), Some("application/cloudevents+json")),
        (json!({ "id": 5, "customer": "mended" }).to_string().into_bytes(), Some("avro/binary")),
        (b"Obj\x01\x02".to_vec(), Some("application/vnd.apache.avro")),
        (br#"{"id": "6"}"#.to_vec(), Some("application/cloudevents+json")),
        (framed(7, 77), Some("avro/binary")),
    ];
    let mut records = RecordsBuilder::new("http:/orders".into(), sent.len());
    for ((value, content_type), offset) in sent.iter().zip(0..) {
        let headers: Vec<Header> =
            content_type.iter().map(|said| Header { key: "content-type".into(), value: Some(said.as_bytes().to_vec()) }).collect();
        records.push(&Record { topic: "", partition: 0, offset, timestamp: 0, key: None, value: Some(value), headers: &headers });
    }
    let ingest = ingest(&json!({ "http": { "path": "/orders" } }), &json!({}));
    let reread = Reread::open(&ingest, &world.cluster("test"), &world.registry, "shop.web").await.expect("opens");
    let read = reread.read(&Arc::new(records.finish())).await.expect("reads");
    let ids: Vec<i64> = read.batch.columns().column(0).as_primitive::<Int64Type>().values().to_vec();
    assert_eq!((ids, read.batch.origin().rows()), (vec![1, 2, 3, 4, 5], &[0, 1, 2, 3, 4][..]));
    let refused: Vec<_> = read.refused.iter().map(|refusal| (refusal.record, refusal.code.as_str())).collect();
    assert_eq!(refused, [(5, "MR0311"), (6, "MR0413"), (7, "MR0303")]);
    let headers = |row: usize| read.batch.origin().records().headers(row);
    assert!(headers(1).is_empty(), "the record itself is no such type");
    let source = headers(3).iter().find(|header| header.key == "ce_source").and_then(|header| header.value.as_deref());
    assert_eq!(source, Some(&b"/shop"[..]), "the attributes go along");
}
