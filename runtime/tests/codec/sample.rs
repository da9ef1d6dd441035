//! Random schemas of every type that the codec carries, and random values of them.

use std::collections::HashMap;

use apache_avro::Decimal;
use apache_avro::types::Value;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value as Json, json};

/// A type that has no name yet.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Plain(&'static str),
    Logical(&'static str, &'static str),
    Decimal {
        precision: u32,
        size: Option<usize>,
    },
    Fixed(usize),
    FixedUuid,
    Enum(u32),
    Array(Box<Kind>),
    Map(Box<Kind>),
    Record(Vec<Kind>),
    Nullable {
        value: Box<Kind>,
        null_first: bool,
    },
    /// Of branches that Avro takes beside each other.
    Union(Vec<Branch>),
}

/// A branch of a union.
#[derive(Debug, Clone)]
pub(crate) enum Branch {
    Null,
    Of(Kind),
}

const LOGICAL: [(&str, &str); 10] = [
    ("int", "date"),
    ("int", "time-millis"),
    ("long", "time-micros"),
    ("long", "timestamp-millis"),
    ("long", "timestamp-micros"),
    ("long", "timestamp-nanos"),
    ("long", "local-timestamp-millis"),
    ("long", "local-timestamp-micros"),
    ("long", "local-timestamp-nanos"),
    ("string", "uuid"),
];

fn leaf() -> impl Strategy<Value = Kind> {
    prop_oneof![
        proptest::sample::select(vec!["boolean", "int", "long", "float", "double", "bytes", "string"]).prop_map(Kind::Plain),
        proptest::sample::select(LOGICAL.to_vec()).prop_map(|(base, logical)| Kind::Logical(base, logical)),
        (1_u32..=38).prop_map(|precision| Kind::Decimal { precision, size: None }),
        (1_u32..=38).prop_map(|precision| Kind::Decimal { precision, size: Some(20) }),
        (1_usize..=20).prop_map(Kind::Fixed),
        Just(Kind::FixedUuid),
        (1_u32..=5).prop_map(Kind::Enum),
    ]
}

fn nullable(value: Kind, null_first: bool) -> Kind {
    match value {
        Kind::Nullable { .. } | Kind::Union(_) => value,
        value => Kind::Nullable { value: Box::new(value), null_first },
    }
}

/// A union of those of the kinds that can be in one.
fn union(kinds: Vec<Kind>, null_at: Option<usize>) -> Kind {
    let mut taken = Vec::new();
    let mut branches: Vec<Branch> = Vec::new();
    for kind in kinds {
        match kind.place_in_a_union(branches.len()) {
            Some(place) if !taken.contains(&place) => {
                taken.push(place);
                branches.push(Branch::Of(kind));
            }
            _ => {}
        }
    }
    if let Some(at) = null_at {
        branches.insert(at.min(branches.len()), Branch::Null);
    }
    if branches.len() < 2 { Kind::Plain("int") } else { Kind::Union(branches) }
}

fn kind() -> impl Strategy<Value = Kind> {
    leaf().prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            inner.clone().prop_map(|items| Kind::Array(Box::new(items))),
            inner.clone().prop_map(|values| Kind::Map(Box::new(values))),
            vec(inner.clone(), 1..4).prop_map(Kind::Record),
            (vec(inner.clone(), 2..6), proptest::option::of(0_usize..5)).prop_map(|(kinds, null_at)| union(kinds, null_at)),
            (inner, any::<bool>()).prop_map(|(value, null_first)| nullable(value, null_first)),
        ]
    })
}

/// A record of some fields.
pub(crate) fn record() -> impl Strategy<Value = Kind> {
    vec(kind(), 1..8).prop_map(Kind::Record)
}

impl Kind {
    /// The Avro schema, in which named types are numbered.
    pub(crate) fn json(&self) -> Json {
        self.named(&mut 0)
    }

    /// What only one branch of a union may be; none for a union, which may not be in another.
    fn place_in_a_union(&self, number: usize) -> Option<String> {
        Some(match self {
            Self::Plain(base) | Self::Logical(base, _) => (*base).to_owned(),
            Self::Decimal { size: None, .. } => "bytes".to_owned(),
            Self::Array(_) => "array".to_owned(),
            Self::Map(_) => "map".to_owned(),
            Self::Nullable { .. } | Self::Union(_) => return None,
            Self::Decimal { .. } | Self::Fixed(_) | Self::FixedUuid | Self::Enum(_) | Self::Record(_) => format!("named {number}"),
        })
    }

    fn named(&self, names: &mut u32) -> Json {
        *names += 1;
        let name = format!("N{names}");
        match self {
            Self::Plain(base) => json!(base),
            Self::Logical(base, logical) => json!({"type": base, "logicalType": logical}),
            Self::Decimal { precision, size: None } => {
                json!({"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": precision / 2})
            }
            Self::Decimal { precision, size: Some(size) } => {
                json!({"type": "fixed", "name": name, "size": size, "logicalType": "decimal", "precision": precision, "scale": precision / 2})
            }
            Self::Fixed(size) => json!({"type": "fixed", "name": name, "size": size}),
            Self::FixedUuid => json!({"type": "fixed", "name": name, "size": 16, "logicalType": "uuid"}),
            Self::Enum(symbols) => json!({"type": "enum", "name": name, "symbols": symbols_of(*symbols)}),
            Self::Array(items) => json!({"type": "array", "items": items.named(names)}),
            Self::Map(values) => json!({"type": "map", "values": values.named(names)}),
            Self::Record(fields) => {
                let fields: Vec<Json> =
                    fields.iter().enumerate().map(|(index, kind)| json!({"name": field(index), "type": kind.named(names)})).collect();
                json!({"type": "record", "name": name, "namespace": "sample", "doc": "Of \"many\" types.\n", "fields": fields})
            }
            Self::Union(branches) => branches.iter().map(|branch| branch.named(names)).collect(),
            Self::Nullable { value, null_first: true } => json!(["null", value.named(names)]),
            Self::Nullable { value, null_first: false } => json!([value.named(names), "null"]),
        }
    }

    /// Random values of this type.
    pub(crate) fn value(&self) -> BoxedStrategy<Value> {
        match self {
            Self::Plain(base) => plain(base),
            Self::Logical(_, logical) => logical_value(logical),
            Self::Decimal { precision, size } => decimal(*precision, *size),
            Self::Fixed(size) => {
                let size = *size;
                vec(any::<u8>(), size).prop_map(move |bytes| Value::Fixed(size, bytes)).boxed()
            }
            Self::FixedUuid => any::<u128>().prop_map(|bits| Value::Uuid(apache_avro::Uuid::from_u128(bits))).boxed(),
            Self::Enum(symbols) => (0..*symbols).prop_map(|index| Value::Enum(index, symbol(index))).boxed(),
            Self::Array(items) => vec(items.value(), 0..4).prop_map(Value::Array).boxed(),
            Self::Map(values) => vec(("\\PC{0,6}", values.value()), 0..4)
                .prop_map(|entries| Value::Map(entries.into_iter().collect::<HashMap<_, _>>()))
                .boxed(),
            Self::Record(fields) => fields.iter().map(Self::value).collect::<Vec<_>>().prop_map(record_value).boxed(),
            Self::Nullable { value, null_first } => nullable_value(value.value(), *null_first),
            Self::Union(branches) => union_value(branches),
        }
    }
}

impl Branch {
    fn named(&self, names: &mut u32) -> Json {
        match self {
            Self::Null => json!("null"),
            Self::Of(kind) => kind.named(names),
        }
    }

    fn value(&self) -> BoxedStrategy<Value> {
        match self {
            Self::Null => Just(Value::Null).boxed(),
            Self::Of(kind) => kind.value(),
        }
    }
}

fn union_value(branches: &[Branch]) -> BoxedStrategy<Value> {
    let values: Vec<_> = branches
        .iter()
        .zip(0..)
        .map(|(branch, index)| branch.value().prop_map(move |value| Value::Union(index, Box::new(value))).boxed())
        .collect();
    proptest::strategy::Union::new(values).boxed()
}

pub(crate) fn field(index: usize) -> String {
    format!("f{index}")
}

pub(crate) fn symbol(index: u32) -> String {
    format!("S{index}")
}

pub(crate) fn symbols_of(count: u32) -> Vec<String> {
    (0..count).map(symbol).collect()
}

fn record_value(values: Vec<Value>) -> Value {
    Value::Record(values.into_iter().enumerate().map(|(index, value)| (field(index), value)).collect())
}

fn nullable_value(value: BoxedStrategy<Value>, null_first: bool) -> BoxedStrategy<Value> {
    let (null, other) = if null_first { (0, 1) } else { (1, 0) };
    prop_oneof![
        1 => Just(Value::Union(null, Box::new(Value::Null))),
        2 => value.prop_map(move |value| Value::Union(other, Box::new(value))),
    ]
    .boxed()
}

pub(crate) fn plain(base: &str) -> BoxedStrategy<Value> {
    match base {
        "boolean" => any::<bool>().prop_map(Value::Boolean).boxed(),
        "int" => any::<i32>().prop_map(Value::Int).boxed(),
        "long" => any::<i64>().prop_map(Value::Long).boxed(),
        "float" => any::<f32>().prop_filter("NaN is not equal to itself", |value| !value.is_nan()).prop_map(Value::Float).boxed(),
        "double" => any::<f64>().prop_filter("NaN is not equal to itself", |value| !value.is_nan()).prop_map(Value::Double).boxed(),
        "bytes" => vec(any::<u8>(), 0..40).prop_map(Value::Bytes).boxed(),
        _ => "\\PC{0,40}".prop_map(Value::String).boxed(),
    }
}

fn logical_value(logical: &str) -> BoxedStrategy<Value> {
    match logical {
        "date" => any::<i32>().prop_map(Value::Date).boxed(),
        "time-millis" => (0..86_400_000).prop_map(Value::TimeMillis).boxed(),
        "time-micros" => (0..86_400_000_000_i64).prop_map(Value::TimeMicros).boxed(),
        "timestamp-millis" => any::<i64>().prop_map(Value::TimestampMillis).boxed(),
        "timestamp-micros" => any::<i64>().prop_map(Value::TimestampMicros).boxed(),
        "timestamp-nanos" => any::<i64>().prop_map(Value::TimestampNanos).boxed(),
        "local-timestamp-millis" => any::<i64>().prop_map(Value::LocalTimestampMillis).boxed(),
        "local-timestamp-micros" => any::<i64>().prop_map(Value::LocalTimestampMicros).boxed(),
        "local-timestamp-nanos" => any::<i64>().prop_map(Value::LocalTimestampNanos).boxed(),
        _ => any::<u128>().prop_map(|bits| Value::Uuid(apache_avro::Uuid::from_u128(bits))).boxed(),
    }
}

fn decimal(precision: u32, size: Option<usize>) -> BoxedStrategy<Value> {
    let most = 10_i128.pow(precision) - 1;
    (-most..=most).prop_map(move |unscaled| Value::Decimal(Decimal::from(twos_complement(unscaled, size)))).boxed()
}

/// Of the size asked for, or as short as the number allows.
fn twos_complement(unscaled: i128, size: Option<usize>) -> Vec<u8> {
    let sign = if unscaled < 0 { 0xff } else { 0 };
    let bytes = unscaled.to_be_bytes();
    let Some(size) = size else {
        let needless = |pair: &[u8]| pair[0] == sign && (pair[1] & 0x80) == (sign & 0x80);
        let skipped = bytes.windows(2).take_while(|pair| needless(pair)).count();
        return bytes[skipped..].to_vec();
    };
    let mut sized = vec![sign; size - bytes.len()];
    sized.extend(bytes);
    sized
}
