//! JSON documents in, record by record.

use std::io::Cursor;

use arrow::array::AsArray;
use proptest::prelude::*;
use serde_json::json;

use millrace_model::Code;

use super::scanner::CHUNK;
use super::*;
use crate::formats::testing::schema;

fn open(text: &[u8], from: u64) -> Result<JsonDocument> {
    let schema = schema(&json!([{ "name": "s", "type": "string" }]));
    let opening = Opening { topic: "file:a.json".into(), from, limit: 40 };
    JsonDocument::open(Box::new(Cursor::new(text.to_vec())), &schema, &[], opening)
}

#[test]
fn names_lead_to_the_array_of_records() {
    let schema = schema(&json!([{ "name": "s", "type": "string" }]));
    let open = |text: &str| {
        let opening = Opening { topic: "file:a.json".into(), from: 0, limit: 40 };
        let names = ["data".to_owned(), "items".to_owned()];
        JsonDocument::open(Box::new(Cursor::new(text.as_bytes().to_vec())), &schema, &names, opening)
    };
    let mut document =
        open(r#"{"n": [1, {"items": 2}], "data": {"a\"b": "]", "items": [{"s":"a"},{"s":"b"}], "more": [{"s":"c"}]}}"#).expect("opens");
    let block = document.next(9).expect("reads").expect("has records");
    assert_eq!(block.batch.columns().column(0).as_string::<i32>().iter().flatten().collect::<Vec<_>>(), ["a", "b"]);
    assert!(document.next(9).expect("reads").is_none());
    for text in ["", "{}", "[]", r#"{"data": 1}"#, r#"{"data": {"items": {}}}"#, r#"{"data""#] {
        assert_eq!(open(text).err().map(|fault| fault.code()), Some(Code::FileDamaged), "{text}");
    }
}

/// What came of each record: its text, or why there is none; and the fault at the end if there is one.
fn read(text: &[u8], from: u64, rows: usize) -> Vec<String> {
    let mut seen = Vec::new();
    let mut document = match open(text, from) {
        Ok(document) => document,
        Err(fault) => return vec![format!("!! {}", fault.message())],
    };
    loop {
        match document.next(rows) {
            Ok(Some(block)) => {
                let strings = block.batch.columns().column(0).as_string::<i32>();
                let good = (0..block.batch.len()).map(|row| (block.batch.origin().rows()[row], strings.value(row).to_owned()));
                let bad = block.rejected.iter().map(|rejection| (rejection.record, format!("! {}", rejection.reason)));
                let mut all: Vec<(u32, String)> = good.chain(bad).collect();
                all.sort();
                seen.extend(all.into_iter().map(|(_, text)| text));
            }
            Ok(None) => return seen,
            Err(fault) => {
                seen.push(format!("!! {}", fault.message()));
                return seen;
            }
        }
    }
}

#[test]
fn an_array_and_records_one_after_the_other_are_read_alike() {
    for text in [r#"[{"s":"a"},{"s":"b]"},{"s":"\"}"}]"#, "{\"s\":\"a\"}{\"s\":\"b]\"}\n\n{\"s\":\"\\\"}\"}\n"] {
        assert_eq!(read(text.as_bytes(), 0, 2), ["a", "b]", "\"}"], "{text}");
        assert_eq!(read(text.as_bytes(), 1, 2), ["b]", "\"}"], "{text}");
    }
}

#[test]
fn empty_documents_are_fine() {
    for text in ["", " \n", "[]", "[ ]\n"] {
        assert!(read(text.as_bytes(), 0, 2).is_empty(), "{text:?}");
    }
}

#[test]
fn a_bad_record_is_rejected_alone_by_its_number() {
    let seen = read(br#"[{"s":"a"},{"s":1}, 7 ,null,{"s" "b"},{"s":"c"}]"#, 0, 10);
    assert_eq!(seen[0], "a");
    assert_eq!(seen[1], "! record 2: s: expected string, found number 1");
    assert_eq!(seen[2], "! record 3: expected an object, found number 7");
    assert!(seen[4].starts_with("! record 5: not valid JSON"), "{seen:?}");
    assert_eq!(seen[5], "c");
}

#[test]
fn a_record_that_is_too_long_is_rejected_alone() {
    let text = format!(r#"[{{"s":"a"}},{{"s":"{}"}},{{"s":"b"}}]"#, "x".repeat(CHUNK * 2));
    let seen = read(text.as_bytes(), 0, 10);
    assert!(seen[1].starts_with("! record 2: 524296 bytes, longer than 40"), "{}", &seen[1]);
    assert_eq!((&*seen[0], &*seen[2]), ("a", "b"));
}

#[test]
fn a_truncated_document_is_damaged_after_what_is_whole() {
    assert_eq!(read(br#"[{"s":"a"},{"s":"b"}"#, 0, 10), ["a", "b", "!! not a whole JSON document: it ends within its array"]);
    assert_eq!(read(br#"{"s":"a"}{"s":"#, 0, 10), ["a", "!! not a whole JSON document: it ends within a record"]);
}

proptest! {
    #[test]
    fn reading_goes_on_from_every_record(items in prop::collection::vec("[a-c\\[\\]{},\"\\\\]{0,6}", 0..8), rows in 1..4usize, array: bool) {
        let texts: Vec<String> = items.iter().map(|item| json!({ "s": item }).to_string()).collect();
        let text = if array { format!("[{}]", texts.join(" ,")) } else { texts.concat() };
        for from in 0..=items.len() {
            prop_assert_eq!(read(text.as_bytes(), from as u64, rows), &items[from..]);
        }
    }

    #[test]
    fn no_bytes_panic(text in prop::collection::vec(prop_oneof![Just(b'['), Just(b'{'), Just(b'"'), Just(b','), Just(b'}'), any::<u8>()], 0..60)) {
        read(&text, 0, 3);
    }
}
