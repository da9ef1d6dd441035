use millrace_model::{Code, Fault, Retry};
use serde_json::{Value as Json, json};

fn record(fields: &Json) -> Json {
    json!({"type": "record", "name": "r", "namespace": "n", "fields": fields})
}

fn refused(avro: Json) -> Fault {
    let fault = millrace_runtime::codec::schema(avro).expect_err("is refused");
    assert_eq!(fault.retry(), Retry::Operator);
    fault
}

#[test]
fn a_type_that_can_not_be_carried_is_refused_by_its_path() {
    let inner = |kind: Json| {
        record(
            &json!([{"name": "a", "type": {"type": "array", "items": {"type": "record", "name": "i", "fields": [{"name": "b", "type": kind}]}}}]),
        )
    };
    for kind in [
        json!("null"),
        json!(["int", "string", {"type": "fixed", "name": "d", "size": 12, "logicalType": "duration"}]),
        json!(["null", "int", "i"]),
        json!({"type": "fixed", "name": "d", "size": 12, "logicalType": "duration"}),
        json!({"type": "bytes", "logicalType": "decimal", "precision": 39, "scale": 0}),
        json!({"type": "record", "name": "e", "fields": []}),
        json!({"type": "fixed", "name": "f", "size": 100_000}),
        json!(["null", "i"]),
    ] {
        let fault = refused(inner(kind.clone()));
        assert_eq!(fault.code(), Code::SchemaUnsupported, "{kind}: {fault}");
        assert!(fault.message().contains("field `a[].b`"), "{kind}: {fault}");
    }
    for recursive in
        [json!(["null", "i"]), json!({"type": "array", "items": "i"}), json!({"type": "map", "values": ["null", "string", "i"]})]
    {
        assert!(refused(inner(recursive)).message().contains("recursive: n.i contains itself"));
    }
}

#[test]
fn what_is_no_record_is_refused() {
    for avro in [json!("string"), json!({"type": "array", "items": "int"}), record(&json!([]))] {
        assert_eq!(refused(avro).code(), Code::SchemaUnsupported);
    }
}

#[test]
fn what_is_no_avro_is_refused_by_its_path() {
    for (fields, path) in [
        (json!([{"name": "ok", "type": "int"}, {"name": "bad", "type": "integer"}]), "field `bad`"),
        (json!([{"name": "bad", "type": "int", "default": "seven"}]), "field `bad`"),
        (
            json!([{"name": "a", "type": ["null", {"type": "record", "name": "i", "fields": [{"name": "b", "type": "text"}]}]}]),
            "field `a.b`",
        ),
    ] {
        let fault = refused(record(&fields));
        assert_eq!(fault.code(), Code::SchemaInvalid);
        assert!(fault.message().contains(path), "{fault}");
    }
    assert_eq!(refused(json!({"fields": 7})).code(), Code::SchemaInvalid);
    assert_eq!(refused(json!(null)).code(), Code::SchemaInvalid);
}

#[test]
fn a_schema_that_would_grow_beyond_measure_is_refused() {
    let mut fields = vec![json!({"name": "f0", "type": {"type": "record", "name": "t0", "fields": [{"name": "x", "type": "int"}]}})];
    for depth in 1..40 {
        let doubled = json!([{"name": "a", "type": format!("t{}", depth - 1)}, {"name": "b", "type": format!("t{}", depth - 1)}]);
        fields.push(json!({"name": format!("f{depth}"), "type": {"type": "record", "name": format!("t{depth}"), "fields": doubled}}));
    }
    assert_eq!(refused(record(&json!(fields))).code(), Code::SchemaUnsupported);
}

#[test]
fn a_name_that_is_defined_twice_is_refused() {
    let inner = |kind: &str| json!({"type": "record", "name": "i", "fields": [{"name": "b", "type": kind}]});
    let fault = refused(record(&json!([{"name": "x", "type": inner("int")}, {"name": "y", "type": inner("long")}])));
    assert!(fault.message().contains("field `y` defines n.i again"), "{fault}");
}

#[test]
fn a_named_type_may_be_referred_to() {
    let avro = record(&json!([
        {"name": "home", "type": {"type": "record", "name": "address", "fields": [{"name": "street", "type": "string"}]}},
        {"name": "work", "type": ["null", "n.address"], "default": null},
    ]));
    let schema = millrace_runtime::codec::schema(avro).expect("is carried");
    let fields = schema.arrow().fields();
    assert_eq!(fields[0].data_type(), fields[1].data_type());
    assert!(!fields[0].is_nullable() && fields[1].is_nullable());
}

#[test]
fn the_schema_of_some_columns_defines_what_they_refer_to() {
    let suit = json!({"type": "enum", "name": "Suit", "symbols": ["A"]});
    let card = json!({"type": "record", "name": "other.Card", "fields": [{"name": "suit", "type": "n.Suit"}]});
    let whole = record(&json!([{"name": "x", "type": suit}, {"name": "y", "type": ["null", "Suit"]}, {"name": "z", "type": card}]));
    let whole = millrace_runtime::codec::schema(whole).expect("is carried");
    for columns in [vec![1], vec![2, 1], vec![1, 0], vec![0, 1, 2]] {
        let part = millrace_runtime::codec::columns(&whole, &columns, "Key").expect("is carried");
        assert_eq!(part.name(), "n.rKey");
        let expected: Vec<_> = columns.iter().map(|&column| whole.arrow().field(column).data_type().clone()).collect();
        assert_eq!(part.arrow().fields().iter().map(|field| field.data_type().clone()).collect::<Vec<_>>(), expected);
    }
}

#[test]
fn each_type_has_its_one_arrow_form() {
    use std::sync::Arc;

    use arrow::datatypes::{DataType, Field, TimeUnit, UnionMode};
    let logical = |base: &str, logical: &str| json!({"type": base, "logicalType": logical});
    let zone = Some("+00:00".into());
    for (avro, arrow) in [
        (json!({"type": "enum", "name": "e", "symbols": ["A"]}), DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))),
        (json!({"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}), DataType::Decimal128(9, 2)),
        (logical("int", "date"), DataType::Date32),
        (logical("int", "time-millis"), DataType::Time32(TimeUnit::Millisecond)),
        (logical("long", "time-micros"), DataType::Time64(TimeUnit::Microsecond)),
        (logical("long", "timestamp-micros"), DataType::Timestamp(TimeUnit::Microsecond, zone)),
        (logical("long", "local-timestamp-nanos"), DataType::Timestamp(TimeUnit::Nanosecond, None)),
        (logical("string", "uuid"), DataType::FixedSizeBinary(16)),
        (json!({"type": "fixed", "name": "f", "size": 16, "logicalType": "uuid"}), DataType::FixedSizeBinary(16)),
        (json!({"type": "fixed", "name": "f", "size": 3}), DataType::FixedSizeBinary(3)),
        (json!({"type": "long", "arrowTimeUnit": "nanosecond"}), DataType::Int64),
        (
            json!(["null", "int", "string"]),
            DataType::Union(
                [("null", DataType::Null), ("int", DataType::Int32), ("string", DataType::Utf8)]
                    .into_iter()
                    .zip(0..)
                    .map(|((name, kind), id)| (id, Arc::new(Field::new(name, kind, false))))
                    .collect(),
                UnionMode::Dense,
            ),
        ),
    ] {
        let schema = millrace_runtime::codec::schema(record(&json!([{"name": "x", "type": avro}]))).expect("is carried");
        let field = schema.arrow().field(0);
        assert_eq!(field.data_type(), &arrow, "{avro}");
        let uuid = avro["logicalType"] == "uuid";
        assert_eq!(field.metadata().get("logicalType").is_some_and(|logical| logical == "uuid"), uuid, "{avro}");
    }
}
