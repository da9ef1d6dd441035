//! Records go in and come out: order, headers, times, codecs, sizes.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::message::{Header, Headers, Message, OwnedHeaders, Timestamp};
use rdkafka::producer::{BaseRecord, Producer};
use rdkafka::topic_partition_list::Offset;
use rdkafka::types::RDKafkaErrorCode;

use crate::clients::{PATIENCE, assign, consumer, keys, offsets, poll, produce, producer, read, read_all, send, topic, unique};

/// Some time in 2023, in milliseconds.
const T0: i64 = 1_700_000_000_000;

#[test]
fn many_records_are_read_once_each_and_in_order() {
    let name = topic(4);
    produce(&producer(&[("enable.idempotence", "true")]), &name, "k", 20_000);
    let records = read_all(&name, 4, &[]);
    assert_eq!(records.iter().map(|record| &record.key).collect::<BTreeSet<_>>().len(), 20_000);
    for partition in 0..4 {
        let offsets: Vec<i64> = records.iter().filter(|record| record.partition == partition).map(|record| record.offset).collect();
        assert_eq!(offsets, (0..offsets.len() as i64).collect::<Vec<_>>());
    }
}

#[test]
fn headers_timestamps_and_tombstones_come_out_as_they_went_in() {
    let name = topic(1);
    let headers = OwnedHeaders::new()
        .insert(Header { key: "text", value: Some("v") })
        .insert(Header { key: "bytes", value: Some(&[0_u8, 255, 1]) })
        .insert(Header::<&str> { key: "nothing", value: None });
    let producer = producer(&[]);
    send(&producer, BaseRecord::to(&name).key("k").payload(&b"v"[..]).timestamp(T0).headers(headers.clone()));
    send(&producer, BaseRecord::to(&name).key("tombstone").timestamp(T0 + 1));
    producer.flush(PATIENCE).unwrap();
    let consumer = consumer(&unique("reader"), &[]);
    assign(&consumer, &name, 1);
    let first = consumer.poll(PATIENCE).unwrap().unwrap().detach();
    assert_eq!(first.timestamp(), Timestamp::CreateTime(T0));
    let values = |headers: &OwnedHeaders| -> Vec<_> {
        headers.iter().map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec))).collect()
    };
    assert_eq!(first.headers().map(values), Some(values(&headers)));
    let tombstone = poll(&consumer).unwrap();
    assert_eq!((tombstone.key.as_str(), tombstone.value), ("tombstone", None));
}

#[test]
fn every_codec_passes_through() {
    let name = topic(1);
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        produce(&producer(&[("compression.type", codec), ("enable.idempotence", "true"), ("linger.ms", "50")]), &name, codec, 200);
    }
    let records = read_all(&name, 1, &[("check.crcs", "true")]);
    assert_eq!(records.len(), 1000);
    assert_eq!((records[0].key.as_str(), records[999].key.as_str()), ("none-0", "zstd-199"));
}

#[test]
fn offsets_are_found_by_time_also_inside_a_batch() {
    let name = topic(1);
    let producer = producer(&[("linger.ms", "200")]);
    for index in 0..10 {
        send(&producer, BaseRecord::to(&name).key("k").payload(&b"v"[..]).timestamp(T0 + index * 1000));
    }
    producer.flush(PATIENCE).unwrap();
    let consumer = consumer(&unique("reader"), &[]);
    let at = |time| consumer.offsets_for_times(offsets(&name, &[(0, time)]), PATIENCE).unwrap().elements()[0].offset();
    assert_eq!(at(T0 - 5), Offset::Offset(0));
    assert_eq!(at(T0 + 3500), Offset::Offset(4));
    assert_eq!(at(T0 + 9000), Offset::Offset(9));
    assert_eq!(at(T0 + 9001), Offset::End);
}

#[test]
fn a_record_larger_than_a_fetch_is_still_read() {
    let name = topic(1);
    let producer = producer(&[]);
    let large = vec![7; 500_000];
    for _ in 0..3 {
        send(&producer, BaseRecord::to(&name).key("k").payload(&large[..]));
    }
    producer.flush(PATIENCE).unwrap();
    let records = read_all(&name, 1, &[("fetch.message.max.bytes", "1000"), ("fetch.max.bytes", "1000000")]);
    assert!(records.len() == 3 && records.iter().all(|record| record.value.as_deref() == Some(&large)));
}

#[test]
fn a_waiting_reader_gets_a_new_record_at_once() {
    let name = topic(1);
    let consumer = consumer(&unique("reader"), &[("fetch.wait.max.ms", "6000"), ("fetch.min.bytes", "1")]);
    assign(&consumer, &name, 1);
    assert_eq!(poll(&consumer), Err(0));
    let begun = Instant::now();
    produce(&producer(&[]), &name, "k", 1);
    assert_eq!(keys(&read(&consumer, 1)), ["k-0"]);
    assert!(begun.elapsed() < Duration::from_secs(4), "it took {:?}", begun.elapsed());
}

#[test]
fn an_offset_out_of_range_is_an_error() {
    let name = topic(1);
    produce(&producer(&[]), &name, "k", 1);
    let consumer = consumer(&unique("reader"), &[("auto.offset.reset", "error")]);
    consumer.assign(&offsets(&name, &[(0, 100)])).unwrap();
    let error = loop {
        if let Some(polled) = consumer.poll(PATIENCE) {
            break polled.map(|_| ()).unwrap_err();
        }
    };
    assert_eq!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::AutoOffsetReset), "{error}");
}
