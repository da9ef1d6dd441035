//! XML in, by the schema.

use std::io::Cursor;

use serde_json::json;

use super::*;
use crate::formats::render;
use crate::formats::testing::schema;

fn schema_of_orders() -> Schema {
    let line = json!({ "type": "record", "name": "line", "fields": [{ "name": "sku", "type": "string" }, { "name": "n", "type": "int" }] });
    let price = json!({ "type": "record", "name": "price", "fields": [{ "name": "currency", "type": "string" }, { "name": "value", "type": "double" }] });
    schema(&json!([
        { "name": "id", "type": "long" },
        { "name": "name", "type": "string", "default": "nobody" },
        { "name": "at", "type": ["null", { "type": "int", "logicalType": "date" }], "default": null },
        { "name": "price", "type": ["null", price], "default": null },
        { "name": "lines", "type": { "type": "array", "items": line }, "default": [] },
        { "name": "tags", "type": { "type": "array", "items": "string" }, "default": [] },
    ]))
}

fn open(text: &str, path: &str, from: u64) -> Result<XmlDocument> {
    let opening = Opening { topic: "file:a.xml".into(), from, limit: 300 };
    XmlDocument::open(Box::new(Cursor::new(text.as_bytes().to_vec())), &schema_of_orders(), path, &["NA".to_owned()], opening)
}

/// Each record as JSON, or why it was rejected; the fault at the end if there is one.
fn read(text: &str, path: &str, from: u64, rows: usize) -> Vec<String> {
    let mut document = match open(text, path, from) {
        Ok(document) => document,
        Err(fault) => return vec![format!("!! {fault}")],
    };
    let mut seen = Vec::new();
    loop {
        match document.next(rows) {
            Ok(Some(block)) => {
                let good = render(block.batch.columns()).expect("renders").into_iter().map(|row| row.to_string());
                let good = block.batch.origin().rows().iter().copied().zip(good);
                let bad = block.rejected.iter().map(|rejection| (rejection.record, format!("! {}", rejection.reason)));
                let mut all: Vec<(u32, String)> = good.chain(bad).collect();
                all.sort();
                seen.extend(all.into_iter().map(|(_, text)| text));
            }
            Ok(None) => return seen,
            Err(fault) => {
                seen.push(format!("!! {fault}"));
                return seen;
            }
        }
    }
}

fn one(element: &str) -> serde_json::Value {
    let seen = read(&format!("<orders>{element}</orders>"), "order", 0, 9);
    serde_json::from_str(&seen[0]).unwrap_or_else(|_| panic!("{seen:?}"))
}

#[test]
fn attributes_and_elements_are_fields() {
    let order = one(r#"<order id="7"><name> A &amp; B </name><at>2013-01-31</at><price currency="EUR">1.5</price></order>"#);
    assert_eq!((&order["id"], &order["name"], &order["at"]), (&json!(7), &json!(" A & B "), &json!("2013-01-31")));
    assert_eq!(order["price"], json!({ "currency": "EUR", "value": 1.5 }));
    assert_eq!((&order["lines"], &order["tags"]), (&json!([]), &json!([])));
}

#[test]
fn an_array_is_an_element_repeated_or_one_that_has_the_items() {
    let lines = json!([{ "sku": "a", "n": 1 }, { "sku": "b", "n": 2 }]);
    let repeated = r#"<order id="7"><lines sku="a" n="1"/><lines><sku>b</sku><n>2</n></lines></order>"#;
    assert_eq!(one(repeated)["lines"], lines);
    let wrapped = r#"<order id="7"><lines><line sku="a" n="1"/><line sku="b" n="2"/></lines><tags><tag>x</tag></tags></order>"#;
    assert_eq!((&one(wrapped)["lines"], &one(wrapped)["tags"]), (&lines, &json!(["x"])));
    assert_eq!(one(r#"<order id="7"><tags>x</tags><tags>y</tags></order>"#)["tags"], json!(["x", "y"]));
}

#[test]
fn null_is_said_by_nil_by_nothing_and_by_the_markers() {
    for at in [r#"<at xsi:nil="true" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"/>"#, "<at/>", "<at></at>", "<at>NA</at>", ""] {
        assert_eq!(one(&format!(r#"<order id="7">{at}</order>"#))["at"], json!(null), "{at}");
    }
    assert_eq!(one(r#"<order id="7"><name/></order>"#)["name"], json!(""));
}

#[test]
fn records_are_found_by_their_name_or_their_path() {
    let text = r#"<?xml version="1.0"?><s:all xmlns:s="urn:s"><s:page><s:order id="1"/></s:page><page><order id="2"/><other><order id="3"/></other></page></s:all>"#;
    assert_eq!(read(text, "order", 0, 2).len(), 3);
    assert_eq!(read(text, "all/page/order", 0, 2).len(), 2);
    assert_eq!(read(text, "order", 2, 2).len(), 1, "reading goes on from a number");
}

#[test]
fn a_bad_element_is_rejected_alone() {
    let text = r#"<orders><order id="1"/><order id="x"/><order/><order id="2"><odd>1</odd></order><order id="3"><name>a</name><name>b</name></order><order id="4"/></orders>"#;
    let seen = read(text, "order", 0, 2);
    assert!(seen[0].contains("\"id\":1") && seen[5].contains("\"id\":4"), "{seen:?}");
    assert_eq!(seen[1], "! element 2: id: expected long, found x");
    assert_eq!(seen[2], "! element 3: id: the field is missing; expected long");
    assert!(seen[3].starts_with("! element 4: odd: the schema has no such field"), "{seen:?}");
    assert!(seen[4].contains("name: the element occurs several times"), "{seen:?}");
}

#[test]
fn nothing_that_is_small_becomes_large() {
    let lol = (1..9).map(|n| format!(r#"<!ENTITY l{n} "{}">"#, format!("&l{};", n - 1).repeat(10))).collect::<String>();
    let text = format!(
        r#"<?xml version="1.0"?><!DOCTYPE orders [<!ENTITY l0 "lol">{lol}<!ENTITY f SYSTEM "file:///etc/passwd">]>
        <orders><order id="1"><name>&l8;</name></order><order id="2"><name>&f;</name></order><order id="3"/></orders>"#
    );
    let seen = read(&text, "order", 0, 9);
    assert!(seen[0].contains("the entity &l8; is not known") && seen[1].contains("&f;"), "{seen:?}");
    assert!(seen[2].contains("\"id\":3"), "{seen:?}");
}

#[test]
fn what_is_too_deep_or_too_long_is_rejected_alone() {
    let deep = format!("{}{}", "<a>".repeat(1000), "</a>".repeat(1000));
    let long = format!("<name>{}</name>", "x".repeat(1000));
    let seen = read(
        &format!(r#"<o><order id="1"><name>{}</name></order><order id="2">{long}</order><order id="3"/></o>"#, "y".repeat(200)),
        "order",
        0,
        9,
    );
    assert!(seen[1].starts_with("! element 2: ") && seen[1].contains("bytes, longer than 300"), "{seen:?}");
    assert!(seen[2].contains("\"id\":3"), "{seen:?}");
    let mut document = open(&format!("<o><order id='1'>{deep}</order><order id='3'/></o>"), "order", 0).expect("opens");
    let block = document.next(9).expect("reads").expect("has records");
    assert_eq!((block.batch.len(), block.rejected.len()), (1, 1));
}

#[test]
fn a_truncated_document_is_damaged_after_what_is_whole() {
    for end in ["<order id=\"2\">", "<order id=\"2\"", "", "<order id=\"2\"></name></order></orders>"] {
        let seen = read(&format!("<orders><order id=\"1\"/>{end}"), "order", 0, 9);
        assert!(seen[0].contains("\"id\":1"), "{end}: {seen:?}");
        assert!(seen.last().is_some_and(|last| last.starts_with("!! MR0409: not a whole XML document")), "{end}: {seen:?}");
    }
    assert!(read("PK\u{3}\u{4}", "order", 0, 9).len() <= 1);
}
