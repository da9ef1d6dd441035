//! The schema of what a SELECT gives.

use arrow::datatypes::DataType;
use serde_json::json;

use super::fixture::{Order, avro, output, sql};

fn field(select: &str, name: &str) -> serde_json::Value {
    output(&format!("SELECT {select} FROM input")).field(name).unwrap_or_else(|| panic!("{select} has no {name}")).clone()
}

#[test]
fn a_column_that_passes_keeps_its_avro_field() {
    let schema = output("SELECT id, text, status, price, at, tags, item FROM input");
    for name in ["id", "text", "status", "price", "at", "tags", "item"] {
        let input = avro();
        let given = input["fields"].as_array().expect("fields").iter().find(|field| field["name"] == name).expect("the field").clone();
        assert_eq!(schema.field(name), Some(&given));
    }
    assert_eq!((schema.name().as_str(), schema.avro()["doc"].as_str()), ("shop.Order", Some("An order.")));
}

#[test]
fn an_alias_keeps_type_and_doc_under_the_new_name() {
    assert_eq!(
        field("text AS typed", "typed"),
        json!({ "name": "typed", "type": ["null", "string"], "default": null, "doc": "As it was typed." })
    );
}

#[test]
fn a_computed_column_is_nullable_only_where_it_may_be_null() {
    for (expression, avro) in [
        ("upper(name)", json!("string")),
        ("concat('x', split_part(name, '@', 2))", json!("string")),
        ("concat(text, 'x')", json!("string")),
        ("b + 1", json!("long")),
        ("b * b", json!("int")),
        ("ratio * CASE name WHEN 'a' THEN 1.0 ELSE 0.5 END", json!("double")),
        ("status = 'NEW'", json!("boolean")),
        ("upper(status)", json!("string")),
        ("coalesce(a, 0)", json!("long")),
        ("text IS NULL", json!("boolean")),
        ("CAST(at AS DATE)", json!({ "type": "int", "logicalType": "date" })),
        ("now()", json!({ "type": "long", "logicalType": "timestamp-micros" })),
        ("date_trunc('hour', at)", json!({ "type": "long", "logicalType": "timestamp-millis" })),
        ("CAST(b AS DECIMAL(12, 3))", json!({ "type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 3 })),
        ("CAST(name AS BYTEA)", json!("bytes")),
    ] {
        assert_eq!(field(&format!("{expression} AS x"), "x"), json!({ "name": "x", "type": avro }), "{expression}");
    }
    for (expression, avro) in [
        ("upper(text)", "string"),
        ("a + 1", "long"),
        ("CASE WHEN b > 1 THEN name END", "string"),
        ("nullif(name, '')", "string"),
        ("TRY_CAST(name AS DOUBLE)", "double"),
    ] {
        assert_eq!(
            field(&format!("{expression} AS x"), "x"),
            json!({ "name": "x", "type": ["null", avro], "default": null }),
            "{expression}"
        );
    }
}

#[test]
fn numbers_that_avro_has_not_become_wider_ones() {
    assert_eq!(field("arrow_cast(b, 'UInt16') AS x", "x")["type"], "int");
    assert_eq!(field("arrow_cast(b, 'UInt64') AS x", "x")["type"], "long");
    assert_eq!(sql("SELECT arrow_cast(b, 'UInt64') AS x FROM input", &[Order::default()]).column("x"), ["2"]);
}

#[test]
fn a_nested_value_gets_a_name_of_its_own() {
    let made = field("named_struct('n', name, 't', [text]) AS pair", "pair");
    let record = if made["type"].is_array() { made["type"][1].clone() } else { made["type"].clone() };
    assert_eq!(record["name"], "shop.Order_pair");
    assert_eq!(sql("SELECT named_struct('n', name, 't', [text]) AS pair FROM input", &[Order::default()]).batch.len(), 1);
}

#[test]
fn a_named_type_is_defined_where_it_is_used_first() {
    let reordered = output("SELECT before, status, status AS again FROM input");
    assert_eq!(reordered.field("before").expect("field")["type"][1]["symbols"], json!(["NEW", "PAID", "CANCELLED", "_7"]));
    assert_eq!(reordered.field("status").expect("field")["type"], "shop.Status");
    assert_eq!(reordered.field("again").expect("field")["type"], "shop.Status");
    assert!(matches!(reordered.arrow().field(2).data_type(), DataType::Dictionary(..)));
}

#[test]
fn kept_columns_are_not_copied_when_no_row_is_dropped() {
    let ran = sql("SELECT name, b + 1 AS c FROM input", &[Order::default(), Order::default()]);
    assert_eq!(ran.column("name"), ["name", "name"]);
}
