//! Values made to harm: each is rejected, quickly and without memory to speak of.

use super::*;
use millrace_model::Code;
use serde_json::{Value as Json, json};

fn of(kind: &Json) -> Schema {
    let record = json!({"type": "record", "name": "r", "fields": [{"name": "x", "type": kind}]});
    millrace_runtime::codec::schema(record).expect("is carried")
}

fn rejected(kind: &Json, body: &[u8]) -> String {
    let schema = of(kind);
    let mut value = vec![0, 0, 0, 0, 1];
    value.extend(body);
    let decoded = decode(&schema, &records([Some(value)]));
    assert!(decoded.batch.is_empty(), "{body:x?} was taken for {:?}", decoded.batch.columns());
    assert_eq!(decoded.rejected[0].code, Code::AvroInvalid);
    assert!(decoded.rejected[0].reason.contains("field `x"), "{:?}", decoded.rejected);
    decoded.rejected[0].reason.clone()
}

/// Avro's encoding of a long.
fn long(value: i64) -> Vec<u8> {
    let mut zigzag = ((value << 1) ^ (value >> 63)) as u64;
    let mut bytes = Vec::new();
    while zigzag >= 0x80 {
        bytes.push(zigzag as u8 | 0x80);
        zigzag >>= 7;
    }
    bytes.push(zigzag as u8);
    bytes
}

fn bytes(parts: &[i64]) -> Vec<u8> {
    parts.iter().flat_map(|&part| long(part)).collect()
}

#[test]
fn counts_that_the_value_can_not_hold() {
    for count in [2, 1 << 40, i64::MAX] {
        rejected(&json!({"type": "array", "items": "int"}), &bytes(&[count, 0]));
        rejected(&json!({"type": "map", "values": "int"}), &bytes(&[count, 0]));
        rejected(&json!({"type": "array", "items": ["null", "int"]}), &bytes(&[count, 0]));
    }
    rejected(&json!({"type": "array", "items": "int"}), &bytes(&[-(1 << 40), 1, 0]));
    rejected(&json!({"type": "array", "items": "int"}), &bytes(&[i64::MIN, 0, 0]));
}

#[test]
fn block_sizes_that_are_not_the_blocks() {
    let good = decode(
        &of(&json!({"type": "array", "items": "int"})),
        &records([Some([&[0, 0, 0, 0, 1][..], &bytes(&[-2, 2, 7, 8, 0])].concat())]),
    );
    assert_eq!(good.batch.len(), 1);
    for size in [-1, 0, 1, 3, i64::MAX, i64::MIN] {
        rejected(&json!({"type": "array", "items": "int"}), &bytes(&[-2, size, 7, 8, 0]));
    }
}

#[test]
fn lengths_that_are_negative_or_beyond_the_end() {
    for kind in ["string", "bytes"] {
        for length in [-1, i64::MIN, 3, i64::MAX] {
            rejected(&json!(kind), &[bytes(&[length]), vec![b'a', b'b']].concat());
        }
    }
}

#[test]
fn branches_that_a_nullable_type_has_not() {
    for branch in [-1, 2, 3, i64::MAX] {
        rejected(&json!(["null", "int"]), &bytes(&[branch, 5]));
        rejected(&json!(["int", "null"]), &bytes(&[branch, 5]));
    }
}

#[test]
fn symbols_that_an_enum_has_not() {
    for index in [-1, 2, i64::from(i32::MAX), i64::MAX] {
        rejected(&json!({"type": "enum", "name": "e", "symbols": ["A", "B"]}), &bytes(&[index]));
    }
}

#[test]
fn numbers_of_too_many_bits() {
    rejected(&json!("int"), &long(i64::from(i32::MAX) + 1));
    rejected(&json!("long"), &[0xff; 10]);
    rejected(&json!("long"), &[0x80; 40]);
}

#[test]
fn booleans_times_uuids_and_decimals_out_of_range() {
    rejected(&json!("boolean"), &[2]);
    rejected(&json!({"type": "int", "logicalType": "time-millis"}), &long(86_400_000));
    rejected(&json!({"type": "long", "logicalType": "time-micros"}), &long(-1));
    rejected(&json!({"type": "string", "logicalType": "uuid"}), &[bytes(&[3]), b"abc".to_vec()].concat());
    let decimal = json!({"type": "bytes", "logicalType": "decimal", "precision": 3, "scale": 1});
    assert!(rejected(&decimal, &[4, 0x03, 0xe8]).contains("digits"));
    rejected(&decimal, &[0]);
    rejected(&decimal, &[&[40][..], &[1; 20]].concat());
    rejected(&decimal, &[&[36, 0x80][..], &[0; 17]].concat());
    let value = |body: &[u8]| Some([&[0, 0, 0, 0, 1][..], body].concat());
    let padded = [&[40][..], &[0; 19], &[7]].concat();
    assert_eq!(decode(&of(&decimal), &records([value(&[4, 0x03, 0xe7]), value(&padded)])).batch.len(), 2);
}

#[test]
fn the_reason_names_the_place_inside() {
    let kind = json!({"type": "array", "items": {"type": "record", "name": "i", "fields": [{"name": "m", "type": {"type": "map", "values": "boolean"}}]}});
    let body = [bytes(&[1, 1, 1]), b"k".to_vec(), vec![9], bytes(&[0, 0])].concat();
    assert_eq!(rejected(&kind, &body), "field `x[].m{}`: 0x09 is no boolean");
}

/// A record of one array of `count` items, each a zero byte.
fn zeros(count: usize) -> Vec<u8> {
    [long(count as i64), vec![0; count], vec![0]].concat()
}

#[test]
fn nulls_that_would_take_all_memory() {
    let wide = json!({"type": "fixed", "name": "f", "size": 4096});
    for items in [json!(["null", wide]), json!(["null", {"type": "record", "name": "i", "fields": [{"name": "h", "type": wide}]}])] {
        assert!(rejected(&json!({"type": "array", "items": items}), &zeros(1_000_000)).contains("take more than 64 MiB"));
    }
    let nested = json!({"type": "array", "items": {"type": "array", "items": ["null", wide]}});
    let inner = [long(100), vec![0; 100], vec![0]].concat();
    rejected(&nested, &[long(1000), inner.repeat(1000), vec![0]].concat());
    let good =
        decode(&of(&json!({"type": "array", "items": ["null", wide]})), &records([Some([&[0, 0, 0, 0, 1][..], &zeros(1000)].concat())]));
    assert_eq!(good.batch.len(), 1);
}

#[test]
fn defaults_that_would_take_all_memory() {
    let list = |fields: Json| {
        let item = json!({"type": "record", "name": "i", "fields": fields});
        json!({"type": "record", "name": "r", "fields": [{"name": "x", "type": {"type": "array", "items": item}}]})
    };
    let flag = json!({"name": "a", "type": "boolean"});
    let written = list(json!([flag]));
    let read = list(json!([flag, {"name": "b", "type": "string", "default": "z".repeat(1000)}]));
    let mut decoder = Decoder::new(&millrace_runtime::codec::schema(read).expect("is carried")).expect("has a decoder");
    decoder.learn(1, Some(&written.to_string()));
    let value = |count| Some([&[0, 0, 0, 0, 1][..], &zeros(count)].concat());
    let decoded = decoder.decode(&records([value(1_000_000), value(10)])).expect("decodes");
    assert_eq!((decoded.batch.len(), decoded.rejected[0].code), (1, Code::AvroInvalid));
}
