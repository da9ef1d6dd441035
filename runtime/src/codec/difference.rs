//! In what two schemas differ: the one comparison, by which pipelines tell what changed and people are shown it.
//!
//! Types are compared as the codec has them: named types are put in place of their references, documentation is no difference, and a
//! field is the same one when its name is, or when the later schema has the earlier name among its aliases.

use std::fmt;

use apache_avro::Schema as Avro;
use millrace_model::{Code, Fault, Result};
use serde_json::{Value, json};

use super::types::{Field, Names, Path, Type, Unsupported};

/// One thing in which a schema differs from an earlier one.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// The field's path in the later schema, or in the earlier one where the later has it no more, such as `address.street`; `[]` stands for the items of an array, `{}`
    /// for the values of a map. Empty for the whole.
    pub path: String,
    /// What became of it.
    pub change: Change,
}

/// What became of a field.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// The later schema has it, the earlier one has not.
    Added {
        /// Its type.
        avro: String,
        /// Its default, if it has one.
        default: Option<Value>,
    },
    /// The earlier schema had it.
    Removed {
        /// Its type.
        avro: String,
    },
    /// It had another name, which is an alias now; or its type had.
    Renamed {
        /// The earlier name.
        from: String,
        /// The later name.
        to: String,
    },
    /// Both have it, of different types.
    Type {
        /// The earlier type.
        from: String,
        /// The later type.
        to: String,
    },
    /// Both have it, with another property such as `default` or `aliases`.
    Property {
        /// The property.
        name: &'static str,
        /// Its earlier value.
        from: Option<Value>,
        /// Its later value.
        to: Option<Value>,
    },
}

/// How records of `after` differ from those of `before` (the texts of two schemas), in the order of the schemas. None exactly where
/// [`are_same`](super::are_same) says that they are the same.
///
/// # Errors
/// [`Code::SchemaInvalid`] for what is no Avro schema, [`Code::SchemaUnsupported`] for one that has no end, as a recursive one.
pub fn differences(before: &str, after: &str) -> Result<Vec<Difference>> {
    let mut found = Vec::new();
    compare(&kind(before)?, &kind(after)?, &mut Path::default(), &mut found);
    Ok(found)
}

fn kind(text: &str) -> Result<Type> {
    let invalid = |error| Fault::operator(Code::SchemaInvalid, "what is compared is not a valid Avro schema").because(error);
    let unsupported = |Unsupported { path, what }| Fault::operator(Code::SchemaUnsupported, format!("{path} {what}"));
    Type::of(&Avro::parse_str(text).map_err(invalid)?).map_err(unsupported)
}

/// The same as one text, a sentence for each; nothing where they can't be compared.
pub fn told_differences(before: &str, after: &str) -> String {
    let sentences: Vec<String> = differences(before, after).unwrap_or_default().iter().map(Difference::sentence).collect();
    sentences.join("; ")
}

/// Whether records of the two schemas (by their texts) have the same bytes, whatever names and defaults there are.
pub fn are_written_alike(one: &str, other: &str) -> bool {
    differences(one, other).is_ok_and(|found| found.iter().all(|difference| !difference.change.is_of_bytes()))
}

fn compare(before: &Type, after: &Type, path: &mut Path, found: &mut Vec<Difference>) {
    if outline(before) != outline(after) {
        found.push(at(path, Change::Type { from: shown(before), to: shown(after) }));
    }
    compare_inside(before.value(), after.value(), path, found);
}

/// What two types of one kind have in them.
fn compare_inside(before: &Type, after: &Type, path: &mut Path, found: &mut Vec<Difference>) {
    match (before, after) {
        (Type::Record { names: earlier, fields: before }, Type::Record { names: later, fields: after }) => {
            names(earlier, later, path, found);
            fields(before, after, path, found);
        }
        (Type::Array(before), Type::Array(after)) => path.at("[]", |path| compare(before, after, path, found)),
        (Type::Map(before), Type::Map(after)) => path.at("{}", |path| compare(before, after, path, found)),
        (Type::Enum { names: earlier, symbols: before, default: from }, Type::Enum { names: later, symbols: after, default: to }) => {
            names(earlier, later, path, found);
            property("symbols", Some(json!(before)), Some(json!(after)), path, found);
            property("default symbol", from.as_deref().map(Value::from), to.as_deref().map(Value::from), path, found);
        }
        (Type::Fixed { fixed: before, .. }, Type::Fixed { fixed: after, .. })
        | (Type::Decimal { fixed: Some(before), .. }, Type::Decimal { fixed: Some(after), .. }) => {
            names(&before.names, &after.names, path, found);
        }
        (Type::Union(before), Type::Union(after)) => branches(before, after, path, found),
        (Type::Foreign { written: before, .. }, Type::Foreign { written: after, .. }) => compare(before, after, path, found),
        _ => {}
    }
}

fn fields(before: &[Field], after: &[Field], path: &mut Path, found: &mut Vec<Difference>) {
    let sources: Vec<Option<usize>> = after.iter().map(|field| earlier(field, before)).collect();
    for (source, field) in sources.iter().zip(after) {
        path.field(&field.name, |path| match source {
            Some(index) => of_field(&before[*index], field, path, found),
            None => found.push(at(path, Change::Added { avro: shown(&field.kind), default: field.default.clone() })),
        });
    }
    let gone = before.iter().enumerate().filter(|(index, _)| !sources.contains(&Some(*index)));
    for (_, field) in gone {
        path.field(&field.name, |path| found.push(at(path, Change::Removed { avro: shown(&field.kind) })));
    }
    if !sources.iter().flatten().is_sorted() {
        let names = |fields: &[Field]| Some(fields.iter().map(|field| field.name.as_str()).collect());
        property("order", names(before), names(after), path, found);
    }
}

fn of_field(before: &Field, after: &Field, path: &mut Path, found: &mut Vec<Difference>) {
    if before.name != after.name {
        found.push(at(path, Change::Renamed { from: before.name.clone(), to: after.name.clone() }));
    }
    compare(&before.kind, &after.kind, path, found);
    property("default", before.default.clone(), after.default.clone(), path, found);
    property("aliases", listed(&before.aliases), listed(&after.aliases), path, found);
}

/// Branches of one kind; others show in what the unions are.
fn branches(before: &[Type], after: &[Type], path: &mut Path, found: &mut Vec<Difference>) {
    for branch in after {
        if let Some(earlier) = before.iter().find(|earlier| branch.is_kin_of(earlier)) {
            compare_inside(earlier, branch, path, found);
        }
    }
}

fn names(before: &Names, after: &Names, path: &Path, found: &mut Vec<Difference>) {
    property("type name", Some(json!(before.full)), Some(json!(after.full)), path, found);
    property("type aliases", listed(&before.aliases), listed(&after.aliases), path, found);
}

fn property(name: &'static str, from: Option<Value>, to: Option<Value>, path: &Path, found: &mut Vec<Difference>) {
    if from != to {
        found.push(at(path, Change::Property { name, from, to }));
    }
}

fn listed(aliases: &[String]) -> Option<Value> {
    (!aliases.is_empty()).then(|| json!(aliases))
}

fn at(path: &Path, change: Change) -> Difference {
    Difference { path: path.place().to_owned(), change }
}

/// The field of `before` that a field is: that of its own name, else of its first alias there is one of.
fn earlier(field: &Field, before: &[Field]) -> Option<usize> {
    let mut names = std::iter::once(&field.name).chain(&field.aliases);
    names.find_map(|name| before.iter().position(|earlier| earlier.name == *name))
}

/// What tells a type from others, without what is in it.
fn outline(kind: &Type) -> String {
    if let Some((value, null_first)) = kind.nullable() {
        return or_null(&outline(value), null_first);
    }
    match kind {
        Type::Array(_) => "array".to_owned(),
        Type::Map(_) => "map".to_owned(),
        Type::Record { .. } => "record".to_owned(),
        Type::Enum { .. } => "enum".to_owned(),
        Type::Fixed { fixed, uuid } => format!("fixed({}) {uuid}", fixed.size),
        Type::Decimal { precision, scale, fixed } => format!("decimal({precision},{scale}) {:?}", fixed.as_ref().map(|fixed| fixed.size)),
        other => shown(other),
    }
}

/// A type in a few words.
fn shown(kind: &Type) -> String {
    if let Some((value, null_first)) = kind.nullable() {
        return or_null(&shown(value), null_first);
    }
    match kind {
        Type::Scalar { base, logical: Some(logical) } => format!("{} ({})", logical.text(), base.text()),
        Type::Decimal { fixed: Some(fixed), .. } => format!("{} (fixed {} of {} bytes)", kind.title(), fixed.names.full, fixed.size),
        Type::Fixed { fixed, uuid } => format!("{} {} of {} bytes", if *uuid { "uuid" } else { "fixed" }, fixed.names.full, fixed.size),
        Type::Array(items) => format!("array of {}", shown(items)),
        Type::Map(values) => format!("map of {}", shown(values)),
        Type::Union(branches) => branches.iter().map(shown).collect::<Vec<_>>().join(" or "),
        other => other.title(),
    }
}

fn or_null(value: &str, null_first: bool) -> String {
    format!("{value} or null{}", if null_first { "" } else { " (which comes last)" })
}

impl Change {
    /// Whether the bytes of records depend on it: not on names, and not on what only readers look at.
    fn is_of_bytes(&self) -> bool {
        match self {
            Self::Added { .. } | Self::Removed { .. } | Self::Type { .. } => true,
            Self::Renamed { .. } => false,
            Self::Property { name, .. } => matches!(*name, "symbols" | "order"),
        }
    }
}

impl Difference {
    /// The difference in a sentence.
    pub fn sentence(&self) -> String {
        let place = if self.path.is_empty() { "the record".to_owned() } else { format!("field `{}`", self.path) };
        match &self.change {
            Change::Added { avro, default } => {
                let default = if default.is_some() { "a default" } else { "no default" };
                format!("{place} is new, {avro} with {default}")
            }
            Change::Removed { avro } => format!("{place} is gone; it was {avro}"),
            Change::Renamed { from, .. } => format!("{place} was called `{from}`"),
            Change::Type { from, to } => format!("{place} was {from} and is {to}"),
            Change::Property { name, from, to } => {
                format!("{place} has another {name}: {}, not {}", word(to.as_ref()), word(from.as_ref()))
            }
        }
    }

    /// The difference as JSON: `path`, `change`, and what it is from and to.
    pub fn to_json(&self) -> Value {
        let path = &self.path;
        match &self.change {
            Change::Added { avro, default } => json!({ "path": path, "change": "added", "type": avro, "default": default }),
            Change::Removed { avro } => json!({ "path": path, "change": "removed", "type": avro }),
            Change::Renamed { from, to } => json!({ "path": path, "change": "renamed", "from": from, "to": to }),
            Change::Type { from, to } => json!({ "path": path, "change": "type", "from": from, "to": to }),
            Change::Property { name, from, to } => json!({ "path": path, "change": name, "from": from, "to": to }),
        }
    }
}

/// As `diff` shows it: a line that begins with `+`, `-` or `~`.
impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() { "(the whole)" } else { &self.path };
        match &self.change {
            Change::Added { avro, default: Some(default) } => write!(f, "+ {path}: {avro}, default {default}"),
            Change::Added { avro, default: None } => write!(f, "+ {path}: {avro}, no default"),
            Change::Removed { avro } => write!(f, "- {path}: {avro}"),
            Change::Renamed { from, .. } => write!(f, "~ {path}: was called {from}"),
            Change::Type { from, to } => write!(f, "~ {path}: {from} → {to}"),
            Change::Property { name, from, to } => write!(f, "~ {path}: {name} {} → {}", word(from.as_ref()), word(to.as_ref())),
        }
    }
}

fn word(value: Option<&Value>) -> String {
    value.map_or_else(|| "none".to_owned(), Value::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(fields: &Value) -> String {
        json!({ "type": "record", "name": "r", "fields": fields }).to_string()
    }

    fn lines(before: &Value, after: &Value) -> Vec<String> {
        differences(&record(before), &record(after)).expect("are compared").iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_field_that_changed_is_told_by_its_path() {
        let suit = |symbols: &[&str]| json!({"type": "enum", "name": "Suit", "symbols": symbols});
        let item =
            |kind: &str| json!({"type": "array", "items": {"type": "record", "name": "Item", "fields": [{"name": "price", "type": kind}]}});
        let before = json!([
            {"name": "same", "type": "int"}, {"name": "old", "type": "long"}, {"name": "note", "type": "string"},
            {"name": "suit", "type": suit(&["A", "B"])}, {"name": "items", "type": item("int")}, {"name": "kept", "type": "int"},
        ]);
        let after = json!([
            {"name": "same", "type": "int"}, {"name": "note", "type": ["null", "string"]}, {"name": "suit", "type": suit(&["A", "C"])},
            {"name": "items", "type": item("string")}, {"name": "more", "type": "double", "default": 0}, {"name": "renamed", "aliases": ["kept"], "type": "int"},
        ]);
        assert_eq!(
            lines(&before, &after),
            [
                "~ note: string → string or null",
                "~ suit: symbols [\"A\",\"B\"] → [\"A\",\"C\"]",
                "~ items[].price: int → string",
                "+ more: double, default 0",
                "~ renamed: was called kept",
                "~ renamed: aliases none → [\"kept\"]",
                "- old: long",
            ]
        );
        let told = told_differences(&record(&before), &record(&after));
        let sentences: Vec<&str> = told.split("; ").collect();
        assert_eq!(sentences[0], "field `note` was string and is string or null");
        assert!(told.ends_with("field `old` is gone; it was long"), "{told}");
    }

    #[test]
    fn documentation_is_no_difference_and_what_is_no_schema_has_none_to_tell() {
        let one = record(&json!([{"name": "x", "type": "int"}]));
        let other = record(&json!([{"name": "x", "type": "int", "doc": "A number."}]));
        assert_eq!(differences(&one, &other).expect("are compared"), []);
        assert_eq!(differences(&one, "{}").expect_err("is none").code(), Code::SchemaInvalid);
        assert_eq!(told_differences(&one, "{}"), "");
    }

    #[test]
    fn a_type_that_is_named_where_it_was_defined_is_the_same() {
        let money = json!({"type": "record", "name": "Money", "fields": [{"name": "cents", "type": "long"}]});
        let twice = json!([{"name": "price", "type": money}, {"name": "tax", "type": "Money"}]);
        let turned = json!([{"name": "tax", "type": money}, {"name": "price", "type": "Money"}]);
        assert_eq!(lines(&twice, &twice), [""; 0]);
        assert_eq!(lines(&twice, &turned), ["~ (the whole): order [\"price\",\"tax\"] → [\"tax\",\"price\"]"]);
    }

    #[test]
    fn there_is_a_difference_wherever_schemas_are_not_the_same() {
        let kinds = [
            json!({"type": "string", "logicalType": "uuid"}),
            json!({"type": "fixed", "name": "u", "size": 16, "logicalType": "uuid"}),
            json!({"type": "fixed", "name": "u", "size": 16}),
            json!({"type": "fixed", "name": "v", "size": 16}),
            json!({"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}),
            json!({"type": "fixed", "name": "u", "size": 8, "logicalType": "decimal", "precision": 9, "scale": 2}),
            json!({"type": "enum", "name": "e", "symbols": ["A", "B"]}),
            json!({"type": "enum", "name": "e", "symbols": ["B", "A"]}),
            json!({"type": "enum", "name": "e", "symbols": ["A", "B"], "default": "A"}),
            json!(["null", "int"]),
            json!(["int", "null"]),
            json!(["int", "string"]),
            json!(["string", "int"]),
            json!(["int", {"type": "record", "name": "a", "fields": [{"name": "x", "type": "int"}]}]),
            json!(["int", {"type": "record", "name": "a", "fields": [{"name": "x", "type": "long"}]}]),
            json!({"type": "map", "values": "int"}),
            json!({"type": "map", "values": "long"}),
        ];
        for one in &kinds {
            for other in &kinds {
                let [one, other] = [one, other].map(|kind| record(&json!([{"name": "x", "type": kind}])));
                let found = differences(&one, &other).expect("are compared");
                assert_eq!(found.is_empty(), super::super::are_same(&one, &other), "{one} {other}");
            }
        }
    }

    #[test]
    fn names_and_defaults_change_no_bytes() {
        let plain = record(&json!([{"name": "x", "type": "int"}]));
        let named = json!({"type": "record", "name": "s", "fields": [{"name": "x", "type": "int", "default": 1}]}).to_string();
        assert!(are_written_alike(&plain, &named));
        assert!(!are_written_alike(&plain, &record(&json!([{"name": "x", "type": "long"}]))));
    }
}
