//! The text of a type for arrow-avro.
//!
//! Not the schema's own text, since arrow-avro resolves a reference to a named type without looking at the writer's
//! definition of it, fails on escapes in documentation, and gives meaning to attributes of its own
//! (`arrowTimeUnit`). So references are written out and only the attributes that Avro defines are kept. The bytes that
//! the two texts describe are the same.

use serde_json::{Map, Value, json};

use super::types::{Field, Fixed, Names, Type};

/// The text that arrow-avro is given for `kind`.
pub(super) fn text(kind: &Type) -> String {
    schema(kind).to_string()
}

fn schema(kind: &Type) -> Value {
    match kind {
        Type::Null => json!("null"),
        Type::Scalar { base, logical: None } => json!(base.text()),
        Type::Scalar { base, logical: Some(logical) } => json!({ "type": base.text(), "logicalType": logical.text() }),
        Type::Decimal { precision, scale, fixed } => decimal(*precision, *scale, fixed.as_ref()),
        // Without its logical type: arrow-avro would write a fixed UUID as a string.
        Type::Fixed { fixed, .. } => Value::Object(of_size(fixed)),
        Type::Enum { names, symbols, default } => enumeration(names, symbols, default.as_deref()),
        Type::Array(items) => json!({ "type": "array", "items": schema(items) }),
        Type::Map(values) => json!({ "type": "map", "values": schema(values) }),
        Type::Record { names, fields } => {
            let mut record = named("record", names);
            record.insert("fields".to_owned(), fields.iter().map(field).collect());
            Value::Object(record)
        }
        Type::Union(branches) => branches.iter().map(schema).collect(),
        Type::Foreign { written, .. } => schema(written),
    }
}

fn decimal(precision: usize, scale: usize, fixed: Option<&Fixed>) -> Value {
    let mut decimal = fixed.map_or_else(|| Map::from_iter([("type".to_owned(), json!("bytes"))]), of_size);
    decimal.insert("logicalType".to_owned(), json!("decimal"));
    decimal.insert("precision".to_owned(), json!(precision));
    decimal.insert("scale".to_owned(), json!(scale));
    Value::Object(decimal)
}

fn enumeration(names: &Names, symbols: &[String], default: Option<&str>) -> Value {
    let mut enumeration = named("enum", names);
    enumeration.insert("symbols".to_owned(), json!(symbols));
    if let Some(default) = default {
        enumeration.insert("default".to_owned(), json!(default));
    }
    Value::Object(enumeration)
}

fn field(field: &Field) -> Value {
    let mut object = Map::from_iter([("name".to_owned(), json!(field.name)), ("type".to_owned(), schema(&field.kind))]);
    if !field.aliases.is_empty() {
        object.insert("aliases".to_owned(), json!(field.aliases));
    }
    if let Some(default) = &field.default {
        object.insert("default".to_owned(), default.clone());
    }
    Value::Object(object)
}

fn of_size(fixed: &Fixed) -> Map<String, Value> {
    let mut object = named("fixed", &fixed.names);
    object.insert("size".to_owned(), json!(fixed.size));
    object
}

fn named(kind: &str, names: &Names) -> Map<String, Value> {
    let mut object = Map::from_iter([("type".to_owned(), json!(kind)), ("name".to_owned(), json!(names.simple()))]);
    if let Some((namespace, _)) = names.full.rsplit_once('.') {
        object.insert("namespace".to_owned(), json!(namespace));
    }
    object
}
