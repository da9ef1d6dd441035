//! Which types a schema of Millrace's own may have, and where one that it may not have stands.

use serde_json::{Value, json};

use super::types::{Field, Path, Type, Unsupported};

/// Decimals are 128-bit numbers in Arrow.
const MOST_DIGITS: usize = 38;
/// A null of a fixed type takes one byte on the wire and its full size in memory. Hashes, keys and addresses are far shorter.
const MOST_FIXED: usize = 4096;

/// Arrow numbers the branches of a union by a signed byte.
const MOST_BRANCHES: usize = 127;

/// Says of a reader's type what the codec can't carry in it.
pub(super) fn supported(kind: &Type) -> Result<(), Unsupported> {
    match kind {
        Type::Record { .. } => walk(kind, &mut Path::default()),
        other => Err(Path::default().unsupported(format!("is not a record but {}", other.title()))),
    }
}

fn walk(kind: &Type, path: &mut Path) -> Result<(), Unsupported> {
    if let Some((value, _)) = kind.nullable() {
        return walk(value, path);
    }
    match kind {
        Type::Null => Err(path.unsupported("is of type null; make it a union of null and another type")),
        Type::Union(branches) if branches.len() > MOST_BRANCHES => {
            Err(path.unsupported(format!("is a union of {} types; Millrace carries {MOST_BRANCHES}", branches.len())))
        }
        Type::Union(branches) => branches.iter().filter(|branch| **branch != Type::Null).try_for_each(|branch| walk(branch, path)),
        Type::Foreign { what, .. } => Err(path.unsupported(format!("is {what}, which Millrace does not carry"))),
        Type::Decimal { precision, .. } if *precision > MOST_DIGITS => {
            Err(path.unsupported(format!("is a decimal of {precision} digits; Millrace carries {MOST_DIGITS}")))
        }
        Type::Fixed { fixed, .. } if fixed.size == 0 || fixed.size > MOST_FIXED => {
            Err(path.unsupported(format!("is a fixed of {} bytes; use bytes", fixed.size)))
        }
        Type::Array(items) => path.at("[]", |path| walk(items, path)),
        Type::Map(values) => path.at("{}", |path| walk(values, path)),
        Type::Record { fields, .. } if fields.is_empty() => Err(path.unsupported("has no fields")),
        Type::Record { fields, .. } => fields.iter().try_for_each(|field: &Field| path.field(&field.name, |path| walk(&field.kind, path))),
        _ => Ok(()),
    }
}

/// The first union of several types in a type, with its place.
pub(super) fn union_in(kind: &Type, path: &mut Path) -> Option<String> {
    if kind.branches().is_some() {
        return Some(format!("{} is a {}", path.text(), kind.title()));
    }
    match kind.value() {
        Type::Array(items) => path.at("[]", |path| union_in(items, path)),
        Type::Map(values) => path.at("{}", |path| union_in(values, path)),
        Type::Record { fields, .. } => fields.iter().find_map(|field| path.field(&field.name, |path| union_in(&field.kind, path))),
        _ => None,
    }
}

/// The path of the first field without which an invalid schema would be valid, where there is one: apache-avro says
/// what is wrong, but not where.
pub(super) fn culprit(avro: &Value) -> Option<String> {
    let fields = avro.get("fields")?.as_array()?;
    let until = |count: usize| {
        let mut shorter = avro.clone();
        shorter["fields"] = json!(fields[..count]);
        apache_avro::Schema::parse(&shorter)
    };
    // A schema may have thousands of fields, and each look parses all of them: as few looks as can be.
    let counts: Vec<usize> = (1..=fields.len()).collect();
    let index = counts.partition_point(|&count| until(count).is_ok());
    let field = fields.get(index)?;
    until(index).ok()?;
    let name = field.get("name").and_then(Value::as_str).map_or_else(|| format!("[{index}]"), str::to_owned);
    let inner = nested(&field["type"]).and_then(culprit);
    Some(inner.map_or_else(|| name.clone(), |inner| format!("{name}.{inner}")))
}

/// The record inside a field's type, through arrays, maps and unions.
fn nested(kind: &Value) -> Option<&Value> {
    match kind {
        Value::Array(branches) => branches.iter().find_map(nested),
        Value::Object(object) if object.contains_key("fields") => Some(kind),
        Value::Object(object) => ["items", "values", "type"].iter().find_map(|key| object.get(*key).and_then(nested)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn record(count: usize, invalid: usize) -> Value {
        let kind = |number| if number == invalid { json!("datetime") } else { json!("long") };
        let fields: Vec<Value> = (0..count).map(|number| json!({ "name": format!("f{number}"), "type": kind(number) })).collect();
        json!({ "type": "record", "name": "Many", "fields": fields })
    }

    #[test]
    fn the_first_invalid_field_is_named_with_its_path() {
        for invalid in 0..7 {
            assert_eq!(culprit(&record(7, invalid)), Some(format!("f{invalid}")));
        }
        let mut outer = record(3, 2);
        outer["fields"][1]["type"] = json!({ "type": "array", "items": record(2, 1) });
        assert_eq!(culprit(&outer).as_deref(), Some("f1.f1"));
        assert_eq!(culprit(&record(7, 7)), None, "it is valid");
    }

    /// A fuzzer found that there was a look for each field.
    #[test]
    fn the_invalid_one_of_ten_thousand_fields_is_found_by_a_few_looks() {
        let schema = record(10_000, 9_999);
        let started = Instant::now();
        assert!(apache_avro::Schema::parse(&schema).is_err());
        let look = started.elapsed();
        let started = Instant::now();
        assert_eq!(culprit(&schema).as_deref(), Some("f9999"));
        assert!(started.elapsed() < 500 * look, "some 15 looks, not 10,000");
    }
}
