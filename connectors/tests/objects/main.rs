//! Files in object stores: S3 as `MILLRACE_TEST_S3` speaks it (moto), Azure Blob Storage as `MILLRACE_TEST_AZURE` does (Azurite), and an
//! HTTP server of this test's own. Google Cloud Storage has no server here: it is not tested.

mod http;
mod store;
mod trouble;

use std::sync::Arc;

use arrow::array::AsArray;
use millrace_connectors::files::{Config, FileSource};
use millrace_model::{Code, Position, Retry, Schema, Source as _};
use object_store::{ObjectStoreExt as _, path::Path};
use serde_json::{Value, json};

use crate::http::{HttpFiles, Ranges};
use crate::store::Place;

/// Records of a text `s`, and nothing else.
fn schema() -> Schema {
    let avro = json!({ "type": "record", "name": "Test", "fields": [{ "name": "s", "type": "string" }] });
    let field = arrow::datatypes::Field::new("s", arrow::datatypes::DataType::Utf8, false);
    Schema::new(avro, Arc::new(arrow::datatypes::Schema::new(vec![field])))
}

fn config(settings: &Value) -> Config {
    serde_json::from_value(settings.clone()).expect("a configuration")
}

fn open(config: &Config, split: &str, position: Option<&Position>) -> FileSource {
    config.open(split, &schema(), position).expect("opens")
}

/// Everything that a source brings, and its position after each pull.
async fn drain(source: &mut FileSource) -> Vec<(Vec<String>, Position)> {
    let mut pulls = Vec::new();
    while let Some(pulled) = source.next().await.expect("reads") {
        let texts = pulled.batch.columns().column(0).as_string::<i32>().iter().flatten().map(str::to_owned);
        let bad = pulled.rejected.iter().map(|rejected| format!("! {}", rejected.reason()));
        pulls.push((texts.chain(bad).collect(), pulled.position));
    }
    assert!(source.is_complete());
    pulls
}

fn all(pulls: &[(Vec<String>, Position)]) -> Vec<String> {
    pulls.iter().flat_map(|(texts, _)| texts.clone()).collect()
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, text.as_bytes()).expect("writes");
    encoder.finish().expect("ends")
}

/// More rows than one pull brings.
fn rows() -> Vec<String> {
    (0..12_000).map(|row| format!("row {row}")).collect()
}

fn csv(rows: &[String]) -> String {
    format!("s\n{}\n", rows.join("\n"))
}

async fn names(config: &Config) -> Vec<String> {
    config.splits().await.expect("lists").into_iter().map(|split| split.name).collect()
}

async fn objects_are_found_by_their_pattern_and_read_from_every_position(place: &Place) {
    let texts = rows();
    let json = format!("[{}]", texts.iter().map(|text| json!({ "s": text }).to_string()).collect::<Vec<_>>().join(","));
    place.put("in/a.csv", csv(&texts)).await;
    place.put("in/2013/b.csv.gz", gzip(&csv(&texts))).await;
    place.put("in/c.json", json).await;
    place.put("in/d.txt", "no data").await;
    let pattern = config(&place.settings("in/**/*.[cj]s*"));
    assert_eq!(names(&pattern).await, [place.url("in/2013/b.csv.gz"), place.url("in/a.csv"), place.url("in/c.json")]);
    for split in names(&pattern).await {
        let pulls = drain(&mut open(&pattern, &split, None)).await;
        assert_eq!(all(&pulls), texts, "{split}");
        for (done, (_, position)) in pulls.iter().enumerate() {
            let rest = drain(&mut open(&pattern, &split, Some(position))).await;
            assert_eq!(all(&rest), all(&pulls[done + 1..]), "{split} after pull {done}");
        }
    }
}

async fn an_object_that_was_replaced_is_a_fault_or_a_new_file(place: &Place) {
    place.put("one.csv", "s\na\n").await;
    let (halt, again) = (place.settings("one.csv"), place.with("one.csv", &json!({ "on_change": "read_again" })));
    let split = place.url("one.csv");
    let (_, position) = drain(&mut open(&config(&halt), &split, None)).await.remove(0);
    assert!(drain(&mut open(&config(&halt), &split, Some(&position))).await.is_empty(), "it is the same");
    place.put("one.csv", "s\nb\nc\n").await;
    let fault = open(&config(&halt), &split, Some(&position)).next().await.expect_err("is another");
    assert_eq!((fault.code(), fault.retry()), (Code::FileChanged, Retry::Operator), "{fault}");
    assert_eq!(all(&drain(&mut open(&config(&again), &split, Some(&position))).await), ["b", "c"]);
}

async fn an_object_that_was_read_is_deleted_or_moved(place: &Place) {
    for (key, after, moved) in
        [("gone/a.csv", json!("delete"), None), ("in/2014/a.csv", json!({ "move": place.url("done") }), Some("done/2014/a.csv"))]
    {
        place.put(key, "s\na\n").await;
        let folder = key.split('/').next().unwrap_or_default();
        let config = config(&place.with(&format!("{folder}/**/*.csv"), &json!({ "after": after })));
        let mut source = open(&config, &place.url(key), None);
        let pulled = source.next().await.expect("reads").expect("has rows");
        assert!(source.next().await.expect("reads").is_none() && place.has(key).await, "it is not durable yet");
        source.settled(&pulled.position).await.expect("settles");
        assert!(source.next().await.expect("reads").is_none() && source.is_complete());
        assert!(!place.has(key).await && names(&config).await.is_empty());
        if let Some(moved) = moved {
            assert!(place.has(moved).await);
        }
    }
}

async fn what_is_not_there_is_no_file(place: &Place) {
    assert!(names(&config(&place.settings("none.csv"))).await.is_empty());
    assert!(names(&config(&place.settings("none/*.csv"))).await.is_empty());
}

macro_rules! conformance {
    ($($test:ident)*) => {
        mod s3 {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$test(&super::Place::s3(stringify!($test))).await;
            })*
        }

        mod azure {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$test(&super::Place::azure(stringify!($test))).await;
            })*
        }
    };
}

conformance! {
    objects_are_found_by_their_pattern_and_read_from_every_position
    an_object_that_was_replaced_is_a_fault_or_a_new_file
    an_object_that_was_read_is_deleted_or_moved
    what_is_not_there_is_no_file
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_is_not_there_and_a_store_that_is_away_are_told_apart() {
    let place = Place::s3("faults");
    let mut settings = place.settings("*.csv");
    settings["path"] = json!("s3://there-is-none/*.csv");
    let fault = config(&settings).splits().await.expect_err("no bucket");
    assert_eq!(fault.retry(), Retry::Operator, "{fault}");
    settings["store"]["s3"]["endpoint"] = json!("http://127.0.0.1:1");
    let fault = config(&settings).splits().await.expect_err("no store");
    assert_eq!((fault.code(), fault.retry()), (Code::StoreUnavailable, Retry::BackOff), "{fault}");
    assert!(!fault.to_string().contains("hunter2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_an_http_server_is_read_from_every_position_with_and_without_ranges() {
    let texts = rows();
    for ranges in [Ranges::Served, Ranges::Ignored] {
        let server = HttpFiles::serve("/in/a.csv", csv(&texts), ranges).await;
        let settings = json!({ "path": server.url("/in/a.csv?sig=hunter2"), "store": { "http": { "token": "t" } } });
        let config = config(&settings);
        let split = names(&config).await.remove(0);
        assert_eq!(split, server.url("/in/a.csv"), "a signature is no part of a name");
        let pulls = drain(&mut open(&config, &split, None)).await;
        assert_eq!(all(&pulls), texts);
        for (done, (_, position)) in pulls.iter().enumerate() {
            assert_eq!(all(&drain(&mut open(&config, &split, Some(position))).await), all(&pulls[done + 1..]), "after pull {done}");
        }
        assert!(server.were_all_authorized("Bearer t", "sig=hunter2"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_http_server_that_refuses_halts_and_shows_no_secret() {
    let server = HttpFiles::serve("/a.csv", String::new(), Ranges::Refused).await;
    let config = config(&json!({ "path": server.url("/a.csv?sig=hunter2") }));
    let fault = config.splits().await.expect_err("refused");
    assert_eq!(fault.retry(), Retry::Operator, "{fault}");
    assert!(!fault.to_string().contains("hunter2"), "{fault}");
}

#[tokio::test]
async fn the_test_writes_what_it_reads() {
    let place = Place::s3("self");
    place.put("a", "b").await;
    let bytes = place.client.get(&Path::from(format!("{}/a", place.prefix))).await.expect("is there").bytes().await.expect("reads");
    assert_eq!(&bytes[..], b"b");
}
