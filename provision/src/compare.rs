//! Two Avro schemas compared: field by field, and whether each reads what the other wrote.

use std::error::Error;
use std::fmt;

use apache_avro::Schema;
use apache_avro::schema_compatibility::{Compatibility, SchemaCompatibility};
use millrace_model::{Code, Fault, Result};
use millrace_runtime::codec;
use serde_json::{Value, json};

/// What became of a field.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldChange {
    /// The field's path, such as `address.street`; `[]` stands for the items of an array, `{}` for the values of a map.
    pub path: String,
    /// What became of it.
    pub kind: FieldChangeKind,
}

/// What became of a field.
#[derive(Debug, Clone, PartialEq)]
pub enum FieldChangeKind {
    /// The new schema has it, the old one has not.
    Added {
        /// Its type.
        avro: String,
        /// Its default, if it has one.
        default: Option<Value>,
    },
    /// The old schema had it.
    Removed {
        /// Its type.
        avro: String,
    },
    /// Both have it, of different types.
    Type {
        /// The old type.
        from: String,
        /// The new type.
        to: String,
    },
    /// Both have it, with another property such as `default`, `doc` or `aliases`.
    Property {
        /// The property.
        name: &'static str,
        /// Its old value.
        from: Option<Value>,
        /// Its new value.
        to: Option<Value>,
    },
}

/// Whether a reader's schema reads what a writer's wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// All of it.
    Reads,
    /// All but some values: of a union's branch or an enum's symbol that the reader has not.
    ReadsSome,
    /// Not.
    Refuses(String),
}

/// Two schemas compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// What became of fields, in the order of the schemas.
    pub changes: Vec<FieldChange>,
    /// Whether the new schema reads what the old one wrote: `BACKWARD`.
    pub backward: Verdict,
    /// Whether the old schema reads what the new one writes: `FORWARD`.
    pub forward: Verdict,
}

/// Compares two schemas.
///
/// # Errors
/// [`Code::SchemaInvalid`], for an operator, for what is no Avro schema.
pub fn compare(old: &Value, new: &Value) -> Result<Comparison> {
    let (parsed_old, parsed_new) = (parse(old)?, parse(new)?);
    let mut changes = Vec::new();
    of_types(old, new, "", &mut changes);
    let (one, other) = ((old, &parsed_old), (new, &parsed_new));
    Ok(Comparison { changes, backward: verdict(one, other), forward: verdict(other, one) })
}

/// Why a schema may not follow another, as far as Avro's rules say.
pub fn reasons(old: &str, new: &str) -> Vec<String> {
    let read = |text: &str| serde_json::from_str::<Value>(text).ok();
    let Some(Ok(comparison)) = read(old).zip(read(new)).map(|(old, new)| compare(&old, &new)) else { return Vec::new() };
    let why = |reader: &str, writer: &str, verdict: &Verdict| match verdict {
        Verdict::Reads => None,
        Verdict::ReadsSome => Some(format!("the {reader} schema reads only some of what the {writer} one wrote")),
        Verdict::Refuses(reason) => Some(format!("the {reader} schema does not read what the {writer} one wrote: {reason}")),
    };
    let backward = why("project's", "registered", &comparison.backward);
    backward.into_iter().chain(why("registered", "project's", &comparison.forward)).collect()
}

fn parse(avro: &Value) -> Result<Schema> {
    Schema::parse(avro).map_err(|error| Fault::operator(Code::SchemaInvalid, "what is compared is not a valid Avro schema").because(error))
}

/// By Avro's rules, and as far as the pipelines keep them: they refuse, say, a timestamp of another unit.
fn verdict((written, writer): (&Value, &Schema), (read, reader): (&Value, &Schema)) -> Verdict {
    match SchemaCompatibility::can_read(writer, reader) {
        Ok(Compatibility::Full) => {
            codec::reads_all(&read.to_string(), &written.to_string()).map_or_else(Verdict::Refuses, |()| Verdict::Reads)
        }
        Ok(Compatibility::Partial) => Verdict::ReadsSome,
        Err(error) => Verdict::Refuses(words(&error)),
    }
}

/// An error and its causes, without the words that all of them begin with.
fn words(error: &dyn Error) -> String {
    let plain = |error: &dyn Error| {
        let text = error.to_string();
        ["Incompatible schemata! ", "Incompatible schema types! "]
            .iter()
            .find_map(|start| text.strip_prefix(start).map(str::to_owned))
            .unwrap_or(text)
    };
    let (mut text, mut cause) = (plain(error), error.source());
    while let Some(error) = cause {
        text = format!("{text}: {}", plain(error));
        cause = error.source();
    }
    text
}

fn of_types(old: &Value, new: &Value, path: &str, changes: &mut Vec<FieldChange>) {
    let ((old, old_nullable), (new, new_nullable)) = (value_type(old), value_type(new));
    let inside = |suffix: &str| format!("{path}{suffix}");
    match (kind(old), kind(new)) {
        _ if old_nullable != new_nullable => of_unlike(old, new, (old_nullable, new_nullable), path, changes),
        ("record", "record") => of_fields(old, new, path, changes),
        ("array", "array") => of_types(&old["items"], &new["items"], &inside("[]"), changes),
        ("map", "map") => of_types(&old["values"], &new["values"], &inside("{}"), changes),
        _ => of_unlike(old, new, (old_nullable, new_nullable), path, changes),
    }
}

/// Types that have no parts to compare, or of which only one takes null.
fn of_unlike(old: &Value, new: &Value, nullable: (bool, bool), path: &str, changes: &mut Vec<FieldChange>) {
    let (from, to) = (shown_nullable(old, nullable.0), shown_nullable(new, nullable.1));
    if from != to {
        changes.push(FieldChange { path: path.to_owned(), kind: FieldChangeKind::Type { from, to } });
    }
}

fn of_fields(old: &Value, new: &Value, path: &str, changes: &mut Vec<FieldChange>) {
    let fields = |schema: &Value| schema["fields"].as_array().cloned().unwrap_or_default();
    let (old, new) = (fields(old), fields(new));
    let path_of = |field: &Value| {
        let name = field["name"].as_str().unwrap_or_default();
        if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
    };
    for field in &new {
        let Some(other) = old.iter().find(|other| other["name"] == field["name"]) else {
            let kind = FieldChangeKind::Added { avro: shown(&field["type"]), default: field.get("default").cloned() };
            changes.push(FieldChange { path: path_of(field), kind });
            continue;
        };
        of_types(&other["type"], &field["type"], &path_of(field), changes);
        of_properties(other, field, &path_of(field), changes);
    }
    for field in old.iter().filter(|field| new.iter().all(|other| other["name"] != field["name"])) {
        changes.push(FieldChange { path: path_of(field), kind: FieldChangeKind::Removed { avro: shown(&field["type"]) } });
    }
}

fn of_properties(old: &Value, new: &Value, path: &str, changes: &mut Vec<FieldChange>) {
    for name in ["default", "aliases", "doc"] {
        let (from, to) = (old.get(name).cloned(), new.get(name).cloned());
        if from != to {
            changes.push(FieldChange { path: path.to_owned(), kind: FieldChangeKind::Property { name, from, to } });
        }
    }
}

/// What a type is besides null, and whether it takes null.
fn value_type(avro: &Value) -> (&Value, bool) {
    match avro.as_array().map(Vec::as_slice) {
        Some([null, value] | [value, null]) if null == "null" => (value, true),
        _ => (avro, false),
    }
}

fn kind(avro: &Value) -> &str {
    avro["type"].as_str().unwrap_or_default()
}

fn shown_nullable(avro: &Value, nullable: bool) -> String {
    if nullable { format!("{} or null", shown(avro)) } else { shown(avro) }
}

/// A type in a few words.
fn shown(avro: &Value) -> String {
    if let (value, true) = value_type(avro) {
        return shown_nullable(value, true);
    }
    let text = |key: &str| avro[key].as_str().unwrap_or_default();
    match avro {
        Value::String(name) => name.clone(),
        Value::Array(branches) => branches.iter().map(shown).collect::<Vec<_>>().join(" or "),
        _ if avro.get("logicalType").is_some_and(|logical| logical == "decimal") => {
            format!("decimal({},{})", avro["precision"], avro.get("scale").unwrap_or(&json!(0)))
        }
        _ if avro.get("logicalType").is_some() => format!("{} ({})", text("logicalType"), text("type")),
        _ => match kind(avro) {
            "array" => format!("array of {}", shown(&avro["items"])),
            "map" => format!("map of {}", shown(&avro["values"])),
            "enum" => format!("enum {} {}", text("name"), avro["symbols"]),
            "fixed" => format!("fixed {} of {} bytes", text("name"), avro["size"]),
            "record" => format!("record {}", text("name")),
            other => other.to_owned(),
        },
    }
}

impl Comparison {
    /// Whether the schemas are the same to every reader and writer.
    pub fn is_same(&self) -> bool {
        self.changes.is_empty() && self.backward == Verdict::Reads && self.forward == Verdict::Reads
    }

    /// The comparison as JSON: `changes`, `backward`, `forward`.
    pub fn to_json(&self) -> Value {
        json!({
            "changes": self.changes.iter().map(FieldChange::to_json).collect::<Vec<_>>(),
            "backward": self.backward.to_json(),
            "forward": self.forward.to_json(),
        })
    }
}

impl FieldChange {
    fn to_json(&self) -> Value {
        let path = &self.path;
        match &self.kind {
            FieldChangeKind::Added { avro, default } => json!({ "path": path, "change": "added", "type": avro, "default": default }),
            FieldChangeKind::Removed { avro } => json!({ "path": path, "change": "removed", "type": avro }),
            FieldChangeKind::Type { from, to } => json!({ "path": path, "change": "type", "from": from, "to": to }),
            FieldChangeKind::Property { name, from, to } => json!({ "path": path, "change": name, "from": from, "to": to }),
        }
    }
}

impl Verdict {
    fn to_json(&self) -> Value {
        match self {
            Self::Reads => json!({ "reads": "all" }),
            Self::ReadsSome => json!({ "reads": "some" }),
            Self::Refuses(reason) => json!({ "reads": "none", "reason": reason }),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reads => f.write_str("yes"),
            Self::ReadsSome => f.write_str("some: a union's branch or an enum's symbol is not in the reader's schema"),
            Self::Refuses(reason) => write!(f, "no: {reason}"),
        }
    }
}

impl fmt::Display for FieldChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() { "(the whole)" } else { &self.path };
        let property = |value: &Option<Value>| value.as_ref().map_or_else(|| "none".to_owned(), Value::to_string);
        match &self.kind {
            FieldChangeKind::Added { avro, default: Some(default) } => write!(f, "+ {path}: {avro}, default {default}"),
            FieldChangeKind::Added { avro, default: None } => write!(f, "+ {path}: {avro}, no default"),
            FieldChangeKind::Removed { avro } => write!(f, "- {path}: {avro}"),
            FieldChangeKind::Type { from, to } => write!(f, "~ {path}: {from} → {to}"),
            FieldChangeKind::Property { name, from, to } => write!(f, "~ {path}: {name} {} → {}", property(from), property(to)),
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.changes.is_empty() {
            writeln!(f, "No field differs.")?;
        }
        for change in &self.changes {
            writeln!(f, "{change}")?;
        }
        writeln!(f, "B reads what A wrote (BACKWARD): {}", self.backward)?;
        writeln!(f, "A reads what B wrote (FORWARD):  {}", self.forward)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(fields: &Value) -> Value {
        json!({ "type": "record", "name": "Order", "fields": fields })
    }

    fn changes(old: &Value, new: &Value) -> Vec<String> {
        compare(&record(old), &record(new)).expect("are schemas").changes.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn fields_are_told_by_their_paths() {
        let address = |fields: &Value| json!({ "type": "record", "name": "Address", "fields": fields });
        let old = json!([
            { "name": "id", "type": "int" },
            { "name": "gone", "type": "string" },
            { "name": "to", "type": ["null", address(&json!([{ "name": "street", "type": "string" }]))], "default": null },
            { "name": "lines", "type": { "type": "array", "items": { "type": "map", "values": "int" } } },
        ]);
        let new = json!([
            { "name": "id", "type": "long", "doc": "the key" },
            { "name": "to", "type": ["null", address(&json!([{ "name": "street", "type": ["null", "string"] }]))], "default": null },
            { "name": "lines", "type": { "type": "array", "items": { "type": "map", "values": "double" } } },
            { "name": "note", "type": "string", "default": "" },
        ]);
        assert_eq!(
            changes(&old, &new),
            [
                "~ id: int → long",
                "~ id: doc none → \"the key\"",
                "~ to.street: string → string or null",
                "~ lines[]{}: int → double",
                "+ note: string, default \"\"",
                "- gone: string",
            ]
        );
    }

    #[test]
    fn a_schema_is_the_same_as_itself() {
        let schema =
            record(&json!([{ "name": "price", "type": { "type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2 } }]));
        assert!(compare(&schema, &schema).expect("are schemas").is_same());
    }

    #[test]
    fn each_direction_has_its_own_verdict() {
        let old = record(&json!([{ "name": "id", "type": "int" }]));
        let wider = record(&json!([{ "name": "id", "type": "long" }]));
        let told = compare(&old, &wider).expect("are schemas");
        assert_eq!(told.backward, Verdict::Reads);
        assert!(matches!(told.forward, Verdict::Refuses(_)));
        let more = record(&json!([{ "name": "id", "type": "int" }, { "name": "note", "type": "string" }]));
        let told = compare(&old, &more).expect("are schemas");
        assert!(matches!(&told.backward, Verdict::Refuses(reason) if reason.contains("note") && !reason.contains("schemata!")), "{told:?}");
        assert_eq!(told.forward, Verdict::Reads);
    }

    #[test]
    fn what_the_pipelines_refuse_is_not_said_to_be_read() {
        let at = |unit: &str| record(&json!([{ "name": "at", "type": { "type": "long", "logicalType": unit } }]));
        let told = compare(&at("timestamp-millis"), &at("timestamp-micros")).expect("are schemas");
        assert!(matches!(told.backward, Verdict::Refuses(_)) && matches!(told.forward, Verdict::Refuses(_)), "{told:?}");
    }

    #[test]
    fn a_refusal_names_the_field_for_the_subject() {
        let old = record(&json!([{ "name": "id", "type": "int" }])).to_string();
        let new = record(&json!([{ "name": "id", "type": "int" }, { "name": "note", "type": "string" }])).to_string();
        let reasons = reasons(&old, &new);
        assert!(reasons.len() == 1 && reasons[0].contains("'note'"), "{reasons:?}");
    }
}
