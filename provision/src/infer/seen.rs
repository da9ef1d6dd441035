//! What was seen of values: their kinds joined, whether any was null, and what was inside.

use millrace_model::{Code, Fault, Result};
use serde_json::{Value, json};

use super::json::Json;
use super::text::{Form, of_field, of_string};

/// What was seen in one place of all records.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Seen {
    null: bool,
    kind: Option<Kind>,
}

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    Form(Form),
    List(Box<Seen>),
    Object(Object),
    /// Kinds that no type holds together, in words.
    Mixed(&'static str, &'static str),
}

/// Objects, their fields in the order in which they came.
#[derive(Debug, Clone, Default, PartialEq)]
struct Object {
    count: usize,
    fields: Vec<Field>,
}

#[derive(Debug, Clone, PartialEq)]
struct Field {
    name: String,
    count: usize,
    seen: Seen,
}

impl Seen {
    /// Whether nothing was seen.
    pub(super) fn is_empty(&self) -> bool {
        self.kind.is_none()
    }

    /// One more JSON value.
    pub(super) fn value(&mut self, value: &Json) {
        match value {
            Json::Null => self.null = true,
            Json::Boolean => self.json(Form::Boolean),
            Json::Whole => self.json(Form::Whole),
            Json::Number => self.json(Form::Number),
            Json::Text(text) => self.json(of_string(text)),
            Json::List(items) => match self.kind.get_or_insert_with(|| Kind::List(Box::default())) {
                Kind::List(seen) => items.iter().for_each(|item| seen.value(item)),
                other => other.mix("an array"),
            },
            Json::Object(fields) => self.object(fields),
        }
    }

    /// One more row of CSV, a text or null for each column.
    pub(super) fn row<'a>(&mut self, fields: impl Iterator<Item = (&'a str, Option<&'a str>)>) {
        if let Kind::Object(object) = self.kind.get_or_insert_with(|| Kind::Object(Object::default())) {
            object.count += 1;
            for (name, text) in fields {
                let seen = object.field(name);
                match text {
                    Some(text) => seen.field(of_field(text)),
                    None => seen.null = true,
                }
            }
        }
    }

    fn object(&mut self, fields: &[(String, Json)]) {
        match self.kind.get_or_insert_with(|| Kind::Object(Object::default())) {
            Kind::Object(object) => {
                object.count += 1;
                fields.iter().for_each(|(name, value)| object.field(name).value(value));
            }
            other => other.mix("an object"),
        }
    }

    /// A field of CSV: all forms have a text, so there is always one that holds both.
    fn field(&mut self, form: Form) {
        match &mut self.kind {
            Some(Kind::Form(known)) => *known = known.join(form),
            kind => *kind = Some(Kind::Form(form)),
        }
    }

    /// A JSON value of one piece: a number is no text.
    fn json(&mut self, form: Form) {
        match &mut self.kind {
            None => self.kind = Some(Kind::Form(form)),
            Some(Kind::Form(known)) if word(*known) == word(form) => *known = known.join(form),
            Some(other) => other.mix(word(form)),
        }
    }

    /// The record of what was seen at the top.
    pub(super) fn record(&self, name: &str) -> Result<Value> {
        match &self.kind {
            Some(Kind::Object(object)) => match object.fields.iter().find(|field| !is_avro_name(&field.name)) {
                Some(field) => Err(unsupported(&format!("the field name {:?} is no Avro name: give it another", field.name))),
                None => object.record(name, name),
            },
            Some(_) => Err(unsupported("the sample's values are no objects: a topic's records are")),
            None => Err(unsupported("the sample has no record")),
        }
    }

    fn avro(&self, path: &str) -> Result<Value> {
        match &self.kind {
            // Only nulls: text can at least hold whatever comes.
            None => Ok(json!("string")),
            Some(Kind::Form(form)) => Ok(form.avro()),
            Some(Kind::List(items)) => Ok(json!({ "type": "array", "items": items.nullable(&format!("{path}.item"))? })),
            Some(Kind::Object(object)) if object.is_map() => {
                Ok(json!({ "type": "map", "values": object.values().nullable(&format!("{path}.value"))? }))
            }
            Some(Kind::Object(object)) => object.record(&path.replace('.', "_"), path),
            Some(Kind::Mixed(one, other)) => {
                Err(unsupported(&format!("{path} is {one} in some records and {other} in others: no type of a column holds both")))
            }
        }
    }

    fn nullable(&self, path: &str) -> Result<Value> {
        let avro = self.avro(path)?;
        Ok(if self.null { json!(["null", avro]) } else { avro })
    }

    fn join(&mut self, other: &Self) {
        self.null |= other.null;
        match (&mut self.kind, &other.kind) {
            (_, None) => {}
            (kind @ None, Some(other)) => *kind = Some(other.clone()),
            (Some(Kind::Form(_)), Some(Kind::Form(form))) => self.json(*form),
            (Some(Kind::List(items)), Some(Kind::List(more))) => items.join(more),
            (Some(Kind::Object(object)), Some(Kind::Object(more))) => object.join(more),
            (Some(kind), Some(other)) => kind.mix(other.word()),
        }
    }
}

fn word(form: Form) -> &'static str {
    match form {
        Form::Boolean => "a boolean",
        Form::Whole | Form::Number | Form::Fixed { .. } => "a number",
        _ => "text",
    }
}

impl Kind {
    fn word(&self) -> &'static str {
        match self {
            Self::Form(form) => word(*form),
            Self::List(_) => "an array",
            Self::Object(_) => "an object",
            Self::Mixed(one, _) => one,
        }
    }

    fn mix(&mut self, other: &'static str) {
        if !matches!(self, Self::Mixed(..)) {
            *self = Self::Mixed(self.word(), other);
        }
    }
}

impl Object {
    fn field(&mut self, name: &str) -> &mut Seen {
        let at = self.fields.iter().position(|field| field.name == name).unwrap_or_else(|| {
            self.fields.push(Field { name: name.to_owned(), count: 0, seen: Seen::default() });
            self.fields.len() - 1
        });
        self.fields[at].count += 1;
        &mut self.fields[at].seen
    }

    /// Keys that no field could have are values themselves.
    fn is_map(&self) -> bool {
        self.fields.iter().any(|field| !is_avro_name(&field.name))
    }

    /// What was seen of all values together.
    fn values(&self) -> Seen {
        self.fields.iter().fold(Seen::default(), |mut all, field| {
            all.join(&field.seen);
            all
        })
    }

    fn join(&mut self, other: &Self) {
        self.count += other.count;
        for field in &other.fields {
            let known = self.field(&field.name);
            known.join(&field.seen);
            // `field` has counted it once.
            if let Some(known) = self.fields.iter_mut().find(|known| known.name == field.name) {
                known.count += field.count - 1;
            }
        }
    }

    fn record(&self, name: &str, path: &str) -> Result<Value> {
        let fields = self.fields.iter().map(|field| {
            let avro = field.seen.avro(&format!("{path}.{}", field.name))?;
            let always = field.count == self.count && !field.seen.null && field.seen.kind.is_some();
            Ok(if always {
                json!({ "name": field.name, "type": avro })
            } else {
                json!({ "name": field.name, "type": ["null", avro], "default": null })
            })
        });
        Ok(json!({ "type": "record", "name": name, "fields": fields.collect::<Result<Vec<_>>>()? }))
    }
}

/// Avro 1.12, Names.
fn is_avro_name(name: &str) -> bool {
    let first = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    first && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn unsupported(message: &str) -> Fault {
    Fault::operator(Code::SchemaUnsupported, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(records: &[&str]) -> Result<Value> {
        let mut seen = Seen::default();
        records.iter().for_each(|record| seen.value(&serde_json::from_str(record).expect("is JSON")));
        seen.record("Order")
    }

    #[test]
    fn a_field_that_is_null_or_left_out_anywhere_may_be_null() {
        let schema = schema(&[r#"{ "a": 1, "b": null, "c": true }"#, r#"{ "a": 2, "b": "x" }"#]).expect("has a schema");
        let nullable = |name: &str, avro: &str| json!({ "name": name, "type": ["null", avro], "default": null });
        assert_eq!(schema["fields"], json!([{ "name": "a", "type": "long" }, nullable("b", "string"), nullable("c", "boolean")]));
    }

    #[test]
    fn what_is_inside_is_typed_as_what_is_outside() {
        let schema = schema(&[
            r#"{ "to": { "street": "a", "no": 1 }, "tags": ["x", null], "lines": [{ "n": 1 }, { "n": 2.5 }] }"#,
            r#"{ "to": { "street": "b" }, "tags": [], "lines": [] }"#,
        ])
        .expect("has a schema");
        millrace_runtime::codec::schema(schema.clone()).expect("is what the codec carries");
        assert_eq!(schema["fields"][0]["type"]["fields"][1]["type"], json!(["null", "long"]));
        assert_eq!(schema["fields"][1]["type"]["items"], json!(["null", "string"]));
        assert_eq!(schema["fields"][2]["type"]["items"]["fields"][0]["type"], "double");
    }

    #[test]
    fn an_object_with_keys_that_are_values_is_a_map() {
        let schema = schema(&[r#"{ "days": { "2013-01-31": 1, "2013-02-01": null } }"#]).expect("has a schema");
        assert_eq!(schema["fields"][0]["type"], json!({ "type": "map", "values": ["null", "long"] }));
    }

    #[test]
    fn kinds_that_no_type_holds_together_are_told_with_their_field() {
        let fault = schema(&[r#"{ "a": { "b": [1] } }"#, r#"{ "a": { "b": "x" } }"#]).expect_err("has none");
        assert!(fault.message().contains("Order.a.b") && fault.message().contains("array") && fault.message().contains("text"), "{fault}");
        assert!(schema(&[r#"{ "a": 1 }"#, r#"{ "a": "x" }"#]).is_err());
        assert!(schema(&["[1]"]).is_err());
        assert!(schema(&[r#"{ "a b": 1 }"#]).expect_err("no name").message().contains("\"a b\""));
    }
}
