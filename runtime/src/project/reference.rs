//! The JSON Schema of the project file, for editors, and its reference page. The types are the one definition of both.

use std::fmt::Write;

use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

/// The JSON Schema (draft 2020-12) of a project file of type `P`.
pub fn json_schema<P: JsonSchema>() -> Value {
    let mut schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<P>();
    Variables.transform(&mut schema);
    schema.to_value()
}

/// Lets a number or boolean be written as a variable.
struct Variables;

impl Transform for Variables {
    fn transform(&mut self, schema: &mut Schema) {
        transform_subschemas(self, schema);
        let Some(object) = schema.as_object_mut() else { return };
        if is_typed_scalar(object) {
            let kept: Vec<&str> = vec!["title", "description", "default"];
            let (outer, inner): (Map<String, Value>, Map<String, Value>) =
                std::mem::take(object).into_iter().partition(|(key, _)| kept.contains(&key.as_str()));
            *object = outer;
            object.insert("anyOf".into(), json!([inner, { "type": "string", "pattern": r"\$\{.+\}" }]));
        }
    }
}

fn is_typed_scalar(schema: &Map<String, Value>) -> bool {
    let scalar = |kind: &Value| matches!(kind.as_str(), Some("integer" | "number" | "boolean"));
    let optional = |kind: &Value| scalar(kind) || kind == "null";
    match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.iter().any(scalar) && kinds.iter().all(optional),
        Some(kind) => scalar(kind) && !schema.contains_key("const"),
        None => false,
    }
}

const HEAD: &str = "\
# The keys of the project file

Generated from the types that read the file, by `millrace schema project --reference`. The [guide](project-file.md) says what they are for.

";

/// The reference of a project file of type `P`, in Markdown: a part for each kind of section.
pub fn reference<P: JsonSchema>() -> String {
    let schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<P>().to_value();
    let mut page = String::from(HEAD);
    page += &part("Project", &schema);
    for (name, definition) in schema["$defs"].as_object().into_iter().flatten() {
        page.push('\n');
        page += &part(name, definition);
    }
    page
}

fn part(name: &str, schema: &Value) -> String {
    let mut text = format!("## {name}\n\n{}\n", schema["description"].as_str().unwrap_or_default());
    if let Some(fields) = schema["properties"].as_object() {
        text += &keys(fields, schema);
    }
    let forms: String = choices(schema).map(choice).collect();
    if forms.starts_with('-') {
        text.push('\n');
    }
    text + &forms
}

fn choices(schema: &Value) -> impl Iterator<Item = &Value> {
    ["oneOf", "anyOf"].into_iter().flat_map(|kind| schema[kind].as_array().into_iter().flatten())
}

/// A table of the keys of a section.
fn keys(fields: &Map<String, Value>, schema: &Value) -> String {
    let required = |key: &str| schema["required"].as_array().is_some_and(|keys| keys.iter().any(|other| other == key));
    let mut table = String::from("\n| key | value | default | |\n|---|---|---|---|\n");
    let (needed, others): (Vec<_>, Vec<_>) = fields.iter().partition(|(key, _)| required(key));
    for (key, field) in needed.into_iter().chain(others) {
        let default = if required(key) { "*required*".into() } else { default(field) };
        line(&mut table, format_args!("| `{key}` | {} | {default} | {} |", value(field), description(field)));
    }
    table
}

fn default(field: &Value) -> String {
    match field.get("default") {
        None | Some(Value::Null | Value::Object(_)) => String::new(),
        Some(Value::String(text)) if text.is_empty() => String::new(),
        Some(Value::Array(items)) if items.is_empty() => String::new(),
        Some(value) => format!("`{}`", value.as_str().map_or_else(|| value.to_string(), str::to_owned)),
    }
}

/// One of the forms that a value may have.
fn choice(schema: &Value) -> String {
    let mut text = String::new();
    let note = description(schema);
    if let Some(constant) = schema.get("const") {
        line(&mut text, format_args!("- `{}`: {note}", constant.as_str().unwrap_or_default()));
    } else if let Some(reference) = schema["$ref"].as_str() {
        line(&mut text, format_args!("- {}", link(reference)));
    } else if let Some(fields) = schema["properties"].as_object() {
        match tag(fields) {
            Some(tag) => {
                line(&mut text, format_args!("\n### With {tag}\n\n{note}"));
                text += &keys(fields, schema);
            }
            None => fields.iter().for_each(|(key, field)| text += &form(key, field, &note)),
        }
    }
    text
}

/// A form that is told by its key.
fn form(key: &str, field: &Value, note: &str) -> String {
    let mut text = String::new();
    line(&mut text, format_args!("- `{key}`: {}. {note}", value(field)));
    text + &nested(field)
}

/// The keys of a form that has no name of its own.
fn nested(field: &Value) -> String {
    let mut text = String::new();
    for (key, field) in field["properties"].as_object().into_iter().flatten() {
        line(&mut text, format_args!("    - `{key}`: {}. {}", value(field), description(field)));
    }
    text
}

/// What tells a form from its siblings: the key that has a constant.
fn tag(fields: &Map<String, Value>) -> Option<String> {
    fields.iter().find_map(|(key, field)| Some(format!("`{key}: {}`", field["const"].as_str()?)))
}

/// What a value looks like.
fn value(schema: &Value) -> String {
    if let Some(reference) = schema["$ref"].as_str() {
        return link(reference);
    }
    if let Some(constant) = schema.get("const") {
        return format!("`{constant}`");
    }
    if schema.get("anyOf").is_some() {
        let forms = choices(schema).map(value).filter(|form| form != "null" && !form.is_empty());
        return forms.collect::<Vec<_>>().join(" or ");
    }
    match &schema["type"] {
        Value::Array(kinds) => kinds
            .iter()
            .filter_map(Value::as_str)
            .filter(|kind| *kind != "null")
            .map(|kind| simple(kind, schema))
            .collect::<Vec<_>>()
            .join(" or "),
        kind => simple(kind.as_str().unwrap_or_default(), schema),
    }
}

fn simple(kind: &str, schema: &Value) -> String {
    match kind {
        "string" => "text".into(),
        "integer" => "whole number".into(),
        "boolean" => "`true` or `false`".into(),
        "array" => format!("list of {}", value(&schema["items"])),
        "object" if schema["additionalProperties"].is_object() => format!("names, each with {}", value(&schema["additionalProperties"])),
        "object" => "keys".into(),
        other => other.into(),
    }
}

fn link(reference: &str) -> String {
    let name = reference.rsplit('/').next().unwrap_or_default();
    format!("[{name}](#{})", name.to_lowercase())
}

fn description(schema: &Value) -> String {
    schema["description"].as_str().unwrap_or_default().replace("\n\n", "<br>").replace('\n', " ").replace('|', "\\|")
}

/// Adds a line without blanks at its end. Writing to a `String` can't fail.
fn line(text: &mut String, content: std::fmt::Arguments<'_>) {
    let start = text.len();
    write!(text, "{content}").expect("a String takes every text");
    text.truncate(start + text[start..].trim_end().len());
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::{Project, Topic};

    type Sample = Project<Topic, Topic, Topic, Topic>;

    #[test]
    fn a_number_may_be_a_variable() {
        let schema = json_schema::<Sample>();
        let partitions = &schema["$defs"]["Topic"]["properties"]["partitions"];
        assert_eq!(partitions["anyOf"][0]["type"], json!(["integer", "null"]));
        assert_eq!(partitions["anyOf"][1], json!({ "type": "string", "pattern": r"\$\{.+\}" }));
        assert_eq!(schema["additionalProperties"], json!(false));
    }

    #[test]
    fn the_reference_has_a_line_for_each_key() {
        let page = reference::<Sample>();
        assert!(page.contains("## Project\n\nThe pipelines of one project"), "{page}");
        assert!(page.contains("| `topics` | names, each with [Topic](#topic) |  | Topics, by name."), "{page}");
        assert!(page.contains("| `partitions` | whole number |  | How many partitions it is created with;"), "{page}");
        assert!(page.contains("| `password` | text |  | The SASL password. Without it"), "{page}");
        assert!(page.contains("- `SCRAM-SHA-512`: Challenge and response with SHA-512."), "{page}");
    }
}
