//! In what two schemas differ, for people.

use apache_avro::Schema as Avro;

use super::types::{Field, Path, Type};

/// How records of `after` differ from those of `before` (the texts of two schemas), a sentence for each field. Nothing where one of them
/// is no schema.
pub fn differences(before: &str, after: &str) -> Vec<String> {
    let kind = |text: &str| Avro::parse_str(text).ok().and_then(|avro| Type::of(&avro).ok());
    let mut found = Vec::new();
    if let (Some(before), Some(after)) = (kind(before), kind(after)) {
        compare(&before, &after, &mut Path::default(), &mut found);
    }
    found
}

fn compare(before: &Type, after: &Type, path: &mut Path, found: &mut Vec<String>) {
    match (before.nullable().is_some(), after.nullable().is_some()) {
        (false, true) => found.push(format!("{} may be null now", path.text())),
        (true, false) => found.push(format!("{} is never null any more", path.text())),
        _ => {}
    }
    match (before.value(), after.value()) {
        (Type::Record { fields: before, .. }, Type::Record { fields: after, .. }) => fields(before, after, path, found),
        (Type::Array(before), Type::Array(after)) => path.at("[]", |path| compare(before, after, path, found)),
        (Type::Map(before), Type::Map(after)) => path.at("{}", |path| compare(before, after, path, found)),
        (Type::Enum { symbols: before, .. }, Type::Enum { symbols: after, .. }) => symbols(before, after, path, found),
        (before, after) if before.title() != after.title() => {
            found.push(format!("{} was {} and is {}", path.text(), before.title(), after.title()));
        }
        _ => {}
    }
}

fn fields(before: &[Field], after: &[Field], path: &mut Path, found: &mut Vec<String>) {
    let named =
        |name: &str, fields: &'_ [Field]| fields.iter().any(|field| field.name == name || field.aliases.iter().any(|alias| alias == name));
    for field in before {
        match after.iter().find(|other| other.name == field.name || other.aliases.contains(&field.name)) {
            Some(other) => path.field(&field.name, |path| compare(&field.kind, &other.kind, path, found)),
            None => found.push(path.field(&field.name, |path| format!("{} is gone; it was {}", path.text(), field.kind.title()))),
        }
    }
    let added = after.iter().filter(|field| !named(&field.name, before) && !field.aliases.iter().any(|alias| named(alias, before)));
    for field in added {
        let default = if field.default.is_some() { "a default" } else { "no default" };
        found.push(path.field(&field.name, |path| format!("{} is new, {} with {default}", path.text(), field.kind.title())));
    }
}

fn symbols(before: &[String], after: &[String], path: &Path, found: &mut Vec<String>) {
    let lacking =
        |symbols: &[String], other: &[String]| symbols.iter().filter(|symbol| !other.contains(symbol)).cloned().collect::<Vec<_>>();
    let (added, gone) = (lacking(after, before), lacking(before, after));
    if !added.is_empty() {
        found.push(format!("{} has the new symbols {}", path.text(), added.join(", ")));
    }
    if !gone.is_empty() {
        found.push(format!("{} has lost the symbols {}", path.text(), gone.join(", ")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_field_that_changed_is_told_by_its_path() {
        let suit = |symbols: &[&str]| json!({"type": "enum", "name": "Suit", "symbols": symbols});
        let item =
            |kind: &str| json!({"type": "array", "items": {"type": "record", "name": "Item", "fields": [{"name": "price", "type": kind}]}});
        let before = json!({"type": "record", "name": "r", "fields": [
            {"name": "same", "type": "int"}, {"name": "old", "type": "long"}, {"name": "note", "type": "string"},
            {"name": "suit", "type": suit(&["A", "B"])}, {"name": "items", "type": item("int")}, {"name": "kept", "type": "int"},
        ]});
        let after = json!({"type": "record", "name": "r", "fields": [
            {"name": "same", "type": "int"}, {"name": "note", "type": ["null", "string"]}, {"name": "suit", "type": suit(&["A", "C"])},
            {"name": "items", "type": item("string")}, {"name": "more", "type": "double", "default": 0}, {"name": "renamed", "aliases": ["kept"], "type": "int"},
        ]});
        assert_eq!(
            differences(&before.to_string(), &after.to_string()),
            [
                "field `old` is gone; it was long",
                "field `note` may be null now",
                "field `suit` has the new symbols C",
                "field `suit` has lost the symbols B",
                "field `items[].price` was int and is string",
                "field `more` is new, double with a default",
            ]
        );
    }

    #[test]
    fn equal_schemas_and_what_is_no_schema_have_no_differences() {
        let one = json!({"type": "record", "name": "r", "doc": "One.", "fields": [{"name": "x", "type": "int"}]});
        let other = json!({"type": "record", "name": "r", "fields": [{"name": "x", "type": "int", "doc": "A number."}]});
        assert_eq!(differences(&one.to_string(), &other.to_string()), [""; 0]);
        assert_eq!(differences(&one.to_string(), "{}"), [""; 0]);
    }
}
