//! Records of other schemas than the topic's, against apache-avro's resolution of the same.

use super::sample::{field, plain, symbols_of};
use super::*;
use millrace_model::Code;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value as Json, json};

/// How one field differs between the writer's schema and the reader's.
#[derive(Debug, Clone)]
enum Change {
    Same(&'static str),
    Promoted(&'static str, &'static str),
    AddedWithDefault(Json, Json),
    Removed(&'static str),
    MadeNullable(&'static str, &'static str),
    NullTurned(&'static str, &'static str),
    MoreSymbols,
    InList(Box<Change>),
    InMap(Box<Change>),
    InRecord(Vec<Change>),
    InNullable(Box<Change>),
    /// A branch more, and the others turned round.
    MoreBranches(&'static str),
    /// A plain type becomes a branch.
    MadeUnion(&'static str),
    InBranch(Vec<Change>),
}

const PROMOTIONS: [(&str, &str); 8] = [
    ("int", "long"),
    ("int", "float"),
    ("int", "double"),
    ("long", "float"),
    ("long", "double"),
    ("float", "double"),
    ("string", "bytes"),
    ("string", "string"),
];

fn base() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(vec!["boolean", "int", "long", "float", "double", "bytes", "string"])
}

fn promotion() -> impl Strategy<Value = (&'static str, &'static str)> {
    proptest::sample::select(PROMOTIONS.to_vec())
}

fn added() -> impl Strategy<Value = Change> {
    proptest::sample::select(vec![
        (json!(["null", "int"]), json!(null)),
        (json!(["string", "null"]), json!("d")),
        (json!("long"), json!(7)),
        (json!("string"), json!("a \"default\"")),
        (json!("double"), json!(1.5)),
        (json!("boolean"), json!(true)),
        (json!({"type": "array", "items": "int"}), json!([1, 2])),
        (json!({"type": "map", "values": "string"}), json!({"k": "v"})),
        (json!({"type": "long", "logicalType": "timestamp-millis"}), json!(5)),
        (json!({"type": "record", "name": "Added", "fields": [{"name": "x", "type": "int"}]}), json!({"x": 3})),
    ])
    .prop_map(|(kind, default)| Change::AddedWithDefault(kind, default))
}

fn change() -> impl Strategy<Value = Change> {
    let leaf = prop_oneof![
        base().prop_map(Change::Same),
        promotion().prop_map(|(from, to)| Change::Promoted(from, to)),
        promotion().prop_map(|(from, to)| Change::MadeNullable(from, to)),
        promotion().prop_map(|(from, to)| Change::NullTurned(from, to)),
        Just(Change::MoreSymbols),
        base().prop_map(Change::MoreBranches),
        base().prop_map(Change::MadeUnion),
    ];
    let nested = leaf.prop_recursive(2, 12, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|change| Change::InList(Box::new(change))),
            inner.clone().prop_map(|change| Change::InMap(Box::new(change))),
            vec(inner.clone(), 1..4).prop_map(Change::InRecord),
            vec(inner.clone(), 1..4).prop_map(|changes| Change::InNullable(Box::new(Change::InRecord(changes)))),
            vec(inner, 1..4).prop_map(Change::InBranch),
        ]
    });
    prop_oneof![4 => nested, 1 => added(), 1 => base().prop_map(Change::Removed)]
}

impl Change {
    /// The type of one side, if it has the field.
    fn kind(&self, writer: bool, names: &mut u32) -> Option<Json> {
        *names += 1;
        let name = format!("N{names}");
        let of = |from, to| if writer { json!(from) } else { json!(to) };
        Some(match self {
            Self::Same(base) => json!(base),
            Self::Promoted(from, to) => of(from, to),
            Self::AddedWithDefault(kind, _) if !writer && kind["type"] == "record" => {
                json!({"type": "record", "name": name, "fields": kind["fields"]})
            }
            Self::AddedWithDefault(kind, _) if !writer => kind.clone(),
            Self::Removed(base) if writer => json!(base),
            Self::AddedWithDefault(..) | Self::Removed(_) => return None,
            Self::MadeNullable(from, _) if writer => json!(from),
            Self::NullTurned(from, _) if writer => json!([from, "null"]),
            Self::MadeNullable(_, to) | Self::NullTurned(_, to) => json!(["null", to]),
            Self::MoreSymbols if writer => json!({"type": "enum", "name": name, "symbols": ["S1", "S0"]}),
            Self::MoreSymbols => json!({"type": "enum", "name": name, "symbols": symbols_of(3)}),
            Self::InList(change) => json!({"type": "array", "items": change.kind(writer, names)?}),
            Self::InMap(change) => json!({"type": "map", "values": change.kind(writer, names)?}),
            Self::InRecord(changes) => json!({"type": "record", "name": name, "fields": fields(changes, writer, names)}),
            Self::InNullable(change) => json!(["null", change.kind(writer, names)?]),
            Self::MoreBranches(base) if writer => json!([{"type": "array", "items": "int"}, base, "null"]),
            Self::MoreBranches(base) => {
                json!(["null", base, {"type": "enum", "name": name, "symbols": ["A"]}, {"type": "array", "items": "long"}])
            }
            Self::MadeUnion(base) if writer => json!(base),
            Self::MadeUnion(base) => json!(["null", {"type": "map", "values": "int"}, base]),
            Self::InBranch(changes) => {
                let record = json!({"type": "record", "name": name, "fields": fields(changes, writer, names)});
                if writer { json!(["boolean", record, "null"]) } else { json!([record, "null", "long", "boolean"]) }
            }
        })
    }

    /// The writer's values.
    fn value(&self) -> Option<BoxedStrategy<Value>> {
        Some(match self {
            Self::Same(base) | Self::Promoted(base, _) | Self::Removed(base) | Self::MadeNullable(base, _) | Self::MadeUnion(base) => {
                plain(base)
            }
            Self::MoreBranches(base) => {
                let branch = |index, value: BoxedStrategy<Value>| value.prop_map(move |value| Value::Union(index, Box::new(value)));
                let list = vec(any::<i32>().prop_map(Value::Int), 0..3).prop_map(Value::Array).boxed();
                prop_oneof![branch(0, list), branch(1, plain(base)), branch(2, Just(Value::Null).boxed())].boxed()
            }
            Self::InBranch(changes) => {
                let branch = |index, value: BoxedStrategy<Value>| value.prop_map(move |value| Value::Union(index, Box::new(value)));
                let others = prop_oneof![branch(0, plain("boolean")), branch(2, Just(Value::Null).boxed())];
                prop_oneof![others, branch(1, record_value(changes))].boxed()
            }
            Self::AddedWithDefault(..) => return None,
            Self::NullTurned(base, _) => {
                prop_oneof![Just(Value::Union(1, Box::new(Value::Null))), plain(base).prop_map(|value| Value::Union(0, Box::new(value))),]
                    .boxed()
            }
            Self::MoreSymbols => prop_oneof![Just(Value::Enum(0, "S1".into())), Just(Value::Enum(1, "S0".into()))].boxed(),
            Self::InList(change) => vec(change.value()?, 0..3).prop_map(Value::Array).boxed(),
            Self::InMap(change) => {
                vec(("[a-z]{0,4}", change.value()?), 0..3).prop_map(|entries| Value::Map(entries.into_iter().collect())).boxed()
            }
            Self::InRecord(changes) => record_value(changes),
            Self::InNullable(change) => prop_oneof![
                Just(Value::Union(0, Box::new(Value::Null))),
                change.value()?.prop_map(|value| Value::Union(1, Box::new(value))),
            ]
            .boxed(),
        })
    }
}

/// The writer has its fields in the opposite order.
fn fields(changes: &[Change], writer: bool, names: &mut u32) -> Vec<Json> {
    let mut fields: Vec<Json> = Vec::new();
    for (index, change) in changes.iter().enumerate() {
        let Some(kind) = change.kind(writer, names) else { continue };
        let mut object = json!({"name": field(index), "type": kind});
        if let Change::AddedWithDefault(_, default) = change {
            object["default"] = default.clone();
        }
        fields.push(object);
    }
    if writer {
        fields.reverse();
    }
    fields
}

fn record_value(changes: &[Change]) -> BoxedStrategy<Value> {
    let values: Vec<_> = changes
        .iter()
        .enumerate()
        .filter_map(|(index, change)| Some(change.value()?.prop_map(move |value| (field(index), value))))
        .collect();
    values
        .prop_map(|mut fields| {
            fields.reverse();
            Value::Record(fields)
        })
        .boxed()
}

/// Both schemas begin with a field that makes each record longer than nothing.
fn schemas(changes: &[Change]) -> (Json, Json) {
    let side = |writer| {
        let mut fields = fields(changes, writer, &mut 0);
        fields.insert(0, json!({"name": "first", "type": "int"}));
        json!({"type": "record", "name": "Evolving", "fields": fields})
    };
    (side(true), side(false))
}

fn rows(changes: &[Change]) -> BoxedStrategy<Vec<Value>> {
    let with_first = |(first, value)| match value {
        Value::Record(mut fields) => {
            fields.insert(0, ("first".to_owned(), Value::Int(first)));
            Value::Record(fields)
        }
        other => other,
    };
    vec((any::<i32>(), record_value(changes)).prop_map(with_first), 1..10).boxed()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn records_of_an_earlier_schema_are_read_as_avro_says(
        (changes, rows) in vec(change(), 1..7).prop_flat_map(|changes| { let rows = rows(&changes); (Just(changes), rows) })
    ) {
        let (writer, reader) = schemas(&changes);
        let (written, read_as) = (Avro::parse(&writer).expect("is a schema"), Avro::parse(&reader).expect("is a schema"));
        let schema = millrace_runtime::codec::schema(reader).expect("is carried");
        let values: Vec<Vec<u8>> = rows.into_iter().map(|row| framed(7, &written, row)).collect();
        let expected: Vec<Value> = values.iter().map(|value| read(&written, Some(&read_as), value).expect("resolves")).collect();

        let mut decoder = Decoder::new(&schema).expect("has a decoder");
        decoder.learn(7, Some(&writer.to_string()));
        let out = decoder.decode(&records(values.iter().map(Some))).expect("decodes");
        prop_assert_eq!(&out.rejected, &[]);
        prop_assert_eq!(out.batch.columns().schema(), schema.arrow().clone());

        let found: Vec<Value> = encode(&schema, out.batch.columns()).iter().map(|value| read(&read_as, None, value).expect("is readable")).collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn records_of_several_schemas_keep_their_order(ids in vec(1_u32..5, 1..60)) {
        let schema = millrace_runtime::codec::schema(version(2)).expect("is carried");
        let mut decoder = Decoder::new(&schema).expect("has a decoder");
        let values: Vec<Vec<u8>> = ids.iter().zip(0..).map(|(&id, n)| of_version(id, n)).collect();
        let records = records(values.iter().map(Some));
        for id in decoder.unknown_ids(&records) {
            decoder.learn(id, Some(&version(id).to_string()));
        }
        let out = decoder.decode(&records).expect("decodes");
        prop_assert_eq!(&out.rejected, &[]);
        prop_assert_eq!(out.batch.columns().schema(), schema.arrow().clone());
        let avro = Avro::parse(&version(2)).expect("is a schema");
        for (row, value) in encode(&schema, out.batch.columns()).iter().enumerate() {
            let Value::Record(fields) = read(&avro, None, value).expect("is readable") else { panic!("is a record") };
            prop_assert_eq!(&fields[0].1, &Value::Long(row as i64));
            prop_assert_eq!(&fields[1].1, &Value::Enum(row as u32 % 2, if row % 2 == 0 { "EVEN".into() } else { "ODD".into() }));
        }
        prop_assert_eq!(out.batch.origin().rows().len(), ids.len());
    }
}

/// Versions 1 and 2 have the number as int and long, 3 and 4 have the fields turned and a field more.
fn version(id: u32) -> Json {
    let number = json!({"name": "n", "type": if id % 2 == 1 { "int" } else { "long" }});
    let symbols = if id == 4 { json!(["ODD", "EVEN"]) } else { json!(["EVEN", "ODD"]) };
    let parity = json!({"name": "parity", "type": {"type": "enum", "name": "Parity", "symbols": symbols}});
    let fields = if id < 3 { json!([number, parity]) } else { json!([parity, {"name": "more", "type": ["null", "string"]}, number]) };
    json!({"type": "record", "name": "Numbered", "fields": fields})
}

fn of_version(id: u32, n: i32) -> Vec<u8> {
    let number = if id % 2 == 1 { Value::Int(n) } else { Value::Long(n.into()) };
    let parity = if n % 2 == 0 { "EVEN" } else { "ODD" };
    let index = if id == 4 { 1 - n as u32 % 2 } else { n as u32 % 2 };
    let parity = Value::Enum(index, parity.into());
    let more = Value::Union(1, Box::new(Value::String("æ".repeat(n as usize % 9))));
    let fields = if id < 3 { vec![("n", number), ("parity", parity)] } else { vec![("parity", parity), ("more", more), ("n", number)] };
    let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    framed(id, &Avro::parse(&version(id)).expect("is a schema"), Value::Record(fields))
}

fn learnt(reader: &Json, writer: &Json, values: &[&[u8]]) -> Decoded {
    let schema = millrace_runtime::codec::schema(reader.clone()).expect("is carried");
    let mut decoder = Decoder::new(&schema).expect("has a decoder");
    decoder.learn(1, Some(&writer.to_string()));
    let values = values.iter().map(|body| Some([&[0, 0, 0, 0, 1][..], body].concat()));
    decoder.decode(&records(values)).expect("decodes")
}

fn of(kind: &Json) -> Json {
    json!({"type": "record", "name": "r", "fields": [{"name": "x", "type": kind}]})
}

#[test]
fn schemas_that_can_not_be_read_as_the_topics_are_refused_with_the_field() {
    let logical = |base: &str, logical: &str| json!({"type": base, "logicalType": logical});
    let decimal = |precision: u32, scale: u32| json!({"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale});
    for (writer, reader) in [
        (json!("long"), json!("int")),
        (json!("string"), json!("int")),
        (logical("long", "timestamp-millis"), logical("long", "timestamp-micros")),
        (decimal(9, 2), decimal(9, 3)),
        (decimal(9, 2), decimal(8, 2)),
        (json!(["null", "string", "int"]), json!("string")),
        (json!({"type": "fixed", "name": "f", "size": 2}), json!({"type": "fixed", "name": "f", "size": 3})),
    ] {
        let decoded = learnt(&of(&reader), &of(&writer), &[&[2, 2], &[2]]);
        assert_eq!(decoded.rejected.len(), 2, "{writer} as {reader}");
        for rejection in decoded.rejected {
            assert_eq!(rejection.code, Code::SchemaIncompatible);
            assert!(rejection.reason.contains("field `x`"), "{rejection:?}");
        }
    }
}

#[test]
fn a_branch_that_the_readers_union_lacks_is_rejected_with_its_values_only() {
    let decoded =
        learnt(&of(&json!(["null", "string", "long"])), &of(&json!(["null", "boolean", "int", "string"])), &[&[4, 14], &[2, 1], &[0]]);
    assert_eq!(decoded.batch.origin().rows(), [0, 2]);
    assert_eq!((decoded.rejected[0].record, decoded.rejected[0].code), (1, Code::SchemaIncompatible));
    let none = learnt(&of(&json!(["null", "string", "int"])), &of(&json!("boolean")), &[&[1]]);
    assert!(none.rejected[0].reason.contains("field `x` is written as boolean"), "{:?}", none.rejected);
}

#[test]
fn a_value_is_promoted_to_the_branch_that_takes_it() {
    let reader = of(&json!(["string", "double", {"type": "array", "items": "string"}]));
    let schema = millrace_runtime::codec::schema(reader.clone()).expect("is carried");
    let decoded = learnt(&reader, &of(&json!(["int", "bytes"])), &[&[0, 14], &[2, 2, b'a']]);
    assert_eq!(decoded.rejected, []);
    let seven = [&[2][..], &7_f64.to_le_bytes()].concat();
    let encoded = encode(&schema, decoded.batch.columns());
    assert_eq!((&encoded[0][5..], &encoded[1][5..]), (&seven[..], &[0, 2, b'a'][..]));
}

#[test]
fn a_decoder_of_unions_decodes_batch_after_batch() {
    let schema = millrace_runtime::codec::schema(of(&json!(["null", "string", "int"]))).expect("is carried");
    let mut decoder = Decoder::new(&schema).expect("has a decoder");
    decoder.learn(1, Some(schema.text()));
    for round in 0..3_u8 {
        let value = [0, 0, 0, 0, 1, 2, 2, b'a' + round];
        let decoded = decoder.decode(&records([Some(value)])).expect("decodes");
        assert_eq!((decoded.batch.len(), decoded.rejected), (1, Vec::new()));
        assert_eq!(encode(&schema, decoded.batch.columns()), [value]);
    }
}

#[test]
fn a_symbol_that_the_reader_lacks_is_read_as_its_enums_default() {
    let symbols = |symbols: &Json| json!({"type": "enum", "name": "e", "symbols": symbols, "default": "OTHER"});
    let reader = of(&symbols(&json!(["OTHER", "A"])));
    let schema = millrace_runtime::codec::schema(reader.clone()).expect("is carried");
    let decoded = learnt(&reader, &of(&symbols(&json!(["A", "B", "OTHER"]))), &[&[0], &[2], &[4]]);
    assert_eq!(decoded.rejected, []);
    let indices: Vec<u8> = encode(&schema, decoded.batch.columns()).iter().map(|value| value[5]).collect();
    assert_eq!(indices, [2, 0, 0]);
}

#[test]
fn a_new_field_without_a_default_can_not_be_read() {
    let reader = json!({"type": "record", "name": "r", "fields": [{"name": "x", "type": "int"}, {"name": "y", "type": ["null", "int"]}]});
    let decoded = learnt(&reader, &of(&json!("int")), &[&[2]]);
    assert!(decoded.rejected[0].reason.contains("field `y`"), "{:?}", decoded.rejected);
}

#[test]
fn a_value_without_a_counterpart_is_rejected_alone() {
    let decoded = learnt(&of(&json!("int")), &of(&json!(["null", "int"])), &[&[2, 2], &[0], &[2, 4]]);
    assert_eq!(decoded.batch.origin().rows(), [0, 2]);
    assert_eq!((decoded.rejected[0].record, decoded.rejected[0].code), (1, Code::SchemaIncompatible));

    let symbols = |symbols: &Json| json!({"type": "enum", "name": "e", "symbols": symbols});
    let decoded = learnt(&of(&symbols(&json!(["A"]))), &of(&symbols(&json!(["A", "B"]))), &[&[0], &[2], &[0]]);
    assert_eq!(decoded.batch.origin().rows(), [0, 2]);
    assert_eq!((decoded.rejected[0].record, decoded.rejected[0].code), (1, Code::SchemaIncompatible));
}

#[test]
fn a_renamed_field_is_read_by_its_alias_and_a_record_by_its_name_without_namespace() {
    let y = json!({"name": "y", "type": "long", "aliases": ["x"]});
    let reader = json!({"type": "record", "name": "new.r", "fields": [y, {"name": "z", "type": "int", "default": 9}]});
    let writer = json!({"type": "record", "name": "old.r", "fields": [{"name": "x", "type": "int"}]});
    let schema = millrace_runtime::codec::schema(reader.clone()).expect("is carried");
    let decoded = learnt(&reader, &writer, &[&[14]]);
    assert_eq!(decoded.rejected, []);
    assert_eq!(encode(&schema, decoded.batch.columns())[0][5..], [14, 18]);
}

#[test]
fn a_field_that_nobody_reads_may_hold_anything() {
    let writer = json!({"type": "record", "name": "r", "fields": [
        {"name": "s", "type": "string"}, {"name": "x", "type": "int"},
        {"name": "u", "type": ["null", "int", "string", {"type": "fixed", "name": "d", "size": 12, "logicalType": "duration"}]},
        {"name": "m", "type": {"type": "map", "values": "string"}}]});
    let decoded = learnt(&of(&json!("int")), &writer, &[&[2, 0xff, 2, 4, 2, 0xfe, 2, 2, 0xff, 2, 0xff, 0], &[0, 4, 0, 0]]);
    assert_eq!(decoded.rejected, []);
    assert_eq!(decoded.batch.len(), 2);
}
